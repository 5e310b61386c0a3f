/**
 * Keeps a node that has lost a session from the store and from the server. Sessions that are made with its store and
 * its transport check, before each connection, that the node has the lock of the shard and that no other owner has
 * opened the store.
 *
 * A process that was paused believes that it still has its locks. The store knows better: its epoch is compared by the
 * database, so a former owner does not connect again, and takes nothing from its successor.
 */
import { ConnectionRefused, MqttError, StorageFailed } from "@effect-mqttx/core/MqttError"
import * as ServerAddress from "@effect-mqttx/core/ServerAddress"
import { SessionStore, type SessionStoreHandle } from "@effect-mqttx/core/SessionStore"
import { Transport } from "@effect-mqttx/core/Transport"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"

export interface Fence {
  /** The services for the sessions behind the fence. */
  readonly services: Context.Context<never>
  /** Fails with `StorageFailed` of the kind `fenced` when another owner has opened the store of one of the sessions. */
  readonly lost: Effect.Effect<never, MqttError>
}

type Store = SessionStore["Service"]

/** Puts a store behind the fence of the program that runs here; without a fence, it is the store as it is. */
export const StoreGuard: Context.Reference<(store: Store) => Store> = Context.Reference(
  "@effect-mqttx/cluster/StoreGuard",
  { defaultValue: () => (store: Store): Store => store }
)

/** A fence around sessions. `isOwner`: whether the node has the lock of their shard, as far as it knows. */
export const makeFence = (isOwner: () => boolean): Effect.Effect<Fence> =>
  Effect.gen(function*() {
    // A singleton whose sessions are not durable has none.
    const store = Option.getOrUndefined(yield* Effect.serviceOption(SessionStore))
    const transport = yield* Transport
    const handles = new Set<SessionStoreHandle>()
    const lost = Deferred.makeUnsafe<never, MqttError>()

    const noted = <A>(effect: Effect.Effect<A, MqttError>): Effect.Effect<A, MqttError> =>
      Effect.tapError(effect, (error) =>
        error.reason._tag === "StorageFailed" && error.reason.kind === "fenced"
          ? Deferred.fail(lost, error)
          : Effect.void)

    const open = (store: Store) => (session: string): Effect.Effect<SessionStoreHandle, MqttError, Scope.Scope> =>
      Effect.gen(function*() {
        // A former owner must not wait for the lease of its successor.
        if (!isOwner()) return yield* Effect.fail(notOwnerOfState())
        const handle = yield* store.open(session)
        // The check commits too, and commits of a session are never concurrent.
        const lock = Semaphore.makeUnsafe(1)
        const guarded: SessionStoreHandle = {
          ...handle,
          load: noted(handle.load),
          commit: (changes) => lock.withPermits(1)(noted(handle.commit(changes)))
        }
        handles.add(guarded)
        yield* Scope.addFinalizer(yield* Effect.scope, Effect.sync(() => handles.delete(guarded)))
        return guarded
      })

    const checkLock = (server: ServerAddress.ServerAddress): Effect.Effect<void, MqttError> =>
      Effect.suspend(() => isOwner() ? Effect.void : Effect.fail(notOwner(server)))

    // A commit of no change fails where the owner is fenced, and where the database cannot be reached.
    const check = (server: ServerAddress.ServerAddress): Effect.Effect<void, MqttError> =>
      checkLock(server).pipe(
        Effect.andThen(Effect.suspend(() => Effect.forEach(handles, ({ commit }) => commit([]), { discard: true }))),
        Effect.andThen(checkLock(server))
      )

    const network: Transport = {
      ...transport,
      open: (request, handlers) => Effect.andThen(check(request.address), transport.open(request, handlers))
    }
    const guard = (each: Store): Store => ({ open: open(each) })
    const services = Context.make(Transport, network).pipe(Context.add(StoreGuard, guard)) as Context.Context<never>
    return {
      services: store === undefined ? services : Context.add(services, SessionStore, guard(store)),
      lost: Deferred.await(lost)
    }
  })

const notOwner = (server: ServerAddress.ServerAddress): MqttError =>
  new MqttError({
    reason: new ConnectionRefused({
      server: ServerAddress.format(server),
      code: "ERR_NOT_OWNER",
      reasonString: "this node of the cluster does not own the session"
    })
  })

const notOwnerOfState = (): MqttError =>
  new MqttError({
    reason: new StorageFailed({ kind: "unavailable", detail: "this node of the cluster does not own the session" })
  })
