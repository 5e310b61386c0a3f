/**
 * The inbox: one row for each message, whatever comes again, and whatever ends when.
 */
import type { Message, Packet } from "@effect-mqttx/core"
import { MqttSession } from "@effect-mqttx/core"
import type { SqlInbox } from "@effect-mqttx/store-sql"
import { Fault, ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, layer } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Option, Scope } from "effect"
import { SqlError } from "effect/sql"
import { Database, databases } from "./support/databases.ts"
import { countOf, program, run } from "./support/programs.ts"

const publish = (packetIdentifier: number, text: string, dup = false, qos: 1 | 2 = 1): Packet.Packet => ({
  _tag: "Publish",
  topic: "orders/1",
  payload: new TextEncoder().encode(text),
  qos,
  retain: false,
  dup,
  packetIdentifier,
  properties: {}
})

/** A broker, a program whose handler inserts a row, and what it has handled. */
const world = Effect.fnUntraced(function*(
  prefix: string,
  options: Partial<SqlInbox.ConsumeOptions> = {},
  more: Omit<Parameters<typeof program>[2], "prefix"> = {}
) {
  const server = yield* Database
  const broker = yield* ScriptedBroker.make()
  const own = yield* program(server, broker, { prefix, ...more })
  const handled: Array<string> = []
  const consuming = yield* consume(own, handled, options)
  return { ...own, server, broker, handled, consuming }
})

type Program = Effect.Success<ReturnType<typeof program>>

const consume = Effect.fnUntraced(function*(
  { inbox, insert, session }: Program,
  handled: Array<string>,
  options: Partial<SqlInbox.ConsumeOptions> = {},
  handler: (message: Message.Message) => Effect.Effect<unknown, unknown> = insert
) {
  const subscribed = yield* Deferred.make<void>()
  const consuming = yield* Effect.forkScoped(
    inbox.consume(session, "orders/+", (message) =>
      Effect.suspend(() => {
        handled.push(message.text)
        return handler(message)
      }), {
      consumer: "billing",
      onSubscribed: () => Deferred.succeed(subscribed, undefined),
      ...options as object
    }),
    { startImmediately: true }
  )
  yield* Effect.raceFirst(Deferred.await(subscribed), Fiber.join(consuming))
  return consuming
})

/** Acknowledgements that the broker has. */
const acknowledged = (broker: ScriptedBroker.Service, count: number) =>
  broker.awaitUntil(() => broker.received("Puback").length + broker.received("Pubcomp").length >= count)

