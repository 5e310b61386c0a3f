import type { ProtocolVersion } from "@effect-mqttx/core/QoS"
import * as Fault from "@effect-mqttx/testing/Fault"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { within } from "../../../../test/support/within.ts"
import { eventsOf, Ledger, makeBroker, makeSession, nextEvent, readySession } from "./support.ts"

type Bytes = ReadonlyArray<number>

interface Hostility {
  readonly version: ProtocolVersion
  /** The packet identifier of a QoS 1 publish that is on its way is put in for `identifier`. */
  readonly bytes: ReadonlyArray<number | typeof identifier>
  /** What DISCONNECT says on MQTT 5, and the reason on both. */
  readonly code: number
}

const topic: Bytes = [0, 3, 0x61, 0x2f, 0x62]

const identifier = "identifier"

const hostile = (version: ProtocolVersion, code: number, ...bytes: Hostility["bytes"]): Hostility => ({
  version,
  bytes,
  code
})

const beforeConnack: Record<string, Hostility> = {
  "a CONNACK with a cut property": hostile(5, 0x81, 0x20, 5, 0, 0, 2, 0x21, 0),
  "a CONNACK with a property twice": hostile(5, 0x82, 0x20, 9, 0, 0, 6, 0x21, 0, 1, 0x21, 0, 1),
  "a CONNACK with a receive maximum of 0": hostile(5, 0x82, 0x20, 6, 0, 0, 3, 0x21, 0, 0),
  "a CONNACK that ends too early": hostile(5, 0x81, 0x20, 1, 0),
  "a CONNACK with bytes behind it, on 3.1.1": hostile(4, 0x81, 0x20, 3, 0, 0, 0),
  "session present after a clean start": hostile(5, 0x82, 0x20, 3, 1, 0, 0),
  "a PUBLISH in place of CONNACK": hostile(5, 0x82, 0x30, 6, ...topic, 0),
  "another protocol": hostile(4, 0x81, ...Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"))
}

const afterConnack: Record<string, Hostility> = {
  "a second CONNACK": hostile(5, 0x82, 0x20, 3, 0, 0, 0),
  "a QoS 1 PUBLISH without packet identifier": hostile(5, 0x81, 0x32, 5, ...topic),
  "a QoS 1 PUBLISH without packet identifier, on 3.1.1": hostile(4, 0x81, 0x32, 5, ...topic),
  "a QoS 2 PUBLISH with packet identifier 0": hostile(5, 0x82, 0x34, 8, ...topic, 0, 0, 0),
  "a PUBLISH with QoS 3": hostile(4, 0x81, 0x36, 7, ...topic, 0, 1),
  "a one-byte PUBREL": hostile(5, 0x81, 0x62, 1, 0),
  "a one-byte PUBREL, on 3.1.1": hostile(4, 0x81, 0x62, 1, 0),
  "a wildcard in a topic name": hostile(5, 0x81, 0x30, 6, 0, 3, 0x61, 0x2f, 0x23, 0),
  "a wildcard in a topic name, on 3.1.1": hostile(4, 0x81, 0x30, 5, 0, 3, 0x61, 0x2f, 0x2b),
  "a NUL in a topic name": hostile(5, 0x81, 0x30, 6, 0, 3, 0x61, 0, 0x62, 0),
  "a topic name that is not UTF-8": hostile(4, 0x81, 0x30, 5, 0, 3, 0xff, 0xfe, 0x61),
  "a topic name longer than its packet": hostile(5, 0x81, 0x30, 6, 0, 99, 0x61, 0x2f, 0x62, 0),
  "neither topic name nor alias": hostile(5, 0x82, 0x30, 3, 0, 0, 0),
  "an alias that was never defined": hostile(5, 0x82, 0x30, 6, 0, 0, 3, 0x23, 0, 7),
  "an alias beyond the maximum": hostile(5, 0x94, 0x30, 9, ...topic, 3, 0x23, 0xff, 0xff),
  "a property length beyond the packet": hostile(5, 0x81, 0x30, 6, ...topic, 9),
  "an unknown property": hostile(5, 0x81, 0x30, 8, ...topic, 2, 0x7f, 0),
  "a remaining length of five bytes": hostile(5, 0x81, 0x30, 0xff, 0xff, 0xff, 0xff, 0x7f),
  "a packet over the maximum packet size": hostile(5, 0x95, 0x30, 0xff, 0xff, 0xff, 0x7f),
  "PUBREC for a QoS 1 publish": hostile(5, 0x82, 0x50, 2, identifier),
  "PUBCOMP for a QoS 1 publish, on 3.1.1": hostile(4, 0x82, 0x70, 2, identifier),
  "SUBACK for a publish": hostile(5, 0x82, 0x90, 4, identifier, 0, 0),
  "a PINGRESP with a body": hostile(4, 0x81, 0xd0, 1, 0),
  "a packet that only clients send": hostile(5, 0x82, 0xc0, 0),
  "a reserved packet type": hostile(4, 0x81, 0x00, 0),
  "an AUTH nobody asked for": hostile(5, 0x82, 0xf0, 2, 0x18, 0)
}

const toBytes = (bytes: Hostility["bytes"], packetIdentifier = 0): Uint8Array =>
  Uint8Array.from(
    bytes.flatMap((byte) => byte === identifier ? [packetIdentifier >> 8, packetIdentifier & 0xff] : [byte])
  )

const reasonOf = (error: { readonly reason: { readonly _tag: string } } | undefined): unknown => {
  const reason = error?.reason
  return reason?._tag === "ProtocolViolation" && "reasonCode" in reason ? reason.reasonCode : reason?._tag
}

describe("in place of CONNACK", () => {
  for (const [title, { bytes, code, version }] of Object.entries(beforeConnack)) {
    it.live(`${title}: closed within a second with the right code, and the next attempt succeeds`, () =>
      Effect.gen(function*() {
        const broker = yield* makeBroker("tcp")
        yield* broker.inject(
          Fault.sendRaw({ direction: "sent", packet: "Connack" }, toBytes(bytes), { instead: true })
        )
        const session = yield* makeSession(broker, { protocolVersion: version, keepAlive: 0 })
        const events = yield* eventsOf(session)
        const published = yield* Effect.forkScoped(session.publish("t", "waiting", { qos: 1 }))
        yield* within(1000)(Effect.gen(function*() {
          assert.strictEqual(reasonOf((yield* nextEvent(events, "Reconnecting")).error), code)
          yield* broker.awaitUntil(() => broker.connections[0]?.closedAt !== undefined)
        }))
        yield* session.awaitReady
        yield* Fiber.join(published)
        assert.deepStrictEqual(
          broker.received("Disconnect").map(({ packet }) => packet.reasonCode),
          version === 5 ? [code] : []
        )
        // On 3.1.1 the server has made a session that the client knows nothing of, and has to discard it first.
        assert.lengthOf(broker.connections, version === 5 ? 2 : 3)
      }))
  }
})

describe("in the middle of traffic", () => {
  for (const [title, { bytes, code, version }] of Object.entries(afterConnack)) {
    it.live(`${title}: closed within a second with the right code, and traffic continues`, () =>
      Effect.gen(function*() {
        const broker = yield* makeBroker("tcp")
        const session = yield* readySession(broker, { protocolVersion: version, clientId: "plant", keepAlive: 0 })
        const ledger = new Ledger()
        const { messages } = yield* session.subscription("in", { qos: 1 })
        yield* Effect.forkScoped(
          Stream.runForEach(messages, (message) => Effect.sync(() => ledger.noteMessage(message)))
        )
        yield* broker.publish("in", "1", { qos: 1 })
        yield* ledger.complete(["in"], 1)
        const withheld = yield* broker.inject(Fault.withhold({ direction: "sent", packet: "Puback" }))
        const published = yield* Effect.forkScoped(
          Effect.forEach(["1", "2"], (payload) => session.publish("out", payload, { qos: 1 }), { concurrency: 2 })
        )
        yield* broker.awaitUntil(() => broker.received("Publish").length === 2)
        const { connection } = broker.connection("plant")!
        const { packetIdentifier } = broker.received("Publish")[0]!.packet
        const events = yield* eventsOf(session)

        yield* within(1000)(Effect.gen(function*() {
          yield* broker.sendRaw("plant", toBytes(bytes, packetIdentifier))
          assert.strictEqual(reasonOf((yield* nextEvent(events, "Disconnected")).error), code)
          yield* broker.awaitUntil(() =>
            broker.connections.some((each) => each.connection === connection && each.closedAt !== undefined)
          )
        }))
        assert.deepStrictEqual(
          broker.received("Disconnect").filter((each) => each.connection === connection).map(({ packet }) =>
            packet.reasonCode
          ),
          version === 5 ? [code] : []
        )

        yield* withheld.remove
        yield* nextEvent(events, "Ready")
        yield* Fiber.join(published)
        yield* broker.publish("in", "2", { qos: 1 })
        yield* ledger.complete(["in"], 2)
        assert.deepStrictEqual(broker.violations, [])
      }))
  }
})
