import type { Packet } from "@effect-mqttx/core/Packet"
import type { ProtocolVersion } from "@effect-mqttx/core/QoS"
import * as AedesBroker from "@effect-mqttx/testing/AedesBroker"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import * as Raw from "./support/rawClient.ts"

// What a client sees, without what each broker may choose: packet identifiers and the properties of CONNACK.
const seen = (packet: Packet): unknown => {
  switch (packet._tag) {
    case "Publish": {
      const { dup, properties, qos, retain, topic } = packet
      return { publish: Raw.text(packet), topic, qos, retain, dup, properties: { ...properties } }
    }
    case "Connack":
      return { connack: packet.reasonCode, sessionPresent: packet.sessionPresent }
    case "Suback":
    case "Unsuback":
      return { [packet._tag]: [...packet.reasonCodes] }
    case "Puback":
    case "Pubrec":
    case "Pubrel":
    case "Pubcomp":
    case "Disconnect":
      return { [packet._tag]: packet.reasonCode }
    default:
      return packet._tag
  }
}

type Client = Effect.Success<ReturnType<typeof Raw.connect>>

/** Everything that has arrived at a client before the answer to a PING. */
const settle = (client: Client): Effect.Effect<ReadonlyArray<Packet>> =>
  Effect.gen(function*() {
    yield* client.send({ _tag: "Pingreq" })
    const packets: Array<Packet> = []
    while (true) {
      const next = client.waiting()[0]
      if (next === undefined) yield* Effect.sleep(1)
      else {
        const packet = yield* client.next(next._tag)
        if (packet._tag === "Pingresp") return packets
        packets.push(packet)
        if (packet._tag === "Publish" && packet.qos === 1) {
          yield* client.send(Raw.acknowledge("Puback", packet.packetIdentifier))
        }
        if (packet._tag === "Publish" && packet.qos === 2) {
          yield* client.send(Raw.acknowledge("Pubrec", packet.packetIdentifier))
        }
        if (packet._tag === "Pubrel") yield* client.send(Raw.acknowledge("Pubcomp", packet.packetIdentifier))
      }
    }
  })

/** The same, until nothing comes any more: a broker may take several turns to hand a message on. */
const transcript = (client: Client): Effect.Effect<ReadonlyArray<unknown>> =>
  Effect.gen(function*() {
    const all: Array<unknown> = []
    for (let quiet = 0; quiet < 3;) {
      const packets = yield* settle(client)
      all.push(...packets.map(seen))
      quiet = packets.length === 0 ? quiet + 1 : 0
    }
    return all
  })

interface Scenario {
  readonly title: string
  readonly versions: ReadonlyArray<ProtocolVersion>
  /** How a broker differs from the specification; absent: it does not. */
  readonly notOnAedes?: string
  readonly notOnMosquitto?: string
  readonly run: (dial: Raw.Dial, version: ProtocolVersion) => Effect.Effect<unknown, never, Scope.Scope>
}

const takeOver: Scenario["run"] = (dial, version) =>
  Effect.gen(function*() {
    const older = yield* Raw.connect(dial, version, "same")
    const newer = yield* Raw.connect(dial, version, "same")
    yield* older.closed
    return [older.waiting().map(seen), seen(newer.connack), yield* transcript(newer)]
  })