for (const { database, isPresent, name } of databases) {
  describe.skipIf(!isPresent())(`inbox in ${name}`, () => {
    layer(database, { excludeTestServices: true, timeout: "1 minute" })((it) => {
      for (const qos of [1, 2] as const) {
        it.effect(`a message whose acknowledgement was lost is handled once, QoS ${qos}`, () =>
          Effect.gen(function*() {
            const { broker, handled, texts } = yield* world(`lost${qos}`)
            const packet = qos === 1 ? "Puback" : "Pubrec"
            const fault = yield* broker.inject(Fault.dropBefore({ direction: "received", packet }))
            const { settled } = yield* broker.publish("orders/1", "one", { qos })
            yield* settled
            assert.strictEqual(fault.hits(), 1)
            // The broker had to send it twice.
            assert.deepStrictEqual(broker.sent("Publish").map(({ packet: { dup } }) => dup), [false, true])
            assert.deepStrictEqual(handled, ["one"])
            assert.deepStrictEqual(yield* texts, ["one"])
          }))

        it.effect(`and so is one that comes again to the next program, QoS ${qos}`, () =>
          Effect.gen(function*() {
            const server = yield* Database
            const broker = yield* ScriptedBroker.make()
            const prefix = `next${qos}`
            const packet = qos === 1 ? "Puback" : "Pubrec"
            const fault = yield* broker.inject(Fault.discard({ direction: "received", packet }, { times: 100 }))
            yield* Effect.scoped(Effect.gen(function*() {
              yield* consume(yield* program(server, broker, { prefix }), [])
              yield* broker.publish("orders/1", "one", { qos })
              yield* fault.awaitHits()
            }))
            yield* fault.remove
            const handled: Array<string> = []
            const next = yield* program(server, broker, { prefix })
            yield* consume(next, handled)
            yield* (yield* broker.publish("orders/1", "two", { qos })).settled
            assert.deepStrictEqual(handled, ["two"])
            assert.deepStrictEqual(yield* next.texts, ["one", "two"])
          }))
      }

      it.effect("without it, the same message makes two rows", () =>
        Effect.gen(function*() {
          const server = yield* Database
          const broker = yield* ScriptedBroker.make()
          const { insert, session, texts } = yield* program(server, broker, { prefix: "without" })
          const subscribed = yield* Deferred.make<void>()
          yield* Effect.forkScoped(
            session.consume("orders/+", insert, {
              qos: 1,
              onSubscribed: () => Deferred.succeed(subscribed, undefined)
            })
          )
          yield* Deferred.await(subscribed)
          yield* broker.inject(Fault.dropBefore({ direction: "received", packet: "Puback" }))
          yield* (yield* broker.publish("orders/1", "one", { qos: 1 })).settled
          assert.deepStrictEqual(yield* texts, ["one", "one"])
        }))

      it.effect("a handler that fails leaves neither its rows nor the record, and runs again", () =>
        Effect.gen(function*() {
          const server = yield* Database
          const broker = yield* ScriptedBroker.make()
          const own = yield* program(server, broker, { prefix: "failing" })
          const handled: Array<string> = []
          yield* consume(
            own,
            handled,
            {},
            (message) =>
              Effect.andThen(
                own.insert(message),
                Effect.suspend(() =>
                  handled.length < 2
                    ? Effect.fail("too early")
                    : Effect.void
                )
              )
          )
          yield* (yield* broker.publish("orders/1", "one", { qos: 1 })).settled
          assert.deepStrictEqual(handled, ["one", "one"])
          assert.deepStrictEqual(yield* own.texts, ["one"])
        }))

      it.effect("a commit whose reply is lost is not repeated", () =>
        Effect.gen(function*() {
          let lost = 0
          const { broker, handled, texts } = yield* world("reply", {}, {
            intercept: (sql) =>
              new Proxy(sql, {
                get: (target, name) =>
                  name !== "withTransaction" ?
                    Reflect.get(target, name) :
                    <A, E, R>(effect: Effect.Effect<A, E, R>) =>
                      Effect.flatMap(target.withTransaction(effect), (result) =>
                        // The first attempt of the message, behind the transaction that makes the tables.
                        Option.isOption(result) && lost++ === 0
                          ? Effect.fail(
                            new SqlError.SqlError({
                              reason: new SqlError.ConnectionError({ message: "gone", cause: undefined })
                            })
                          )
                          : Effect.succeed(result))
              })
          })
          yield* (yield* broker.publish("orders/1", "one", { qos: 1 })).settled
          assert.isAbove(lost, 1)
          assert.deepStrictEqual(handled, ["one"])
          assert.deepStrictEqual(yield* texts, ["one"])
        }))

      it.effect("an equal message under the same packet identifier is another one when it comes without DUP", () =>
        Effect.gen(function*() {
          const { broker, session, sql, texts } = yield* world("equal")
          const target = session.name
          for (let count = 1; count <= 3; count++) {
            yield* broker.sendPacket(target, publish(7, "on"))
            yield* acknowledged(broker, count)
          }
          assert.deepStrictEqual(yield* texts, ["on", "on", "on"])
          // A packet identifier has one row, however often it is used.
          assert.strictEqual(yield* countOf(sql, "equal_inbox_deliveries"), 1)
        }))

      it.effect("and also when it was not processed the first time, and comes again", () =>
        Effect.gen(function*() {
          const server = yield* Database
          const broker = yield* ScriptedBroker.make()
          const own = yield* program(server, broker, { prefix: "again" })
          const begun = yield* Deferred.make<void>()
          const first = yield* Scope.make()
          let hangs = false
          yield* Scope.provide(
            consume(own, [], {}, (message) =>
              Effect.suspend(() =>
                hangs ? Effect.andThen(Deferred.succeed(begun, undefined), Effect.never) : own.insert(message)
              )),
            first
          )
          yield* broker.sendPacket("again", publish(7, "on"))
          yield* acknowledged(broker, 1)
          hangs = true
          yield* broker.sendPacket("again", publish(7, "on"))
          yield* Deferred.await(begun)
          yield* Scope.close(first, Exit.void)
          hangs = false
          yield* broker.cut("again")
          yield* broker.awaitConnections(1, "again")
          yield* own.session.awaitReady
          yield* consume(own, [])
          yield* broker.sendPacket("again", publish(7, "on", true))
          yield* acknowledged(broker, 2)
          assert.deepStrictEqual(yield* own.texts, ["on", "on"])
        }))

      it.effect("an equal message in a new session of the server is another one, although only its redelivery arrives", () =>
        Effect.gen(function*() {
          const server = yield* Database
          const broker = yield* ScriptedBroker.make()
          const prefix = "renewed"
          yield* Effect.scoped(Effect.gen(function*() {
            const first = yield* program(server, broker, { prefix })
            yield* consume(first, [])
            yield* broker.sendPacket(prefix, publish(1, "on"))
            yield* acknowledged(broker, 1)
            yield* broker.cut(prefix)
            assert.isTrue(yield* broker.forgetSession(prefix))
            yield* broker.awaitConnections(2)
            yield* broker.awaitUntil(() => broker.subscriptions(prefix).length === 1)
            // Its packet identifiers begin again, and its first message is lost with a connection.
            yield* broker.cut(prefix)
            yield* broker.awaitConnections(3)
            yield* broker.sendPacket(prefix, publish(1, "on", true))
            yield* acknowledged(broker, 2)
            assert.deepStrictEqual(yield* first.texts, ["on", "on"])
          }))
          // The next program knows the session of the server again: this one is a redelivery.
          const next = yield* program(server, broker, { prefix })
          yield* consume(next, [])
          yield* broker.sendPacket(prefix, publish(1, "on", true))
          yield* acknowledged(broker, 3)
          assert.deepStrictEqual(yield* next.texts, ["on", "on"])
        }))

      it.effect("a redelivery of other content under the same packet identifier is another message", () =>
        Effect.gen(function*() {
          const { broker, session, texts } = yield* world("content")
          yield* broker.sendPacket(session.name, publish(7, "on"))
          yield* broker.sendPacket(session.name, publish(7, "off", true))
          yield* broker.sendPacket(session.name, publish(7, "off", true))
          yield* acknowledged(broker, 3)
          assert.deepStrictEqual(yield* texts, ["on", "off"])
        }))

      it.effect("what a publisher sends twice is one message by its key, in any session, and two without", () =>
        Effect.gen(function*() {
          const key = (message: Message.Message) => message.text.split(":")[0]
          const { broker, inbox, session, sql, texts } = yield* world("keys", { key })
          for (const text of ["a:1", "a:2", "b:1"]) yield* (yield* broker.publish("orders/1", text, { qos: 1 })).settled
          assert.deepStrictEqual(yield* texts, ["a:1", "b:1"])
          const messages: Array<Message.Message> = []
          yield* Effect.forkScoped(
            session.consume("other/+", (message) => Effect.sync(() => messages.push(message)), { qos: 1 })
          )
          yield* broker.awaitUntil(() => broker.subscriptions(session.name).length === 2)
          yield* (yield* broker.publish("other/1", "a:3", { qos: 1 })).settled
          const message = messages[0]!
          const elsewhere = yield* inbox.once(message.with({ session: "elsewhere" }), Effect.succeed(1), {
            consumer: "billing",
            key: "a"
          })
          assert.deepStrictEqual(elsewhere, Option.none())
          const other = yield* inbox.once(message, Effect.succeed(1), { consumer: "shipping", key: "a" })
          assert.deepStrictEqual(other, Option.some(1))
          assert.strictEqual(yield* countOf(sql, "keys_inbox_keys"), 3)
        }))

      it.effect("keys are bounded in number and age", () =>
        Effect.gen(function*() {
          const server = yield* Database
          const broker = yield* ScriptedBroker.make()
          const own = yield* program(server, broker, {
            prefix: "bounded",
            inbox: { keepKeys: 20, keepKeysFor: "1 day" }
          })
          const handled: Array<string> = []
          yield* consume(own, handled, { key: ({ text }) => text })
          for (let number = 0; number < 100; number++) {
            yield* (yield* broker.publish("orders/1", `${number}`, { qos: 1 })).settled
            assert.isAtMost(yield* countOf(own.sql, "bounded_inbox_keys"), 22)
          }
          assert.lengthOf(handled, 100)
          yield* run(own.sql, `UPDATE bounded_inbox_keys SET processed_at = ${server.hoursBefore("processed_at", 25)}`)
          for (const text of ["a", "b"]) yield* (yield* broker.publish("orders/1", text, { qos: 1 })).settled
          assert.strictEqual(yield* countOf(own.sql, "bounded_inbox_keys"), 2)
          // The 99th is forgotten, and the first of the new ones is not.
          for (const text of ["99", "a"]) yield* (yield* broker.publish("orders/1", text, { qos: 1 })).settled
          assert.deepStrictEqual(handled.slice(100), ["a", "b", "99"])
        }))

      it.effect("a former owner of the session records nothing and keeps no rows", () =>
        Effect.gen(function*() {
          const { broker, consuming, handled, session, sql, texts } = yield* world("former", { onFailure: "fail" })
          yield* run(sql, "UPDATE former_sessions SET epoch = epoch + 1")
          yield* broker.sendPacket(session.name, publish(7, "on"))
          const error = yield* Effect.flip(Fiber.join(consuming))
          assert.match(String((error as Error).message), /fenced/)
          assert.deepStrictEqual(handled, [])
          assert.deepStrictEqual(yield* texts, [])
        }))

      it.effect("a transaction that its caller has begun is not its own", () =>
        Effect.gen(function*() {
          const { broker, inbox, session, sql } = yield* world("nested")
          const messages: Array<Message.Message> = []
          yield* Effect.forkScoped(
            session.consume("other/+", (message) => Effect.sync(() => messages.push(message)), { qos: 1 })
          )
          yield* broker.awaitUntil(() => broker.subscriptions(session.name).length === 2)
          yield* (yield* broker.publish("other/1", "a", { qos: 1 })).settled
          const once = inbox.once(messages[0]!, Effect.succeed(1), { consumer: "audit" })
          const failure = yield* Effect.flip(sql.withTransaction(Effect.andThen(once, Effect.fail("rolled back"))))
          if (name === "PostgreSQL") {
            assert.deepStrictEqual(yield* once, Option.none())
          } else {
            // It has one transaction at a time, so the inner one gives up, and leaves nothing.
            assert.match(String(failure), /SQLite has one at a time/)
            assert.deepStrictEqual(yield* once, Option.some(1))
          }
        }))

      it.effect("options that cannot work are refused by name", () =>
        Effect.gen(function*() {
          const { inbox, session } = yield* world("refused")
          const broker = yield* ScriptedBroker.make()
          const volatile = yield* MqttSession.make({ name: "volatile", servers: [broker.url], log: "off" })
          const refusalOf = (
            of: MqttSession.Session,
            options: Partial<Record<keyof SqlInbox.ConsumeOptions, unknown>>
          ) =>
            Effect.map(
              Effect.flip(inbox.consume(of, "a", () => Effect.void, { consumer: "c", ...options as object })),
              ({ message }) => message
            )
          assert.match(yield* refusalOf(volatile, {}), /session: must be durable/)
          assert.match(yield* refusalOf(session, { qos: 0 }), /qos: must be 1 or 2/)
          assert.match(yield* refusalOf(session, { consumer: "" }), /consumer: must be a text/)
          assert.match(yield* refusalOf(session, { key: "id" }), /key: must be a function/)
          assert.match(yield* refusalOf(session, { concurrency: 0 }), /concurrency/)
        }))
    })
  })
}
