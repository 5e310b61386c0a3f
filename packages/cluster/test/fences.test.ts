import { MqttError, MqttSession, SessionStore } from "@effect-mqttx/core"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Layer, Ref, Semaphore } from "effect"
import { makeFence } from "../src/internal/fence.ts"
import { type Definition, OwnedSession } from "../src/internal/ownedSession.ts"
import { quiet } from "./support/nodes.ts"

/** A store in memory whose owner can be fenced, as another owner in another process does it. */
const fenceable = Effect.gen(function*() {
  const store = yield* Effect.map(Layer.build(SessionStore.layerMemory), Context.get(SessionStore.SessionStore))
  let isFenced = false
  const error = new MqttError.MqttError({
    reason: new MqttError.StorageFailed({ kind: "fenced", detail: "by a test" })
  })
  return {
    fence: (value: boolean) => {
      isFenced = value
    },
    store: SessionStore.SessionStore.of({
      open: (session) =>
        Effect.map(store.open(session), (handle) => ({
          ...handle,
          commit: (changes) => Effect.suspend(() => isFenced ? Effect.fail(error) : handle.commit(changes))
        }))
    })
  }
})

const settings = (url: string) => ({
  name: "fenced",
  clientId: "fenced",
  servers: [url],
  log: "off" as const,
  drainTimeout: "100 millis" as const,
  reconnect: { initialDelay: "1 millis", maxDelay: "5 millis", permanentDelay: "5 millis" } as const
})

const attempts = (broker: ScriptedBroker.Service) => broker.connections.filter(({ connect }) => connect !== undefined)

describe("fences", () => {
  it.live("a session whose node has lost the lock does not connect again, and does when it has it", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.ScriptedBroker
      const { store } = yield* fenceable
      let isOwner = true
      const { services } = yield* Effect.provideService(makeFence(() => isOwner), SessionStore.SessionStore, store)
      const session = yield* MqttSession.makeDurable(settings(broker.url)).pipe(
        Effect.provideContext(services as Context.Context<SessionStore.SessionStore>)
      )
      yield* session.awaitReady
      isOwner = false
      yield* broker.cut("fenced")
      // Attempts that end before a connection is made.
      yield* Effect.sleep("5 millis").pipe(
        Effect.andThen(session.status),
        Effect.repeat({ until: ({ attempt }) => attempt >= 3 })
      )
      assert.strictEqual(attempts(broker).length, 1)
      const { lastError } = yield* session.status
      assert.match(lastError!.message, /does not own the session/)
      isOwner = true
      yield* session.awaitReady
      assert.strictEqual(attempts(broker).length, 2)
    }).pipe(Effect.scoped, Effect.provide(ScriptedBroker.layer()), Effect.timeout("20 seconds"), quiet))

  it.live("a session whose store has another owner does not connect again", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.ScriptedBroker
      const { fence, store } = yield* fenceable
      const { lost, services } = yield* Effect.provideService(makeFence(() => true), SessionStore.SessionStore, store)
      const session = yield* MqttSession.makeDurable(settings(broker.url)).pipe(
        Effect.provideContext(services as Context.Context<SessionStore.SessionStore>)
      )
      yield* session.awaitReady
      fence(true)
      yield* broker.cut("fenced")
      const { reason } = yield* Effect.flip(lost)
      assert.strictEqual(reason._tag, "StorageFailed")
      assert.strictEqual(attempts(broker).length, 1)
    }).pipe(Effect.scoped, Effect.provide(ScriptedBroker.layer()), Effect.timeout("20 seconds"), quiet))

  it.live("a fenced session ends with its reason, and is opened again while the node has the lock", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.ScriptedBroker
      const { fence, store } = yield* fenceable
      const opened = yield* Ref.make(0)
      const again = yield* Deferred.make<void>()
      const definition: Definition = {
        open: () =>
          Effect.andThen(
            Effect.flatMap(Ref.updateAndGet(opened, (n) => n + 1), (n) =>
              n === 2 ? Effect.sync(() => fence(false)) : Effect.void),
            MqttSession.makeDurable(settings(broker.url))
          ),
        run: (session) =>
          Effect.flatMap(
            Ref.get(opened),
            (n) => n === 2 ? Effect.andThen(session.awaitReady, Deferred.succeed(again, undefined)) : Effect.never
          )
      }
      const owned = new OwnedSession("fenced", definition, () => true, Semaphore.makeUnsafe(1))
      yield* Effect.forkScoped(Effect.provideService(owned.keep, SessionStore.SessionStore, store))
      const session = yield* owned.session
      yield* session.awaitReady
      fence(true)
      const error = yield* Effect.flip(session.publish("a", "x", { qos: 1 }))
      assert.strictEqual(error.reason._tag, "StorageFailed")
      yield* Deferred.await(again)
      assert.strictEqual(yield* Ref.get(opened), 2)
    }).pipe(Effect.scoped, Effect.provide(ScriptedBroker.layer()), Effect.timeout("20 seconds"), quiet))
})