const scenarios: ReadonlyArray<Scenario> = [
  {
    title: "all QoS levels against all granted levels",
    versions: [4, 5],
    notOnAedes: "delivers QoS 2 to a subscription that was granted QoS 1",
    run: (dial, version) =>
      Effect.gen(function*() {
        const results: Array<unknown> = []
        for (const granted of [0, 1, 2] as const) {
          const subscriber = yield* Raw.connect(dial, version, `s${granted}`)
          results.push(seen(yield* Raw.subscribe(subscriber, 1, [Raw.subscribeFilter("q/#", { qos: granted })])))
          const publisher = yield* Raw.connect(dial, version, `p${granted}`)
          for (const qos of [0, 1, 2] as const) {
            const packetIdentifier = qos === 0 ? 0 : 10 + qos
            yield* publisher.send(Raw.publishPacket(`q/${qos}`, `${qos}`, { qos, packetIdentifier }))
            if (qos === 1) results.push(seen(yield* publisher.next("Puback")))
            if (qos === 2) {
              results.push(seen(yield* publisher.next("Pubrec")))
              yield* publisher.send(Raw.acknowledge("Pubrel", packetIdentifier))
              results.push(seen(yield* publisher.next("Pubcomp")))
            }
            results.push(yield* transcript(subscriber))
          }
        }
        return results
      })
  },
  {
    title: "all QoS levels in one subscription",
    versions: [4, 5],
    run: (dial, version) =>
      Effect.gen(function*() {
        const subscriber = yield* Raw.connect(dial, version, "subscriber")
        yield* Raw.subscribe(subscriber, 1, [Raw.subscribeFilter("q/#")])
        const publisher = yield* Raw.connect(dial, version, "publisher")
        yield* publisher.send(Raw.publishPacket("q/0", "zero"))
        yield* publisher.send(Raw.publishPacket("q/1", "one", { qos: 1, packetIdentifier: 1 }))
        yield* publisher.next("Puback")
        yield* publisher.send(Raw.publishPacket("q/2", "two", { qos: 2, packetIdentifier: 2 }))
        yield* publisher.next("Pubrec")
        yield* publisher.send(Raw.acknowledge("Pubrel", 2))
        yield* publisher.next("Pubcomp")
        return yield* transcript(subscriber)
      })
  },
  {
    title: "a resumed session with messages that were sent, and that were not",
    versions: [4, 5],
    notOnAedes: "sends unacknowledged publishes again in another order",
    run: (dial, version) =>
      Effect.gen(function*() {
        const first = yield* Raw.connect(dial, version, "keeper", Raw.persistent(version))
        yield* Raw.subscribe(first, 1, [Raw.subscribeFilter("k/#", { qos: 1 })])
        const publisher = yield* Raw.connect(dial, version, "publisher")
        yield* publisher.send(Raw.publishPacket("k/1", "sent", { qos: 1, packetIdentifier: 1 }))
        yield* publisher.next("Puback")
        const unacknowledged = seen(yield* first.next("Publish"))
        // Not just destroyed: the broker must know that it is offline before the next message.
        yield* first.send({ _tag: "Disconnect", reasonCode: 0, properties: {} })
        yield* first.closed
        yield* publisher.send(
          Raw.publishPacket("k/2", "offline", { qos: 1, packetIdentifier: 2 }),
          Raw.publishPacket("k/3", "not kept")
        )
        yield* publisher.next("Puback")
        const second = yield* Raw.connect(dial, version, "keeper", Raw.persistent(version))
        const resumed = yield* transcript(second)
        second.stream.destroy()
        yield* second.closed
        const clean = yield* Raw.connect(dial, version, "keeper")
        return [
          seen(first.connack),
          unacknowledged,
          seen(second.connack),
          resumed,
          seen(clean.connack),
          yield* transcript(clean)
        ]
      })
  },
  {
    title: "a QoS 2 publish that is sent again on a resumed connection",
    versions: [4, 5],
    notOnAedes: "delivers it twice",
    run: (dial, version) =>
      Effect.gen(function*() {
        const subscriber = yield* Raw.connect(dial, version, "subscriber")
        yield* Raw.subscribe(subscriber, 1, [Raw.subscribeFilter("t")])
        const first = yield* Raw.connect(dial, version, "publisher", Raw.persistent(version))
        const message = Raw.publishPacket("t", "once", { qos: 2, packetIdentifier: 3 })
        yield* first.send(message)
        const pubrec = seen(yield* first.next("Pubrec"))
        first.stream.destroy()
        yield* first.closed
        const second = yield* Raw.connect(dial, version, "publisher", Raw.persistent(version))
        yield* second.send({ ...message, dup: true })
        const again = seen(yield* second.next("Pubrec"))
        yield* second.send(Raw.acknowledge("Pubrel", 3))
        const pubcomp = seen(yield* second.next("Pubcomp"))
        return [pubrec, again, pubcomp, yield* transcript(subscriber)]
      })
  },
  {
    title: "retained messages, their replacement and removal",
    versions: [4, 5],
    run: (dial, version) =>
      Effect.gen(function*() {
        const client = yield* Raw.connect(dial, version, "r")
        yield* client.send(
          Raw.publishPacket("r/1", "old", { retain: true }),
          Raw.publishPacket("r/1", "one", { retain: true }),
          Raw.publishPacket("r/2", "two", { retain: true }),
          Raw.publishPacket("r/2", "", { retain: true })
        )
        const before = yield* transcript(client)
        const suback = seen(yield* Raw.subscribe(client, 1, [Raw.subscribeFilter("r/+", { qos: 0 })]))
        return [before, suback, yield* transcript(client)]
      })
  },
  {
    title: "the will of a lost connection, and none after DISCONNECT",
    versions: [4, 5],
    run: (dial, version) =>
      Effect.gen(function*() {
        const watcher = yield* Raw.connect(dial, version, "watcher")
        yield* Raw.subscribe(watcher, 1, [Raw.subscribeFilter("w/#")])
        const will = (topic: string) => ({
          topic,
          payload: new TextEncoder().encode("gone"),
          qos: 1,
          retain: false,
          properties: {}
        } as const)
        const lost = yield* Raw.connect(dial, version, "lost", { will: will("w/lost") })
        const orderly = yield* Raw.connect(dial, version, "orderly", { will: will("w/orderly") })
        yield* orderly.send({ _tag: "Disconnect", reasonCode: 0, properties: {} })
        yield* orderly.closed
        lost.stream.destroy()
        return [seen(yield* watcher.next("Publish")), yield* transcript(watcher)]
      })
  },
  { title: "the end of the older connection of the same client", versions: [4], run: takeOver },
  {
    title: "the end of the older connection of the same client, with DISCONNECT 0x8E",
    versions: [5],
    notOnMosquitto: "closes the connection without DISCONNECT (2.0.11)",
    run: takeOver
  },
  {
    title: "UNSUBSCRIBE of known and unknown filters",
    versions: [4, 5],
    run: (dial, version) =>
      Effect.gen(function*() {
        const client = yield* Raw.connect(dial, version, "u")
        yield* Raw.subscribe(client, 1, [
          Raw.subscribeFilter("u/1", { qos: 0 }),
          Raw.subscribeFilter("u/2", { qos: 0 })
        ])
        yield* client.send({ _tag: "Unsubscribe", packetIdentifier: 2, filters: ["u/1", "u/3"], properties: {} })
        const unsuback = seen(yield* client.next("Unsuback"))
        yield* client.send(Raw.publishPacket("u/1", "x"), Raw.publishPacket("u/2", "y"))
        return [unsuback, yield* transcript(client)]
      })
  },
  {
    title: "no local, retain as published and retain handling",
    versions: [5],
    run: (dial) =>
      Effect.gen(function*() {
        const client = yield* Raw.connect(dial, 5, "o")
        const other = yield* Raw.connect(dial, 5, "other")
        yield* other.send(Raw.publishPacket("o/r", "old", { retain: true }))
        yield* transcript(other)
        const results: Array<unknown> = []
        // mosquitto 2.0.11 keeps the options of the first subscription when one is replaced: unsubscribed in between.
        const unsubscribe = Effect.andThen(
          client.send({ _tag: "Unsubscribe", packetIdentifier: 3, filters: ["o/r"], properties: {} }),
          client.next("Unsuback")
        )
        for (const retainHandling of [2, 1, 1, 0] as const) {
          yield* Raw.subscribe(client, 1, [Raw.subscribeFilter("o/r", { qos: 0, retainHandling })])
          results.push(yield* transcript(client))
        }
        yield* unsubscribe
        yield* Raw.subscribe(client, 2, [
          Raw.subscribeFilter("o/r", { qos: 0, retainHandling: 2, retainAsPublished: true, noLocal: true })
        ])
        yield* other.send(Raw.publishPacket("o/r", "new", { retain: true }))
        yield* transcript(other)
        results.push(yield* transcript(client))
        yield* client.send(Raw.publishPacket("o/r", "mine"))
        results.push(yield* transcript(client))
        return results
      })
  },
  {
    title: "overlapping subscriptions with identifiers",
    versions: [5],
    notOnAedes: "sends one copy with the last identifier only",
    run: (dial) =>
      Effect.gen(function*() {
        const client = yield* Raw.connect(dial, 5, "overlap")
        yield* Raw.subscribe(client, 1, [Raw.subscribeFilter("v/#", { qos: 0 })], 7)
        yield* Raw.subscribe(client, 2, [Raw.subscribeFilter("v/+", { qos: 1 })], 8)
        const publisher = yield* Raw.connect(dial, 5, "publisher")
        yield* publisher.send(Raw.publishPacket("v/1", "x", { qos: 1, packetIdentifier: 5 }))
        yield* publisher.next("Puback")
        const copies = yield* transcript(client)
        return [...copies].sort((a, b) => JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)
      })
  },
  {
    title: "the properties of a message",
    versions: [5],
    run: (dial) =>
      Effect.gen(function*() {
        const client = yield* Raw.connect(dial, 5, "properties")
        yield* Raw.subscribe(client, 1, [Raw.subscribeFilter("m", { qos: 0 })])
        yield* client.send(Raw.publishPacket("m", "x", {
          properties: {
            payloadFormatIndicator: 1,
            messageExpiryInterval: 100,
            contentType: "text/plain",
            responseTopic: "answers",
            userProperties: [["k", "1"], ["k", "2"]]
          }
        }))
        return yield* transcript(client)
      })
  },
  {
    title: "shared subscriptions: each message once",
    versions: [5],
    notOnAedes: "refuses or loses them",
    run: (dial) =>
      Effect.gen(function*() {
        const members: Array<Client> = []
        for (const name of ["m1", "m2"]) {
          const member = yield* Raw.connect(dial, 5, name)
          yield* Raw.subscribe(member, 1, [Raw.subscribeFilter("$share/g/s", { qos: 0 })])
          members.push(member)
        }
        const publisher = yield* Raw.connect(dial, 5, "publisher")
        for (let i = 0; i < 6; i++) yield* publisher.send(Raw.publishPacket("s", `${i}`))
        yield* transcript(publisher)
        const counts: Array<number> = []
        for (const member of members) counts.push((yield* transcript(member)).length)
        return counts
      })
  }
]

