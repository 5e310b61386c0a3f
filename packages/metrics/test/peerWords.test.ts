/**
 * What servers and publishers say is shown on one line, clean and short, wherever it gets to. What programs may need
 * exactly stays as it is.
 */
import type { Packet } from "@effect-mqttx/core/Packet"
import * as PayloadCodec from "@effect-mqttx/core/PayloadCodec"
import * as RequestResponse from "@effect-mqttx/core/RequestResponse"
import * as SessionManager from "@effect-mqttx/core/SessionManager"
import * as TopicTemplate from "@effect-mqttx/core/TopicTemplate"
import * as Transport from "@effect-mqttx/core/Transport"
import * as Fault from "@effect-mqttx/testing/Fault"
import type * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option, Result, Schema, Stream } from "effect"
import { logOf } from "../../../test/support/managers.ts"
import { makeBroker } from "../../../test/support/sessions.ts"
import { makeWitness, type Witness } from "./witness.ts"

/**
 * A forged log line, a terminal sequence, a reversed name, an invisible mark, and far more than anyone wants to read.
 */
const evil = `said\n2026-01-01 ERROR forged\r\u001b[31m\u009b0m\u202egnp.exe\u2066\u200b\u2028${"x".repeat(2000)}`

const topic = "evil/\nforged\u001b[31m\u202e"

const impatient = { initialDelay: "1 millis", maxDelay: "1 millis", factor: 1, jitter: "none" } as const

// eslint-disable-next-line no-control-regex
const dangerous = /[\u0000-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]/

/** The texts in a value that JSON has carried. */
const textsIn = (value: unknown): ReadonlyArray<string> =>
  typeof value === "string"
    ? [value]
    : typeof value === "object" && value !== null
    ? Object.values(value).flatMap(textsIn)
    : []

const inJson = new Set(["snapshot", "page", "reason fields"])

const searched = Effect.fnUntraced(function*(witness: Witness) {
  yield* witness.seen
  let said = 0
  for (const [where, shown] of witness.shown) {
    // Many lines, of which each is looked at.
    const lines = where === "prometheus" ? shown.split("\n") : inJson.has(where) ? textsIn(JSON.parse(shown)) : [shown]
    for (const text of lines) {
      assert.notMatch(text, dangerous, where)
      assert.isAtMost(text.length, 1000, `${where}: ${text}`)
      if (text.includes("forged")) said++
    }
  }
  // Otherwise nothing was proved.
  assert.isAbove(said, 0)
  return said
})

/** Changes what the broker says in packets of a type. */
const saying = <Tag extends Packet["_tag"]>(
  broker: ScriptedBroker.Service,
  packet: Tag,
  change: (packet: Extract<Packet, { readonly _tag: Tag }>) => Packet,
  times = Infinity
) =>
  broker.inject(Fault.replace(
    { direction: "sent", packet },
    (sent) => [change(sent as Extract<Packet, { readonly _tag: Tag }>)],
    { times }
  ))

const world = Effect.fnUntraced(function*(witness: Witness) {
  const broker = yield* makeBroker("memory")
  const manager = yield* Effect.provideService(SessionManager.make(), Transport.Transport, broker.transport)
  yield* witness.watch(manager)
  return { broker, manager, log: yield* logOf(manager) }
})

describe("what a server says", () => {
  it.live("in CONNACK and DISCONNECT is clean in errors, events, logs, states and on the page, and raw in the properties", () =>
    Effect.gen(function*() {
      const witness = makeWitness()
      yield* Effect.gen(function*() {
        const { broker, log, manager } = yield* world(witness)
        const words = { reasonString: evil, serverReference: evil }
        const codes = [0x80, 0x84, 0x85, 0x86, 0x87, 0x9c, 0x9d]
        let next = 0
        yield* saying(
          broker,
          "Connack",
          (packet) => ({ ...packet, sessionPresent: false, reasonCode: codes[next++]!, properties: words }),
          codes.length
        )
        yield* manager.add({
          name: "plant",
          clientId: "plant",
          servers: broker.url,
          reconnect: { ...impatient, permanentDelay: "1 millis" }
        })
        yield* manager.awaitReady("plant").pipe(Effect.retry({ times: 1000 }))
        assert.strictEqual(next, codes.length)
        for (const reasonCode of [0x00, 0x81, 0x87, 0x8b, 0x8c, 0x8e, 0x9d, 0x98]) {
          const count = log.all.filter(({ _tag }) => _tag === "Disconnected").length
          yield* broker.sendPacket("plant", { _tag: "Disconnect", reasonCode, properties: words })
          yield* log.until(() => log.all.filter(({ _tag }) => _tag === "Disconnected").length > count)
          yield* broker.awaitUntil(() => broker.connection("plant")?.connack !== undefined)
          yield* log.until(() => log.all.at(-1)?._tag === "Ready")
        }
        yield* broker.clearFaults
        yield* saying(broker, "Connack", (packet) => ({ ...packet, properties: { reasonString: evil } }), 1)
        yield* broker.cut("plant")
        yield* log.until((event) => event._tag === "Reconnecting" && event.error.reason._tag === "ConnectionLost")
        yield* Effect.repeat(manager.get("plant").pipe(Effect.flatMap(({ connectionInfo }) => connectionInfo)), {
          until: (info) => Option.isSome(info) && info.value.properties.reasonString === evil
        })
        assert.isAbove(yield* searched(witness), 40)
      }).pipe(Effect.scoped, Effect.provide(witness.layer))
    }))

  it.live("about a publish, a subscription and its end is clean in errors and logs, and raw in the receipt of a success", () =>
    Effect.gen(function*() {
      const witness = makeWitness()
      yield* Effect.gen(function*() {
        const { broker, manager } = yield* world(witness)
        const session = yield* manager.add({ name: "plant", servers: broker.url, reconnect: impatient })
        yield* session.awaitReady
        for (const packet of ["Puback", "Pubrec"] as const) {
          yield* saying(
            broker,
            packet,
            (sent) => ({ ...sent, reasonCode: 0x97, properties: { reasonString: evil } }),
            1
          )
          witness.error(yield* Effect.flip(session.publish("t", "", { qos: packet === "Puback" ? 1 : 2 })))
        }
        yield* saying(broker, "Puback", (sent) => ({ ...sent, properties: { reasonString: evil } }), 1)
        assert.strictEqual((yield* session.publish("t", "", { qos: 1 })).reasonString, evil)
        yield* saying(
          broker,
          "Suback",
          (sent) => ({ ...sent, reasonCodes: [0x87], properties: { reasonString: evil } }),
          1
        )
        witness.error(yield* Effect.flip(Effect.scoped(session.subscription("s"))))
        yield* session.subscription("u", { qos: 1 })
        yield* saying(
          broker,
          "Unsuback",
          (sent) => ({ ...sent, reasonCodes: [0x87], properties: { reasonString: evil } }),
          1
        )
        witness.error(yield* Effect.flip(session.unsubscribe("u")))
        yield* searched(witness)
      }).pipe(Effect.scoped, Effect.provide(witness.layer))
    }))
})

