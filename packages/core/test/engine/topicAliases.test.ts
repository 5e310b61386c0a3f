import { assert, describe, it } from "@effect/vitest"
import { encodeUserProperties } from "../../src/internal/codec/encodeProperties.ts"
import { encode } from "../../src/internal/codec/encoder.ts"
import { EncodedProperties } from "../../src/internal/encodedProperties.ts"
import type { EngineOptions } from "../../src/internal/engine/contract.ts"
import { Unexpected } from "../../src/MqttError.ts"
import { none } from "../../src/Properties.ts"
import { bytes, connack, Harness, publishesOf } from "./harness.ts"

const long = (name: string | number): string => `plant/hall/line/machine/${name}`

const make = (topicAliasMaximum: number, options: Partial<EngineOptions> = {}): Harness => {
  const h = new Harness(options)
  h.connect(false, { topicAliasMaximum })
  return h
}

/** The topic and the alias of the packets that these publishes become. */
const publishAll = (
  h: Harness,
  ...topics: ReadonlyArray<string>
): ReadonlyArray<readonly [string, number | undefined]> => {
  for (const topic of topics) h.publish(topic, 0)
  return publishesOf(h.flush()).map(({ properties, topic }) => [topic, properties.topicAlias] as const)
}

describe("automatic topic aliases", () => {
  it("defines an alias with the second publish of a long topic, and sends it alone from the third on", () => {
    const a = long("a")
    assert.deepStrictEqual(publishAll(make(5), a, a, a, a), [[a, undefined], [a, 5], ["", 5], ["", 5]])
  })

  it("never sends an alias above the server's Topic Alias Maximum, nor 0 [MQTT5-3.3.2-8] [MQTT5-3.3.2-9]", () => {
    const h = make(2)
    const topics = Array.from({ length: 40 }, (_, i) => long(i % 5))
    const aliases = publishAll(h, ...topics).map(([, alias]) => alias).filter((alias) => alias !== undefined)
    assert.deepStrictEqual([...new Set(aliases)].sort(), [1, 2])
  })

  it.each<[string, () => Harness]>([
    ["the server allows none", () => make(0)],
    ["the server does not say so", () => {
      const h = new Harness()
      h.connect()
      return h
    }],
    ["the option is explicit", () => make(5, { topicAliases: "explicit" })],
    ["the connection is 3.1.1", () => {
      const h = new Harness({ protocolVersion: 4 })
      h.connect()
      return h
    }]
  ])("sends none when %s [MQTT5-3.2.2-18]", (_, make) => {
    const a = long("a")
    assert.deepStrictEqual(publishAll(make(), a, a, a), [[a, undefined], [a, undefined], [a, undefined]])
  })

  it("gives none to a short topic, to one that is too long to keep, and to one that comes once", () => {
    const tooLong = long("x".repeat(1024))
    const topics = ["a/short/topic", "a/short/topic", "a/short/topic", tooLong, tooLong, tooLong, long(1), long(2)]
    assert.deepStrictEqual(publishAll(make(5), ...topics), topics.map((topic) => [topic, undefined]))
  })

  it("gives the alias of the topic that was used least recently to one that comes back sooner", () => {
    const h = make(2)
    const [a, b, c] = [long("a"), long("b"), long("c")]
    publishAll(h, a, a, b, b, a)
    assert.deepStrictEqual(publishAll(h, c, c, c), [[c, undefined], [c, 1], ["", 1]])
    assert.deepStrictEqual(publishAll(h, a, b, b, b), [["", 2], [b, undefined], [b, 1], ["", 1]])
  })

  it("keeps its aliases when more topics than aliases come in turn", () => {
    const h = make(4)
    const topics = Array.from({ length: 100 }, (_, i) => long(i % 10))
    const sent = publishAll(h, ...topics)
    assert.lengthOf(sent.filter(([topic, alias]) => topic !== "" && alias !== undefined), 4)
    assert.lengthOf(sent.filter(([topic]) => topic === ""), 4 * 8)
  })

  it("uses at most 256 aliases, whatever the server allows", () => {
    const topics = Array.from({ length: 1200 }, (_, i) => long(i % 400))
    const aliases = publishAll(make(65_535), ...topics).flatMap(([, alias]) => alias ?? [])
    assert.strictEqual(new Set(aliases).size, 256)
    assert.strictEqual(Math.min(...aliases), 65_535 - 255)
  })

  it("forgets them with the connection [MQTT5-3.3.2-7]", () => {
    const h = make(5)
    const a = long("a")
    publishAll(h, a, a, a)
    h.disconnect()
    h.connect(true, { topicAliasMaximum: 3 })
    assert.deepStrictEqual(publishAll(h, a, a, a), [[a, undefined], [a, 3], ["", 3]])
  })

  it("sends a retransmission with its topic and without an alias", () => {
    const h = make(5)
    const a = long("a")
    for (let i = 0; i < 3; i++) h.publish(a, 1)
    assert.deepStrictEqual(publishesOf(h.flush()).map(({ topic }) => topic), [a, a, ""])
    h.disconnect()
    h.receive(connack(true, { topicAliasMaximum: 5 }))
    h.publish(a, 1)
    h.publish(a, 1)
    assert.deepStrictEqual(
      publishesOf(h.flush()).map(({ dup, properties, topic }) => [dup, topic, properties.topicAlias]),
      [
        [true, a, undefined],
        [true, a, undefined],
        [true, a, undefined],
        [false, a, undefined],
        [false, a, 5]
      ]
    )
  })

  it("defines an alias again when the packet that defined it is not sent", () => {
    const h = make(5, { durable: true })
    const a = long("a")
    publishAll(h, a)
    h.publish(a, 1)
    const output = h.engine.take()
    assert.deepStrictEqual(publishesOf(output!).map(({ properties }) => properties.topicAlias), [5])
    h.engine.reject(output, new Unexpected({ detail: "disk full" }), h.now)
    h.engine.written()
    assert.deepStrictEqual(publishAll(h, a, a, a), [[a, undefined], [a, 5], ["", 5]])
  })

  it("leaves an alias to a publisher that chooses it", () => {
    const h = make(2)
    const [a, b] = [long("a"), long("b")]
    publishAll(h, a, a, a)
    h.publish(b, 0, { topicAlias: 2 })
    h.publish(b, 0, { topicAlias: 2 })
    assert.deepStrictEqual(publishesOf(h.flush()).map(({ properties, topic }) => [topic, properties.topicAlias]), [
      [b, 2],
      ["", 2]
    ])
    assert.deepStrictEqual(publishAll(h, a, a), [[a, 1], ["", 1]])
    assert.notInclude(publishAll(h, ...Array.from({ length: 30 }, (_, i) => long(i % 3))).map(([, alias]) => alias), 2)
  })

  it("keeps the other properties, and those that are encoded stay encoded", () => {
    const a = long("a")
    const encoded = encodeUserProperties([["route", "x".repeat(150)]])
    for (const properties of [{ contentType: "text/plain", userProperties: [["k", "v"]] as const }, encoded]) {
      const h = make(5)
      for (let i = 0; i < 3; i++) h.publish(a, 0, { properties })
      const last = publishesOf(h.flush())[2]!
      assert.deepStrictEqual({ ...last.properties }, { ...properties, topicAlias: 5 })
      assert.strictEqual(EncodedProperties.bytesOf(last.properties) !== undefined, properties === encoded)
      const plain = { ...last, properties: { ...properties, topicAlias: 5 } }
      assert.deepStrictEqual([...encode(last, 5)].sort(), [...encode(plain, 5)].sort())
    }
  })

  it("never makes a packet larger than the server's Maximum Packet Size", () => {
    const a = long("a")
    // Fixed header 2, topic, property length 1.
    const payload = new Uint8Array(100 - 2 - 2 - a.length - 1)
    const h = new Harness()
    h.connect(false, { topicAliasMaximum: 5, maximumPacketSize: 100 })
    for (let i = 0; i < 3; i++) h.publish(a, 0, { payload })
    for (const packet of publishesOf(h.flush())) assert.isAtMost(encode(packet, 5).length, 100)
  })

  it("sends fewer bytes than without", () => {
    const size = (topicAliases: "auto" | "explicit"): number => {
      const h = make(10, { topicAliases })
      for (let i = 0; i < 100; i++) h.publish(long(i % 10), 0, { payload: bytes("21.5"), properties: none })
      return publishesOf(h.flush()).reduce((sum, packet) => sum + encode(packet, 5).length, 0)
    }
    assert.isBelow(size("auto"), size("explicit") / 2)
  })
})
