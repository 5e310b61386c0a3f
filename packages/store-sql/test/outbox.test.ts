/**
 * The outbox: what a transaction adds is published once when it commits, and never when it does not.
 */
import { MqttSession, SessionStore } from "@effect-mqttx/core"
import { Fault, ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber, Latch } from "effect"
import type { SqlClient } from "effect/sql"
import { Database, databases } from "./support/databases.ts"
import { countOf, program, type ProgramOptions, run } from "./support/programs.ts"

const decoder = new TextDecoder()
const texts = (broker: ScriptedBroker.Service) => broker.published.map(({ payload }) => decoder.decode(payload))

/** Waits until the broker has published so many messages, and the table has no row. */
const settled = Effect.fnUntraced(function*(broker: ScriptedBroker.Service, { session, sql }: Program, count: number) {
  yield* broker.awaitUntil(() => broker.published.length >= count)
  yield* Effect.repeat(countOf(sql, `${session.name}_outbox`), { until: (rows) => rows === 0 })
})

type Program = Effect.Success<ReturnType<typeof program>>

const start = ({ outbox, session }: Program) => Effect.forkScoped(outbox.relay(session), { startImmediately: true })

const world = Effect.fnUntraced(function*(prefix: string, options: Omit<ProgramOptions, "prefix"> = {}) {
  const server = yield* Database
  const broker = yield* ScriptedBroker.make()
  const own = yield* program(server, broker, { prefix, ...options })
  const post = (text: string, qos: 1 | 2 = 2) => own.outbox.enqueue(prefix, "orders/1", text, { qos })
  return { server, broker, own, post }
})

/** The texts of the statements that reach the database. */
const statementOf = (args: ReadonlyArray<unknown>): string => String(args[0])

const intercept = (
  sql: SqlClient.SqlClient,
  f: (text: string, statement: Effect.Effect<unknown, unknown>) => Effect.Effect<unknown, unknown>
): SqlClient.SqlClient => {
  const proxy: SqlClient.SqlClient = new Proxy(sql, {
    get: (target, name) =>
      name === "withoutTransforms" ? () => proxy : name === "unsafe"
        ? (...args: Parameters<typeof sql.unsafe>) => f(statementOf(args), target.unsafe(...args))
        : Reflect.get(target, name)
  })
  return proxy
}