describe("what a publisher says", () => {
  it.live("in topics, payloads and properties is clean in errors and logs, and raw in the message", () =>
    Effect.gen(function*() {
      const witness = makeWitness()
      const number = PayloadCodec.json(Schema.Finite)
      yield* Effect.gen(function*() {
        const { broker, log, manager } = yield* world(witness)
        const session = yield* manager.add({
          name: "plant",
          servers: broker.url,
          reconnect: impatient,
          streamBuffer: 1
        })
        yield* session.awaitReady

        // A stream of typed values: what cannot be read is a failure with its message.
        const template = TopicTemplate.make("evil/:name", number)
        const typed = yield* template.subscription(session, { onInvalid: "result", qos: 1 })
        yield* broker.publish(topic, evil, { qos: 1 })
        yield* broker.publish(topic, "1", { qos: 1, properties: { contentType: evil } })
        for (const result of yield* typed.messages.pipe(Stream.take(2), Stream.runCollect)) {
          const { error, message } = Result.getOrThrow(Result.flip(result))
          witness.error(error)
          assert.strictEqual(message.topic, topic)
        }
        // The message itself says why it is no JSON.
        const received = yield* Effect.forkScoped(
          session.subscribe("json/#").pipe(Stream.take(1), Stream.runCollect),
          { startImmediately: true }
        )
        yield* broker.awaitUntil(() => broker.subscriptions(broker.sessions[0]!.clientId).length === 2)
        yield* broker.publish("json/evil", evil)
        const [message] = yield* Fiber.join(received)
        witness.error(yield* Effect.flip(message!.decode(Schema.fromJsonString(Schema.Finite))))
        assert.strictEqual(message!.text, evil)

        // Messages that are dropped: the topic is exact in the event, and clean on the page and in the log.
        yield* session.subscription("evil/#")
        for (let n = 0; n < 3; n++) yield* broker.publish(topic, "")
        const dropped = yield* log.until((event) => event._tag === "MessageDropped")
        assert.strictEqual(dropped._tag === "MessageDropped" && dropped.topic, topic)

        // A handler that fails is logged with its topic.
        yield* session.consume("+/+", () => Effect.fail("no"), { onFailure: "skip", retained: "none" }).pipe(
          Effect.forkScoped
        )
        yield* broker.awaitUntil(() => broker.subscriptions(broker.sessions[0]!.clientId).length === 3)
        yield* broker.publish(topic, "1", { qos: 1 })
        yield* witness.until((where, text) => where === "log annotation topic" && text.startsWith("evil/ forged"))

        // An answer that says why the request failed.
        const request = RequestResponse.template("ask/:what", { request: number, response: number })
        for (const status of ["invalid", "error"]) {
          const asked = yield* Effect.forkScoped(
            Effect.flip(request.request(session, { what: "x" }, 1))
          )
          const { packet } = yield* broker.awaitPacket({
            direction: "received",
            packet: "Publish",
            where: ({ packet: sent }) => sent._tag === "Publish" && sent.topic === "ask/x",
            nth: status === "invalid" ? 1 : 2
          })
          yield* broker.publish(packet.properties.responseTopic!, evil, {
            qos: 1,
            properties: {
              correlationData: packet.properties.correlationData!,
              userProperties: [["mqttx-status", status]]
            }
          })
          witness.error(yield* Fiber.join(asked))
        }
        assert.isAbove(yield* searched(witness), 8)
      }).pipe(Effect.scoped, Effect.provide(witness.layer))
    }))
})
