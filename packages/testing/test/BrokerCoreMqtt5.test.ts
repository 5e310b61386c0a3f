import type { Packet, Publish } from "@effect-mqttx/core/Packet"
import * as Properties from "@effect-mqttx/core/Properties"
import { assert, describe, it } from "@effect/vitest"
import { Harness, tags } from "./support/coreHarness.ts"
import { acknowledge, persistent, publishPacket, text } from "./support/rawClient.ts"

const publishes = (packets: ReadonlyArray<Packet>): ReadonlyArray<Publish> =>
  packets.filter((packet) => packet._tag === "Publish")
const texts = (packets: ReadonlyArray<Packet>): ReadonlyArray<string> => publishes(packets).map(text)
const bytes = (value: string): Uint8Array => new TextEncoder().encode(value)

describe("MQTT 5", () => {
  const v5 = (options?: ConstructorParameters<typeof Harness>[0]) => {
    const harness = new Harness(options)
    harness.connect(1, 5, "a")
    harness.take(1)
    return harness
  }
  const disconnected = (harness: Harness, packets: ReadonlyArray<Packet>): number | undefined => {
    assert.isTrue(harness.isClosed(1))
    const last = packets.at(-1)
    return last?._tag === "Disconnect" ? last.reasonCode : undefined
  }

  it("announces in CONNACK every limit that differs from the protocol's default", () => {
    const harness = new Harness({
      limits: {
        receiveMaximum: 3,
        maximumQoS: 1,
        retainAvailable: false,
        maximumPacketSize: 2000,
        topicAliasMaximum: 0,
        wildcardSubscriptionAvailable: false,
        subscriptionIdentifiersAvailable: false,
        sharedSubscriptionAvailable: false,
        serverKeepAlive: 7,
        maximumSessionExpiryInterval: 60
      }
    })
    const connack = harness.connect(1, 5, "", { properties: { sessionExpiryInterval: 0xffff_ffff } })
    assert.deepStrictEqual(connack.properties, {
      receiveMaximum: 3,
      maximumQoS: 1,
      retainAvailable: false,
      maximumPacketSize: 2000,
      wildcardSubscriptionAvailable: false,
      subscriptionIdentifiersAvailable: false,
      sharedSubscriptionAvailable: false,
      serverKeepAlive: 7,
      assignedClientIdentifier: "assigned-1",
      sessionExpiryInterval: 60
    })
  })

  it("changes limits for the connections to come only", () => {
    const harness = v5()
    harness.core.setLimits({ maximumQoS: 0 })
    harness.send(1, publishPacket("t", "x", { qos: 1, packetIdentifier: 1 }))
    assert.isFalse(harness.isClosed(1))
    assert.strictEqual(harness.connect(2, 5, "b").properties.maximumQoS, 0)
  })

  it("answers what exceeds its limits with the DISCONNECT code of the specification", () => {
    const cases: ReadonlyArray<
      readonly [NonNullable<ConstructorParameters<typeof Harness>[0]>["limits"], Packet, number]
    > = [
      [{ maximumQoS: 1 }, publishPacket("t", "x", { qos: 2, packetIdentifier: 1 }), 0x9b],
      [{ retainAvailable: false }, publishPacket("t", "x", { retain: true }), 0x9a],
      [{ maximumPacketSize: 20 }, publishPacket("t", "x".repeat(20)), 0x95],
      [{ topicAliasMaximum: 2 }, publishPacket("t", "x", { properties: { topicAlias: 3 } }), 0x94],
      [{ topicAliasMaximum: 2 }, publishPacket("", "x", { properties: { topicAlias: 1 } }), 0x94],
      [{}, publishPacket("t", "x", { properties: { subscriptionIdentifiers: [1] } }), 0x82]
    ]
    for (const [limits, packet, code] of cases) {
      const harness = v5({ limits: limits! })
      assert.strictEqual(disconnected(harness, harness.send(1, packet)), code)
    }
  })

  it("answers one publish more than its receive maximum with 0x93, a QoS 2 publish counting until PUBCOMP", () => {
    const harness = v5({ limits: { receiveMaximum: 2 } })
    harness.send(
      1,
      publishPacket("t", "x", { qos: 2, packetIdentifier: 1 }),
      publishPacket("t", "x", { qos: 2, packetIdentifier: 2 })
    )
    harness.send(1, acknowledge("Pubrel", 1))
    harness.send(1, publishPacket("t", "x", { qos: 2, packetIdentifier: 3 }))
    assert.isFalse(harness.isClosed(1))
    assert.strictEqual(
      disconnected(harness, harness.send(1, publishPacket("t", "x", { qos: 1, packetIdentifier: 4 }))),
      0x93
    )
  })

  it("counts withheld acknowledgements in its receive maximum", () => {
    const harness = v5({ limits: { receiveMaximum: 1 }, holdAcknowledgement: () => true })
    harness.send(1, publishPacket("t", "x", { qos: 1, packetIdentifier: 1 }))
    assert.strictEqual(
      disconnected(harness, harness.send(1, publishPacket("t", "x", { qos: 1, packetIdentifier: 2 }))),
      0x93
    )
  })

  it("never has more publishes in flight than the client's receive maximum, resumed connections included", () => {
    const harness = new Harness()
    const fields = (receiveMaximum: number) => ({
      cleanStart: false,
      properties: { sessionExpiryInterval: 100, receiveMaximum }
    })
    harness.connect(1, 5, "a", fields(4))
    harness.subscribe(1, "t")
    for (let i = 0; i < 8; i++) {
      harness.core.publish({ topic: "t", payload: bytes(`${i}`), qos: i % 2 === 0 ? 1 : 2 }, harness.now)
    }
    const first = publishes(harness.take(1))
    assert.deepStrictEqual(first.map(text), ["0", "1", "2", "3"])
    harness.send(1, acknowledge("Pubrec", first[1]!.packetIdentifier))
    harness.lose(1)
    harness.connect(2, 5, "a", fields(2))
    // One place is taken by the released message until its PUBCOMP.
    assert.deepStrictEqual(harness.take(2).map((packet) => packet._tag === "Publish" ? text(packet) : packet._tag), [
      "Pubrel",
      "0"
    ])
    assert.deepStrictEqual(texts(harness.send(2, acknowledge("Pubcomp", first[1]!.packetIdentifier))), ["2"])
    assert.deepStrictEqual(texts(harness.send(2, acknowledge("Puback", first[0]!.packetIdentifier))), ["3"])
    // A refusing PUBREC frees its place.
    assert.deepStrictEqual(texts(harness.send(2, acknowledge("Pubrec", first[3]!.packetIdentifier, 0x97))), ["4"])
    assert.deepStrictEqual(harness.outcomes.map(({ outcome }) => outcome), ["Acknowledged", "Acknowledged", "Refused"])
  })

  it("sends QoS 0 while the window is full", () => {
    const harness = new Harness()
    harness.connect(1, 5, "a", { properties: { receiveMaximum: 1 } })
    harness.subscribe(1, "t")
    for (const qos of [1, 1, 0] as const) {
      harness.core.publish({ topic: "t", payload: bytes(`${qos}`), qos }, harness.now)
    }
    assert.deepStrictEqual(publishes(harness.take(1)).map(({ qos }) => qos), [1, 0])
  })

  it("drops a message that is larger than the client's maximum packet size, and continues", () => {
    const harness = new Harness()
    harness.connect(1, 5, "a", { properties: { maximumPacketSize: 30 } })
    harness.subscribe(1, "t")
    harness.core.publish({ topic: "t", payload: new Uint8Array(40), qos: 1 }, harness.now)
    harness.core.publish({ topic: "t", payload: new Uint8Array(40), qos: 0 }, harness.now)
    harness.core.publish({ topic: "t", payload: bytes("small"), qos: 1 }, harness.now)
    assert.deepStrictEqual(texts(harness.take(1)), ["small"])
    assert.deepStrictEqual(harness.outcomes.map(({ outcome }) => outcome), ["Dropped", "Dropped"])
  })

  it("ends a session when it has been offline for its expiry interval, which DISCONNECT may change but not revive", () => {
    const harness = new Harness()
    harness.connect(1, 5, "a", { properties: { sessionExpiryInterval: 10 } })
    harness.lose(1)
    harness.wait(9_999)
    assert.isDefined(harness.core.session("a"))
    harness.wait(1)
    assert.isUndefined(harness.core.session("a"))
    harness.connect(2, 5, "b", { properties: { sessionExpiryInterval: 10 } })
    harness.send(2, { _tag: "Disconnect", reasonCode: 0, properties: { sessionExpiryInterval: 1 } })
    harness.wait(1_000)
    assert.isUndefined(harness.core.session("b"))
    harness.connect(3, 5, "c")
    const [answer] = harness.send(3, { _tag: "Disconnect", reasonCode: 0, properties: { sessionExpiryInterval: 1 } })
    assert.strictEqual(answer?._tag === "Disconnect" && answer.reasonCode, 0x82)
  })

  it("delays the will, sends it at the end of the session at the latest, and not at all when the client is back in time", () => {
    const will = (willDelayInterval: number) => ({
      topic: "w",
      payload: bytes(`${willDelayInterval}`),
      qos: 0,
      retain: false,
      properties: { willDelayInterval }
    } as const)
    const harness = v5()
    harness.subscribe(1, "w")
    const fields = (delay: number) => ({
      cleanStart: false,
      will: will(delay),
      properties: { sessionExpiryInterval: 20 }
    })
    harness.connect(2, 5, "delayed", fields(10))
    harness.lose(2)
    harness.wait(9_999)
    assert.deepStrictEqual(texts(harness.take(1)), [])
    harness.wait(1)
    assert.deepStrictEqual(texts(harness.take(1)), ["10"])
    harness.connect(3, 5, "short", fields(30))
    harness.lose(3)
    harness.wait(20_000)
    assert.deepStrictEqual(texts(harness.take(1)), ["30"])
    harness.connect(4, 5, "back", fields(5))
    harness.lose(4)
    harness.wait(4_000)
    harness.connect(5, 5, "back", fields(5))
    harness.wait(10_000)
    assert.deepStrictEqual(texts(harness.take(1)), [])
    // Taken over with a clean start: the session ends, and with it the delay.
    harness.connect(6, 5, "back", { cleanStart: true })
    assert.deepStrictEqual(texts(harness.take(1)), ["5"])
  })

  it("publishes the will after a DISCONNECT that asks for it (0x04)", () => {
    const harness = v5()
    harness.subscribe(1, "w")
    const will = { topic: "w", payload: bytes("bye"), qos: 0, retain: false, properties: Properties.none } as const
    harness.connect(2, 5, "b", { will })
    harness.send(2, { _tag: "Disconnect", reasonCode: 4, properties: Properties.none })
    assert.deepStrictEqual(texts(harness.take(1)), ["bye"])
  })

  it("passes a message's properties on, with the expiry interval reduced by its waiting, and drops what has expired", () => {
    const harness = new Harness()
    harness.connect(1, 5, "a", persistent(5))
    harness.subscribe(1, "t")
    harness.lose(1)
    const properties = {
      payloadFormatIndicator: 1,
      contentType: "text/plain",
      responseTopic: "answers",
      correlationData: bytes("7"),
      userProperties: [["k", "1"], ["k", "2"]]
    } as const
    harness.core.publish({
      topic: "t",
      payload: bytes("kept"),
      qos: 1,
      properties: { ...properties, messageExpiryInterval: 10 }
    }, harness.now)
    harness.core.publish(
      { topic: "t", payload: bytes("late"), qos: 1, properties: { messageExpiryInterval: 3 } },
      harness.now
    )
    harness.wait(3_000)
    harness.connect(2, 5, "a", persistent(5))
    const [kept, ...rest] = publishes(harness.take(2))
    assert.deepStrictEqual(kept!.properties, { ...properties, messageExpiryInterval: 7 })
    assert.deepStrictEqual(rest, [])
    assert.deepStrictEqual(harness.outcomes.map(({ outcome }) => outcome), ["Expired"])
  })

  it("sends no properties to a subscriber on 3.1.1", () => {
    const harness = new Harness()
    harness.connect(1, 4, "a")
    harness.subscribe(1, "t")
    harness.core.publish({ topic: "t", payload: bytes("x"), properties: { contentType: "text/plain" } }, harness.now)
    assert.deepStrictEqual(publishes(harness.take(1))[0]!.properties, {})
  })

  it("understands topic aliases, and uses them where the client allows and the options ask for it", () => {
    const harness = new Harness({ assignTopicAliases: true })
    harness.connect(1, 5, "a", { properties: { topicAliasMaximum: 1 } })
    harness.subscribe(1, "#")
    harness.send(
      1,
      publishPacket("t/1", "a", { properties: { topicAlias: 4 } }),
      publishPacket("", "b", { properties: { topicAlias: 4 } }),
      publishPacket("t/2", "c")
    )
    assert.deepStrictEqual(harness.published.map(({ topic }) => topic), ["t/1", "t/1", "t/2"])
    assert.deepStrictEqual(harness.published[0]!.properties, {})
    harness.core.publish({ topic: "t/1", payload: bytes("d") }, harness.now)
    harness.core.publish({ topic: "t/2", payload: bytes("e") }, harness.now)
    assert.deepStrictEqual(publishes(harness.take(1)).map(({ properties, topic }) => [topic, properties.topicAlias]), [
      ["", 1],
      ["t/2", undefined]
    ])
  })

  it("sends a message again with its full topic name after its alias is gone with the connection", () => {
    const harness = new Harness({ assignTopicAliases: true })
    const fields = { cleanStart: false, properties: { topicAliasMaximum: 5, sessionExpiryInterval: 10 } }
    harness.connect(1, 5, "a", fields)
    harness.subscribe(1, "#")
    for (let i = 0; i < 2; i++) harness.core.publish({ topic: "t", payload: bytes("x"), qos: 1 }, harness.now)
    assert.deepStrictEqual(publishes(harness.take(1)).map(({ topic }) => topic), ["t", ""])
    harness.lose(1)
    harness.connect(2, 5, "a", fields)
    assert.deepStrictEqual(publishes(harness.take(2)).map(({ topic }) => topic), ["t", ""])
  })

  it("sends one copy with all identifiers for overlapping subscriptions, or one for each", () => {
    for (const overlapping of ["merge", "separate"] as const) {
      const harness = v5({ overlapping })
      harness.subscribe(1, "t/#", { qos: 0 }, 7)
      harness.subscribe(1, "t/+", { qos: 1 }, 8)
      harness.subscribe(1, "t/1", { qos: 2 })
      const packets = publishes(harness.send(1, publishPacket("t/1", "x", { qos: 1, packetIdentifier: 1 })))
      const seen = packets.map(({ properties, qos }) => [qos, properties.subscriptionIdentifiers])
      if (overlapping === "merge") assert.deepStrictEqual(seen, [[1, [7, 8]]])
      else assert.sameDeepMembers(seen, [[0, [7]], [1, [8]], [1, undefined]])
    }
  })

  it("honours no local, retain as published and retain handling", () => {
    const harness = v5()
    harness.send(1, publishPacket("r", "old", { retain: true }))
    assert.deepStrictEqual(texts([...(harness.subscribe(1, "r", { retainHandling: 2 }), harness.take(1))]), [])
    assert.deepStrictEqual((harness.subscribe(1, "r", { retainHandling: 1 }), texts(harness.take(1))), [])
    assert.deepStrictEqual((harness.subscribe(1, "r", { retainHandling: 0 }), texts(harness.take(1))), ["old"])
    harness.subscribe(1, "r", { retainHandling: 2, retainAsPublished: true })
    const live = harness.send(1, publishPacket("r", "new", { retain: true }))
    assert.deepStrictEqual(publishes(live).map((packet) => packet.retain), [true])
    harness.subscribe(1, "r", { retainHandling: 2, noLocal: true })
    assert.deepStrictEqual(texts(harness.send(1, publishPacket("r", "mine"))), [])
    harness.core.publish({ topic: "r", payload: bytes("other") }, harness.now)
    assert.deepStrictEqual(texts(harness.take(1)), ["other"])
  })

  it("gives retained messages before SUBACK when asked to", () => {
    const harness = v5({ retainedBeforeSuback: true })
    harness.send(1, publishPacket("r", "old", { retain: true }))
    const subscribe = {
      _tag: "Subscribe",
      packetIdentifier: 1,
      filters: [{ filter: "r", qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
      properties: Properties.none
    } as const
    assert.deepStrictEqual(tags(harness.send(1, subscribe)), ["Publish", "Suback"])
  })

  it("deals the messages of a shared subscription out in turn, to connected members first, and gives them no retained messages", () => {
    const harness = new Harness()
    harness.core.publish({ topic: "t", payload: bytes("old"), retain: true }, harness.now)
    for (const id of [1, 2, 3]) {
      harness.connect(id, 5, `member-${id}`, persistent(5))
      harness.subscribe(id, "$share/group/t", { qos: 1 })
      assert.deepStrictEqual(harness.take(id), [])
    }
    harness.lose(2)
    for (let i = 0; i < 4; i++) harness.core.publish({ topic: "t", payload: bytes(`${i}`), qos: 1 }, harness.now)
    const counts = [1, 3].map((id) => texts(harness.take(id)).length)
    assert.deepStrictEqual(counts, [2, 2])
    harness.lose(1)
    harness.lose(3)
    harness.core.publish({ topic: "t", payload: bytes("kept"), qos: 1 }, harness.now)
    assert.strictEqual(harness.core.sessions().reduce((sum, { queued }) => sum + queued, 0), 1)
  })

  it("refuses subscriptions that it does not support or allow with their own codes", () => {
    const harness = v5({
      limits: {
        wildcardSubscriptionAvailable: false,
        sharedSubscriptionAvailable: false,
        subscriptionIdentifiersAvailable: false
      },
      authorizeSubscribe: (_client, { filter }) => filter === "secret" ? 0x87 : 0
    })
    assert.deepStrictEqual(harness.subscribe(1, "t/#"), [0xa2])
    assert.deepStrictEqual(harness.subscribe(1, "$share/g/t"), [0x9e])
    assert.deepStrictEqual(harness.subscribe(1, "t", {}, 5), [0xa1])
    assert.deepStrictEqual(harness.subscribe(1, "t/#/x"), [0x8f])
    assert.deepStrictEqual(harness.subscribe(1, "secret"), [0x87])
    assert.deepStrictEqual(harness.subscribe(1, "fine", { qos: 1 }), [1])
  })

  it("refuses publishes by PUBACK and PUBREC, and takes the identifier as free afterwards", () => {
    const harness = v5({ authorizePublish: (_client, { topic }) => topic === "secret" ? 0x87 : 0 })
    assert.deepStrictEqual(harness.send(1, publishPacket("secret", "x", { qos: 1, packetIdentifier: 1 })), [
      acknowledge("Puback", 1, 0x87)
    ])
    assert.deepStrictEqual(harness.send(1, publishPacket("secret", "x", { qos: 2, packetIdentifier: 1 })), [
      acknowledge("Pubrec", 1, 0x87)
    ])
    assert.deepStrictEqual(harness.send(1, publishPacket("t", "x", { qos: 2, packetIdentifier: 1 })), [
      acknowledge("Pubrec", 1, 0x10)
    ])
    assert.deepStrictEqual(harness.published.map(({ topic }) => topic), ["t"])
  })

  it("answers PUBREC and PUBREL of unknown identifiers with 0x92", () => {
    const harness = v5()
    assert.deepStrictEqual(harness.send(1, acknowledge("Pubrec", 9)), [acknowledge("Pubrel", 9, 0x92)])
    assert.deepStrictEqual(harness.send(1, acknowledge("Pubrel", 9)), [acknowledge("Pubcomp", 9, 0x92)])
  })

  it("answers UNSUBSCRIBE with one code for each filter", () => {
    const harness = v5()
    harness.subscribe(1, "a")
    const [unsuback] = harness.send(1, {
      _tag: "Unsubscribe",
      packetIdentifier: 3,
      filters: ["a", "b"],
      properties: Properties.none
    })
    assert.deepStrictEqual(unsuback?._tag === "Unsuback" && unsuback.reasonCodes, [0, 0x11])
    assert.deepStrictEqual(texts(harness.send(1, publishPacket("a", "x"))), [])
  })

  it("refuses a will that it could not publish, and an authentication method that it does not know", () => {
    const will = { topic: "w", payload: bytes("x"), qos: 2, retain: true, properties: Properties.none } as const
    const harness = new Harness({ limits: { maximumQoS: 1 } })
    assert.strictEqual(harness.connect(1, 5, "a", { will }).reasonCode, 0x9b)
    const other = new Harness({ limits: { retainAvailable: false } })
    assert.strictEqual(other.connect(1, 5, "a", { will }).reasonCode, 0x9a)
    assert.strictEqual(other.connect(2, 5, "a", { properties: { authenticationMethod: "X" } }).reasonCode, 0x8c)
  })

  it("drops QoS 0 and keeps the others while a connection is not writable", () => {
    const harness = v5()
    harness.subscribe(1, "t")
    harness.core.setWritable(1, false, harness.now)
    for (const qos of [0, 1] as const) harness.core.publish({ topic: "t", payload: bytes(`${qos}`), qos }, harness.now)
    assert.deepStrictEqual(harness.take(1), [])
    harness.core.setWritable(1, true, harness.now)
    assert.deepStrictEqual(texts(harness.take(1)), ["1"])
  })

  it("counts what is outstanding of a publication, and reports when nothing is", () => {
    const settled: Array<number> = []
    const harness = new Harness({ onPublicationSettled: ({ message }) => settled.push(message.sequence) })
    for (const id of [1, 2]) {
      harness.connect(id, 5, `c${id}`)
      harness.subscribe(id, "t")
    }
    const publication = harness.core.publish({ topic: "t", payload: bytes("x"), qos: 1 }, harness.now)
    assert.deepStrictEqual([publication.deliveries, publication.outstanding], [2, 2])
    for (const id of [1, 2]) {
      const [message] = publishes(harness.take(id))
      assert.deepStrictEqual(settled, [])
      harness.send(id, acknowledge("Puback", message!.packetIdentifier))
    }
    assert.strictEqual(publication.outstanding, 0)
    assert.deepStrictEqual(settled, [publication.message.sequence])
  })
})