for (const { database, isPresent, name } of databases) {
  describe.skipIf(!isPresent())(`outbox in ${name}`, () => {
    layer(database, { excludeTestServices: true, timeout: "1 minute" })((it) => {
      it.effect("what commits is published in its order, and what is rolled back is not", () =>
        Effect.gen(function*() {
          const { broker, own, post } = yield* world("commits")
          yield* start(own)
          const { sql } = own
          yield* sql.withTransaction(Effect.forEach(["1", "2", "3"], (text) => post(text)))
          yield* Effect.flip(sql.withTransaction(Effect.andThen(post("never"), Effect.fail("rolled back"))))
          // Of a transaction, what a savepoint takes back goes too.
          yield* sql.withTransaction(Effect.gen(function*() {
            yield* post("4")
            yield* Effect.flip(sql.withTransaction(Effect.andThen(post("never"), Effect.fail("rolled back"))))
            yield* post("5", 1)
          }))
          yield* post("6")
          yield* settled(broker, own, 6)
          assert.deepStrictEqual(texts(broker), ["1", "2", "3", "4", "5", "6"])
          assert.deepStrictEqual(broker.published.map(({ qos }) => qos), [2, 2, 2, 2, 1, 2])
        }))

      it.effect("many messages of many transactions keep their order", () =>
        Effect.gen(function*() {
          const { broker, own, post } = yield* world("order", { outbox: { window: 100 } })
          yield* start(own)
          const numbers = Array.from({ length: 600 }, (_, number) => number)
          for (let from = 0; from < 600; from += 60) {
            yield* own.sql.withTransaction(
              Effect.forEach(numbers.slice(from, from + 60), (number) => post(`${number}`, number % 2 === 0 ? 1 : 2))
            )
          }
          yield* settled(broker, own, 600)
          assert.deepStrictEqual(texts(broker), numbers.map(String))
        }))

      it.effect("other programs add messages: by NOTIFY, and by polling where the driver cannot listen", () =>
        Effect.gen(function*() {
          for (const hears of name === "PostgreSQL" ? [true, false] : [false]) {
            const prefix = `others${hears}`
            const { broker, own, server } = yield* world(prefix, {
              outbox: hears ? {} : { pollInterval: "50 millis", listen: false }
            })
            yield* start(own)
            const elsewhere = yield* program(server, yield* ScriptedBroker.make(), {
              prefix: `${prefix}x`,
              outbox: { tablePrefix: prefix }
            })
            // The relay listens before this one, so its poll in a day is not what finds it.
            if (hears) yield* heard(own.sql, prefix)
            yield* elsewhere.outbox.enqueue(prefix, "orders/1", "from elsewhere")
            yield* settled(broker, own, 1)
          }
        }))

      it.effect("a row that the session has is not published again when its deletion was lost", () =>
        Effect.gen(function*() {
          const server = yield* Database
          const broker = yield* ScriptedBroker.make()
          const deleting = yield* Deferred.make<void>()
          yield* Effect.scoped(Effect.gen(function*() {
            const first = yield* program(server, broker, {
              prefix: "deletion",
              intercept: (sql) =>
                intercept(sql, (text, statement) =>
                  text.includes("DELETE FROM deletion_outbox WHERE")
                    ? Effect.andThen(Deferred.succeed(deleting, undefined), Effect.never)
                    : statement)
            })
            yield* start(first)
            yield* first.outbox.enqueue("deletion", "orders/1", "one")
            yield* Deferred.await(deleting)
            assert.strictEqual(yield* countOf(first.sql, "deletion_outbox"), 1)
          }))
          const next = yield* program(server, broker, { prefix: "deletion" })
          yield* start(next)
          yield* next.outbox.enqueue("deletion", "orders/1", "two")
          yield* settled(broker, next, 2)
          assert.deepStrictEqual(texts(broker), ["one", "two"])
        }))

      it.effect("an interrupted relay loses nothing that the session returns", () =>
        Effect.gen(function*() {
          const reply = Latch.makeUnsafe(true)
          const applied = yield* Deferred.make<void>()
          const { broker, own, post } = yield* world("back", {
            interceptStore: (sql) =>
              intercept(sql, (text, statement) =>
                text.includes("back_outbox")
                  ? Effect.tap(statement, () => Effect.andThen(Deferred.succeed(applied, undefined), reply.await))
                  : statement)
          })
          // Without a connection, the message waits in the session's queue, which an interruption takes it out of.
          yield* broker.refuseNetwork
          yield* broker.cut("back")
          yield* Effect.repeat(own.session.status, { until: ({ state }) => state !== "connected" })
          yield* reply.close
          const relay = yield* start(own)
          yield* post("one")
          yield* Deferred.await(applied)
          const interrupting = yield* Effect.forkChild(Fiber.interrupt(relay), { startImmediately: true })
          yield* reply.open
          yield* Fiber.join(interrupting)
          yield* start(own)
          yield* post("two")
          yield* broker.acceptNetwork
          yield* settled(broker, own, 2)
          assert.deepStrictEqual(texts(broker), ["one", "two"])
        }))

      it.effect("a relay that is started again waits for what the interrupted one returns", () =>
        Effect.gen(function*() {
          const reply = Latch.makeUnsafe(false)
          const applied = yield* Deferred.make<void>()
          const giveBack = Latch.makeUnsafe(false)
          const secondReads = yield* Deferred.make<void>()
          let commits = 0
          let isSecond = false
          const { broker, own, post } = yield* world("again", {
            outbox: { window: 1 },
            intercept: (sql) =>
              intercept(sql, (text, statement) =>
                isSecond && text.includes("accepted_in IS NULL AND refusal IS NULL")
                  ? Effect.tap(statement, () => Deferred.succeed(secondReads, undefined))
                  : statement),
            interceptStore: (sql) =>
              intercept(sql, (text, statement) => {
                if (!text.includes("again_outbox")) return statement
                commits++
                return commits === 1
                  ? Effect.tap(statement, () => Effect.andThen(Deferred.succeed(applied, undefined), reply.await))
                  : commits === 2
                  ? Effect.andThen(giveBack.await, statement)
                  : statement
              })
          })
          yield* broker.refuseNetwork
          yield* broker.cut("again")
          yield* Effect.repeat(own.session.status, { until: ({ state }) => state !== "connected" })
          yield* own.sql.withTransaction(Effect.forEach(["one", "two"], (text) => post(text)))
          const relay = yield* start(own)
          yield* Deferred.await(applied)
          const interrupting = yield* Effect.forkChild(Fiber.interrupt(relay), { startImmediately: true })
          yield* reply.open
          yield* Fiber.join(interrupting)
          isSecond = true
          yield* start(own)
          yield* Deferred.await(secondReads)
          yield* giveBack.open
          yield* broker.acceptNetwork
          yield* settled(broker, own, 2)
          assert.deepStrictEqual(texts(broker), ["one", "two"])
        }))

      it.effect("a message whose time limit has ended is not overtaken", () =>
        Effect.gen(function*() {
          const reply = Latch.makeUnsafe(false)
          const secondRead = yield* Deferred.make<void>()
          let commits = 0
          let reads = 0
          const { broker, own, post } = yield* world("late", {
            outbox: { window: 1 },
            session: { publishTimeout: "1 second" },
            intercept: (sql) =>
              intercept(sql, (text, statement) =>
                text.includes("accepted_in IS NULL AND refusal IS NULL") && ++reads === 2
                  ? Effect.tap(statement, () =>
                    Deferred.succeed(secondRead, undefined))
                  : statement),
            interceptStore: (sql) =>
              intercept(sql, (text, statement) =>
                text.includes("late_outbox") && ++commits === 1
                  ? Effect.tap(statement, () =>
                    reply.await)
                  : statement)
          })
          yield* broker.refuseNetwork
          yield* broker.cut("late")
          yield* Effect.repeat(own.session.status, { until: ({ state }) => state !== "connected" })
          yield* own.sql.withTransaction(Effect.forEach(["one", "two"], (text) => post(text)))
          yield* start(own)
          yield* Deferred.await(secondRead)
          yield* reply.open
          yield* broker.acceptNetwork
          yield* settled(broker, own, 2)
          assert.deepStrictEqual(texts(broker), ["one", "two"])
        }))

      it.effect("while the server is away, no more than the window leaves the table", () =>
        Effect.gen(function*() {
          const { broker, own, post } = yield* world("window", { outbox: { window: 5 } })
          yield* broker.refuseNetwork
          yield* broker.cut("window")
          yield* start(own)
          yield* own.sql.withTransaction(
            Effect.forEach(Array.from({ length: 20 }, (_, number) => number), (number) => post(`${number}`))
          )
          yield* Effect.repeat(countOf(own.sql, "window_outbox"), { until: (rows) => rows === 15 })
          yield* broker.acceptNetwork
          yield* settled(broker, own, 20)
          assert.deepStrictEqual(texts(broker), Array.from({ length: 20 }, (_, number) => `${number}`))
        }))

      it.effect("what cannot be published fails where it is added, before any statement", () =>
        Effect.gen(function*() {
          const { own, post } = yield* world("wrong")
          const refusal = (...given: ReadonlyArray<unknown>) =>
            Effect.map(
              Effect.flip(own.outbox.enqueue(...given as Parameters<typeof own.outbox.enqueue>)),
              ({ message }) => message
            )
          assert.match(yield* refusal("wrong", "orders/#", "1"), /topic/)
          assert.match(yield* refusal("wrong", "orders/1", 5), /payload/)
          assert.match(yield* refusal("wrong", "orders/1", "1", { qos: 0 }), /qos: must be 1 or 2/)
          assert.match(yield* refusal("wrong", "orders/1", "1", { timeout: 5 }), /timeout: no such option/)
          assert.match(yield* refusal("wrong", "orders/1", "1", null), /options/)
          assert.match(yield* refusal("wrong", "orders/1", new Uint8Array(9_000_000)), /large/)
          assert.match(yield* refusal(5, "orders/1", "1"), /session/)
          // A transaction in which one failed and was caught is whole.
          yield* own.sql.withTransaction(Effect.andThen(refusal("wrong", "#", "1"), post("right")))
          assert.strictEqual(yield* countOf(own.sql, "wrong_outbox"), 1)
        }))

      it.effect("what the session refuses stays with its reason, and the others continue", () =>
        Effect.gen(function*() {
          const { broker, own, post } = yield* world("refused", { session: { protocolVersion: 4 } })
          yield* own.sql.withTransaction(Effect.gen(function*() {
            yield* post("1")
            yield* own.outbox.enqueue("refused", "orders/1", "never", { properties: { contentType: "text/plain" } })
            yield* post("2")
          }))
          yield* start(own)
          yield* broker.awaitUntil(() => broker.published.length === 2)
          const [row] = yield* Effect.repeat(run(own.sql, "SELECT refusal FROM refused_outbox"), {
            until: (rows) => rows.length === 1 && rows[0]!["refusal"] !== null
          })
          assert.match(String(row!["refusal"]), /MQTT 5/)
          assert.deepStrictEqual(texts(broker), ["1", "2"])
        }))

      it.effect("times begin when a message is added", () =>
        Effect.gen(function*() {
          const { broker, own, post } = yield* world("times")
          yield* own.outbox.enqueue("times", "orders/1", "late", { expiresAfter: "1 millis" })
          yield* own.outbox.enqueue("times", "orders/1", "in time", { properties: { messageExpiryInterval: 100 } })
          yield* Effect.sleep("1100 millis")
          yield* start(own)
          yield* post("after")
          yield* settled(broker, own, 2)
          assert.deepStrictEqual(texts(broker), ["in time", "after"])
          const interval = broker.published[0]!.properties.messageExpiryInterval!
          assert.isAtMost(interval, 99)
          assert.isAbove(interval, 50)
        }))

      it.effect("a relay ends with its session, and a session has one relay, in its own database", () =>
        Effect.gen(function*() {
          const { broker, own } = yield* world("one")
          const relay = yield* start(own)
          const second = yield* Effect.flip(own.outbox.relay(own.session))
          assert.match(second.message, /has a relay already/)
          const elsewhere = yield* Effect.provide(
            MqttSession.makeDurable({ name: "elsewhere", servers: [broker.url], log: "off" }),
            SessionStore.layerMemory
          )
          const foreign = yield* Effect.flip(own.outbox.relay(elsewhere))
          assert.match(foreign.message, /its store is not the SqlStore of this database/)
          yield* own.session.drain
          yield* own.outbox.enqueue("one", "orders/1", "later")
          const end = yield* Effect.flip(Fiber.join(relay))
          assert.strictEqual(end.reason._tag, "Closed")
          assert.strictEqual(yield* countOf(own.sql, "one_outbox"), 1)
        }))

      it.effect("a handler of the inbox takes a message in and sends one out, both once", () =>
        Effect.gen(function*() {
          const { broker, own } = yield* world("both")
          yield* start(own)
          const subscribed = yield* Deferred.make<void>()
          let attempts = 0
          yield* Effect.forkScoped(
            own.inbox.consume(own.session, "in/+", (message) =>
              Effect.gen(function*() {
                yield* own.insert(message)
                yield* own.outbox.enqueue("both", "out/1", `answer to ${message.text}`)
                if (attempts++ === 0) return yield* Effect.fail("too early")
              }), { consumer: "billing", onSubscribed: () => Deferred.succeed(subscribed, undefined) })
          )
          yield* Deferred.await(subscribed)
          yield* broker.inject(Fault.dropBefore({ direction: "received", packet: "Puback" }))
          yield* (yield* broker.publish("in/1", "one", { qos: 1 })).settled
          yield* own.outbox.enqueue("both", "out/1", "end")
          yield* broker.awaitUntil(() => broker.published.some(({ payload }) => decoder.decode(payload) === "end"))
          assert.strictEqual(attempts, 2)
          assert.deepStrictEqual(yield* own.texts, ["one"])
          assert.deepStrictEqual(
            broker.published.filter(({ topic }) => topic === "out/1").map(({ payload }) => decoder.decode(payload)),
            ["answer to one", "end"]
          )
        }))

      it.effect("a former owner moves no row", () =>
        Effect.gen(function*() {
          const { broker, own, post } = yield* world("owner")
          yield* run(own.sql, "UPDATE owner_sessions SET epoch = epoch + 1")
          const relay = yield* start(own)
          yield* post("one")
          const end = yield* Effect.flip(Fiber.join(relay))
          assert.match(end.message, /fenced/)
          assert.deepStrictEqual(texts(broker), [])
          assert.deepStrictEqual(yield* run(own.sql, "SELECT accepted_in FROM owner_outbox"), [{ accepted_in: null }])
        }))

      it.effect("a table that is away for a while delays the messages only", () =>
        Effect.gen(function*() {
          let failures = 0
          const { broker, own, post } = yield* world("away", {
            intercept: (sql) =>
              intercept(sql, (text, statement) =>
                text.includes("FROM away_outbox") && failures < 3
                  ? Effect.andThen(
                    Effect.sync(() => failures++),
                    Effect.fail(new Error("away")) as Effect.Effect<never>
                  )
                  : statement)
          })
          yield* start(own)
          yield* post("one")
          yield* settled(broker, own, 1)
          assert.strictEqual(failures, 3)
        }))
    })
  })
}

/** Waits until a connection of the driver listens to the channel of the outbox. */
const heard = (sql: SqlClient.SqlClient, prefix: string) =>
  Effect.repeat(
    Effect.map(
      run(sql, `SELECT count(*)::int AS n FROM pg_stat_activity WHERE query ILIKE 'listen%${prefix}_outbox%'`),
      ([row]) => Number(row!["n"])
    ),
    { until: (listeners) => listeners > 0 }
  )
