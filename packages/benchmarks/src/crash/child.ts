/**
 * The process that is killed: a durable session that publishes or consumes, or two with a forwarder, as fast as their
 * store allows.
 */
import { Forwarder, MqttSession, SessionManager, type SessionOptions } from "@effect-mqttx/core"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { writeSync } from "node:fs"
import { formatReport, fromArguments, type Orders, type Report } from "./contract.ts"
import { numberOf, payloadOf, topicOf } from "./payload.ts"
import { storeLayer } from "./stores.ts"
import * as Transactions from "./transactionRoles.ts"

// Synchronously into the pipe: what is reported is reported, whatever happens to this process next.
const report = (report: Report): void => {
  writeSync(1, formatReport(report))
}

const optionsOf = (name: string, server: string): SessionOptions.SessionOptionsInput<"durable"> => ({
  name,
  servers: [server],
  reconnect: { initialDelay: "5 millis", maxDelay: "50 millis" },
  queue: { messages: 2000 },
  drainTimeout: "5 seconds",
  // The standard output is for reports.
  log: "off"
})

const makeSession = ({ role, server }: Orders) =>
  MqttSession.makeDurable(optionsOf(role === "consume" || role === "inbox" ? "consumer" : "publisher", server))

/** Accepted one after the other, several at a time, so that commits are shared. */
const publish = Effect.fnUntraced(function*(orders: Orders) {
  const session = yield* makeSession(orders)
  report(["ready"])
  yield* Stream.range(orders.from, Number.MAX_SAFE_INTEGER).pipe(
    Stream.mapEffect((number) => {
      report(["begun", number])
      return session.enqueue(topicOf("crash", number), payloadOf(orders.seed, number), { qos: orders.qos }).pipe(
        Effect.tap(() => Effect.sync(() => report(["done", number])))
      )
    }, { concurrency: 16 }),
    Stream.runDrain
  )
})

/** Ends when the server has all that the store held. */
const finish = Effect.fnUntraced(function*(orders: Orders) {
  const session = yield* makeSession(orders)
  yield* session.awaitReady
  yield* Effect.repeat(session.metrics, {
    until: ({ inflight, queuedMessages }) => inflight + queuedMessages === 0,
    schedule: Schedule.spaced("20 millis")
  })
})

const consume = Effect.fnUntraced(function*(orders: Orders) {
  const session = yield* makeSession(orders)
  yield* session.consume(
    "feed/#",
    (message) =>
      Effect.sync(() => {
        const number = numberOf(orders.seed, message.text)
        if (number === undefined) throw new Error(`an altered payload: ${message.text}`)
        report(["done", number])
      }),
    { qos: orders.qos, onFailure: "fail", onSubscribed: () => Effect.sync(() => report(["ready"])) }
  )
})

const forward = ({ server, target = server }: Orders) =>
  Effect.gen(function*() {
    const forwarder = yield* Forwarder.make({
      name: "forwarder",
      sources: "source",
      filters: "feed/#",
      target: "target",
      acceptance: "stored"
    })
    report(["ready"])
    yield* forwarder.active
    report(["subscribed"])
    yield* Effect.never
  }).pipe(
    Effect.provide(
      SessionManager.layerDurable({ sessions: [optionsOf("source", server), optionsOf("target", target)] })
    )
  )

const orders = fromArguments(process.argv[2])
const inbox = (orders: Orders) =>
  Effect.flatMap(makeSession(orders), (session) => Transactions.inbox(session, orders, report))

const outbox = (orders: Orders) =>
  Effect.flatMap(makeSession(orders), (session) => Transactions.outbox(session, orders, report))

const roles = { publish, finish, consume, forward, inbox, outbox }

// The program of a process whose end is not its own business: an error is told to whoever looks at its output.
Effect.runPromise(
  Effect.scoped(roles[orders.role](orders)).pipe(Effect.provide(storeLayer(orders.store, orders.place)))
).then(
  () => process.exit(0),
  (error: unknown) => {
    console.error(error)
    process.exit(1)
  }
)