const reference = (scenario: Scenario, version: ProtocolVersion) =>
  Effect.scoped(Effect.gen(function*() {
    // mosquitto sends one copy for each overlapping subscription on MQTT 5.
    const broker = yield* ScriptedBroker.make({ overlapping: version === 5 ? "separate" : "merge" })
    const result = yield* scenario.run(Raw.dialTcp(broker.ports.tcp!), version)
    assert.deepStrictEqual(broker.violations, [])
    return result
  }))

const rows = scenarios.flatMap((scenario) =>
  scenario.versions.map((version) => [`${scenario.title}, version ${version}`, scenario, version] as const)
)

describe.skipIf(!MosquittoBroker.isPresent())("the scripted broker and mosquitto show the same to a client", () => {
  it.live.each(rows.filter(([, { notOnMosquitto }]) => notOnMosquitto === undefined))(
    "%s",
    ([, scenario, version]) =>
      Effect.gen(function*() {
        const broker = yield* MosquittoBroker.make()
        const real = yield* Effect.scoped(scenario.run(Raw.dialTcp(broker.ports.tcp!), version))
        assert.deepStrictEqual(yield* reference(scenario, version), real)
      })
  )
})

describe("the scripted broker and aedes show the same to a client", () => {
  it.live.each(rows.filter(([, { notOnAedes }]) => notOnAedes === undefined))(
    "%s",
    ([, scenario, version]) =>
      Effect.gen(function*() {
        const broker = yield* AedesBroker.make()
        const real = yield* Effect.scoped(scenario.run(Raw.dialTcp(broker.ports.tcp!), version))
        assert.deepStrictEqual(yield* reference(scenario, version), real)
      })
  )
})
