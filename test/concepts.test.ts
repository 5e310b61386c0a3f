/**
 * Produces the situations of the table "What survives what" in docs/guides/concepts.md, with each persistence, and
 * compares what has become of the messages.
 */
import { MqttSession, SessionStore } from "@effect-mqttx/core"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, type Layer, Scope, Stream } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { root } from "./support/repository.ts"
import { sections, tableRows } from "./support/tables.ts"

type Persistence = "none" | "process" | "durable"
type Session = MqttSession.Session

const common = {
  name: "plant",
  clientId: "plant",
  servers: [ScriptedBroker.memoryUrl],
  reconnect: { initialDelay: "1 millis", maxDelay: "1 millis", jitter: "none" },
  // What cannot be sent shall not delay the end of a life.
  drainTimeout: "20 millis"
} as const

/** A life of the program: a session, and its end. */
const begin = (persistence: Persistence) =>
  Effect.gen(function*() {
    const scope = yield* Scope.fork(yield* Effect.scope)
    const session = yield* (persistence === "durable"
      ? MqttSession.makeDurable(common)
      : MqttSession.make({ ...common, persistence })).pipe(Scope.provide(scope))
    yield* session.awaitReady
    return { session, end: Scope.close(scope, Exit.void) }
  })

const offline = (broker: ScriptedBroker.Service) => Effect.andThen(broker.refuseNetwork, broker.cut("plant"))

/** Publishes a last message, and says whether the one before it is at the broker. */
const isPublished = (broker: ScriptedBroker.Service, session: Session) =>
  Effect.map(
    session.publish("out", "last", { qos: 1 }),
    () => broker.published.some(({ payload }) => new TextDecoder().decode(payload) === "first")
  )

/** Lets the broker publish a last message, and says whether the one before it has arrived. */
const isReceived = (
  broker: ScriptedBroker.Service,
  subscription: { readonly messages: Stream.Stream<{ readonly text: string }, unknown> },
  subscribedAgain: Effect.Effect<unknown, unknown>
) =>
  Effect.gen(function*() {
    yield* subscribedAgain
    yield* broker.publish("in", "last", { qos: 1 })
    const texts = yield* subscription.messages.pipe(
      Stream.map(({ text }) => text),
      Stream.takeUntil((text) => text === "last"),
      Stream.runCollect
    )
    return texts.includes("first")
  })

const readyAgain = (session: Session) =>
  session.events.pipe(Stream.filter(({ _tag }) => _tag === "Ready"), Stream.take(2), Stream.runDrain)

type Situation = (
  broker: ScriptedBroker.Service,
  persistence: Persistence
) => Effect.Effect<boolean, unknown, Scope.Scope | SessionStore.SessionStore>

const situations: { readonly [row: string]: Situation } = {
  "the connection is lost: messages that you publish meanwhile": (broker, persistence) =>
    Effect.gen(function*() {
      const { session } = yield* begin(persistence)
      yield* offline(broker)
      yield* session.enqueue("out", "first", { qos: 1 })
      yield* broker.acceptNetwork
      return yield* isPublished(broker, session)
    }),
  "the connection is lost: messages that others publish meanwhile": (broker, persistence) =>
    Effect.gen(function*() {
      const { session } = yield* begin(persistence)
      const subscription = yield* session.subscription("in", { qos: 1 })
      yield* offline(broker)
      yield* broker.publish("in", "first", { qos: 1 })
      yield* broker.acceptNetwork
      return yield* isReceived(broker, subscription, readyAgain(session))
    }),
  "the program restarts: messages that were not sent yet": (broker, persistence) =>
    Effect.gen(function*() {
      const first = yield* begin(persistence)
      yield* offline(broker)
      yield* first.session.enqueue("out", "first", { qos: 1 })
      yield* first.end
      yield* broker.acceptNetwork
      const second = yield* begin(persistence)
      return yield* isPublished(broker, second.session)
    }),
  "the program restarts: messages that others publish meanwhile": (broker, persistence) =>
    Effect.gen(function*() {
      const first = yield* begin(persistence)
      yield* Effect.scoped(first.session.subscription("in", { qos: 1, keep: true }))
      yield* first.end
      yield* broker.publish("in", "first", { qos: 1 })
      const second = yield* begin(persistence)
      const subscription = yield* second.session.subscription("in", { qos: 1 })
      return yield* isReceived(broker, subscription, Effect.void)
    }),
  "the broker loses its sessions: messages that you publish meanwhile": (broker, persistence) =>
    Effect.gen(function*() {
      const { session } = yield* begin(persistence)
      yield* broker.crash
      yield* session.enqueue("out", "first", { qos: 1 })
      yield* broker.start
      return yield* isPublished(broker, session)
    }),
  "the broker loses its sessions: messages that it still had for you": (broker, persistence) =>
    Effect.gen(function*() {
      const { session } = yield* begin(persistence)
      const subscription = yield* session.subscription("in", { qos: 1 })
      yield* offline(broker)
      yield* broker.publish("in", "first", { qos: 1 })
      yield* broker.crash
      yield* broker.acceptNetwork
      yield* broker.start
      return yield* isReceived(broker, subscription, readyAgain(session))
    })
}

describe("docs/guides/concepts.md", () => {
  const page = readFileSync(join(root, "docs/guides/concepts.md"), "utf8")
  const rows = tableRows(sections(page, 2).get("What survives what")!)

  it("has a row for every situation, and no other", () => {
    assert.deepStrictEqual(rows.map(([what]) => what), Object.keys(situations))
  })

  const cells = rows.flatMap(([what, ...said]) =>
    (["none", "process", "durable"] as const).map((persistence, i) => [what!, persistence, said[i]!] as const)
  )

  it.live.each(cells)("%s, with %s: %s", ([what, persistence, said]) =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.ScriptedBroker
      assert.strictEqual((yield* situations[what]!(broker, persistence)) ? "kept" : "lost", said)
    }).pipe(
      Effect.scoped,
      Effect.provide(SessionStore.layerMemory as Layer.Layer<SessionStore.SessionStore>),
      Effect.provide(ScriptedBroker.layerMemory())
    ), 180_000)
})
