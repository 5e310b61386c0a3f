import { assert, describe, it } from "@effect/vitest"
import { bytes, Harness, outcomeOf, publishesOf } from "./harness.ts"

describe("the server's limits", () => {
  it("sends a topic alias with the topic first, then alone", () => {
    const h = new Harness()
    h.connect(false, { topicAliasMaximum: 5 })
    for (const topic of ["a", "a", "b", "a"]) h.publish(topic, 1, { topicAlias: 5 })
    assert.deepStrictEqual(publishesOf(h.flush()).map(({ properties, topic }) => [topic, properties.topicAlias]), [
      ["a", 5],
      ["", 5],
      ["b", 5],
      ["a", 5]
    ])
    h.disconnect()
    h.receive({ _tag: "Connack", sessionPresent: true, reasonCode: 0, properties: { topicAliasMaximum: 5 } })
    assert.deepStrictEqual(publishesOf(h.flush()).map(({ properties, topic }) => [topic, properties.topicAlias]), [
      ["a", undefined],
      ["a", undefined],
      ["b", undefined],
      ["a", undefined]
    ])
  })

  it("never sends a topic alias above the server's Topic Alias Maximum [MQTT5-3.2.2-17] [MQTT5-3.3.2-9]", () => {
    const h = new Harness()
    h.connect(false, { topicAliasMaximum: 5 })
    assert.strictEqual(h.refusal("a", 0, { topicAlias: 6 }), "NotSupported")
    h.disconnect()
    h.publish("a", 0, { topicAlias: 5 })
    h.receive({ _tag: "Connack", sessionPresent: false, reasonCode: 0, properties: { topicAliasMaximum: 4 } })
    assert.deepStrictEqual(publishesOf(h.flush()).map(({ properties, topic }) => [topic, properties.topicAlias]), [[
      "a",
      undefined
    ]])
  })

  it("sends no topic alias when the server allows none [MQTT5-3.2.2-18]", () => {
    const h = new Harness()
    h.publish("a", 0, { topicAlias: 1 })
    h.connect()
    assert.strictEqual(h.refusal("a", 0, { topicAlias: 1 }), "NotSupported")
    h.disconnect()
    h.publish("b", 0, { topicAlias: 1 })
    h.receive({ _tag: "Connack", sessionPresent: true, reasonCode: 0, properties: {} })
    assert.deepStrictEqual(publishesOf(h.flush()).map(({ properties, topic }) => [topic, properties.topicAlias]), [[
      "b",
      undefined
    ]])
  })

  it("never sends topic alias 0 [MQTT5-3.3.2-8]", () => {
    const h = new Harness()
    h.connect(false, { topicAliasMaximum: 5 })
    h.publish("a", 0, { properties: { contentType: "x" } })
    assert.notProperty(publishesOf(h.flush())[0]!.properties, "topicAlias")
  })

  it("forgets the topic aliases of both directions with the connection [MQTT5-3.3.2-7]", () => {
    const h = new Harness({ topicAliasMaximum: 5 })
    h.connect(false, { topicAliasMaximum: 5 })
    h.publish("a", 0, { topicAlias: 1 })
    assert.strictEqual(publishesOf(h.flush())[0]!.topic, "a")
    const inbound = {
      _tag: "Publish",
      payload: bytes(""),
      qos: 0,
      retain: false,
      dup: false,
      packetIdentifier: 0
    } as const
    h.feed({ ...inbound, topic: "b", properties: { topicAlias: 1 } }, {
      ...inbound,
      topic: "",
      properties: { topicAlias: 1 }
    })
    h.disconnect()
    h.connect(true, { topicAliasMaximum: 5 })
    h.publish("a", 0, { topicAlias: 1 })
    assert.strictEqual(publishesOf(h.flush())[0]!.topic, "a")
    assert.strictEqual(h.receive({ ...inbound, topic: "", properties: { topicAlias: 1 } })?.reasonCode, 0x82)
  })

  it("refuses a publish above the server's Maximum QoS [MQTT5-3.2.2-11]", () => {
    const h = new Harness()
    h.connect(false, { maximumQoS: 1 })
    assert.strictEqual(h.refusal("a", 2), "NotSupported")
    assert.strictEqual(h.refusal("a", 1), "Accepted")
    h.disconnect()
    const early = h.publish("b", 2)
    assert.deepStrictEqual(h.connect(true, { maximumQoS: 1 }).settled, [early])
    assert.strictEqual(outcomeOf(early), "NotSupported")
  })

  it("refuses a retained publish when the server does not retain [MQTT5-3.2.2-14]", () => {
    const h = new Harness()
    const early = h.publish("b", 0, { retain: true })
    const { packets, settled } = h.connect(false, { retainAvailable: false })
    assert.deepStrictEqual([packets, settled], [[], [early]])
    assert.strictEqual(outcomeOf(early), "NotSupported")
    assert.strictEqual(h.refusal("a", 0, { retain: true }), "NotSupported")
    assert.strictEqual(h.refusal("a", 0), "Accepted")
  })

  it("refuses a packet over the server's Maximum Packet Size before it is sent [MQTT5-3.2.2-15]", () => {
    const h = new Harness()
    // Fixed header 2, topic 2 + 1, identifier 2, property length 1.
    const fits = { payload: new Uint8Array(92) }
    const tooLarge = { payload: new Uint8Array(93) }
    const early = h.publish("a", 1, tooLarge)
    h.connect(false, { maximumPacketSize: 100 })
    assert.strictEqual(outcomeOf(early), "PacketTooLarge")
    assert.strictEqual(h.refusal("a", 1, tooLarge), "PacketTooLarge")
    assert.strictEqual(h.refusal("a", 1, { ...fits, properties: { contentType: "x" } }), "PacketTooLarge")
    assert.strictEqual(h.refusal("a", 1, fits), "Accepted")
    assert.deepStrictEqual(h.sent(), ["PUBLISH1 1 a"])
    h.disconnect()
    assert.deepStrictEqual(h.connect(true, { maximumPacketSize: 99 }).settled.length, 1)
  })

  it("refuses a response topic that holds a wildcard [MQTT5-3.3.2-14]", () => {
    const h = new Harness()
    assert.strictEqual(h.refusal("a", 0, { properties: { responseTopic: "b/+" } }), "InvalidTopic")
    assert.strictEqual(h.refusal("a", 0, { properties: { responseTopic: "b/#" } }), "InvalidTopic")
    assert.strictEqual(h.refusal("a", 0, { properties: { responseTopic: "b" } }), "Accepted")
  })
})
