/**
 * Key-value stores for the tests: shared by several owners, stopped at any write, and looked into.
 */
import { type SessionStore, StoreRecord } from "@effect-mqttx/core"
import * as SessionStoreKvs from "@effect-mqttx/store-kvs/SessionStoreKvs"
import type { SessionStoreSuite } from "@effect-mqttx/testing"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { KeyValueStore } from "effect/persistence"

export type Kvs = KeyValueStore.KeyValueStore
export type Change = StoreRecord.StoreChange

export const over = (
  kvs: Kvs,
  options?: SessionStoreKvs.SessionStoreKvsOptions
): Effect.Effect<SessionStore.SessionStore["Service"], never, Scope.Scope> =>
  Effect.orDie(Effect.provideService(SessionStoreKvs.make(options), KeyValueStore.KeyValueStore, kvs))

export const build = <E, R>(layer: Layer.Layer<Kvs, E, R>): Effect.Effect<Kvs, E, R | Scope.Scope> =>
  Effect.map(Layer.build(Layer.fresh(layer)), Context.get(KeyValueStore.KeyValueStore))

/** A store and what it finds when the key-value store is opened again, as another process would. */
export const subject = Effect.fnUntraced(function*<E, R>(open: Effect.Effect<Kvs, E, R>) {
  const context = yield* Effect.context<R>()
  const store = Effect.flatMap(Effect.provideContext(open, context), (kvs) => over(kvs))
  const scope = yield* Scope.fork(yield* Effect.scope)
  const close = Scope.close(scope, Exit.void)
  return {
    ...yield* Scope.provide(store, scope),
    reopen: store,
    close
  } satisfies SessionStoreSuite.SessionStoreUnderTest
})

/** Another object over the same values, as another process would have. */
export const another = (kvs: Kvs): Kvs => KeyValueStore.make({ ...kvs })

export const outbound = (
  sequence: number,
  topic = "a/b",
  payload = new Uint8Array([1, 2, 3])
): StoreRecord.OutboundRecord => ({
  _tag: "Outbound",
  sequence,
  state: "queued",
  packetIdentifier: 0,
  topic,
  payload,
  qos: 1,
  retain: false,
  properties: {},
  acceptedAt: 0,
  expiresAt: undefined
})
export const put = (record: StoreRecord.StoreRecord): Change => ({ _tag: "Put", record })
export const drop = (sequence: number): Change => ({ _tag: "Delete", key: StoreRecord.outboundKey(sequence) })

export const unavailable = new KeyValueStore.KeyValueStoreError({ method: "set", message: "as planned" })

/** What the write at which the key-value store stops does, before nothing works any more. */
export type LastWrite = "nothing" | "half" | "all"

/** A key-value store that stops at the n-th write from when it is armed. */
export const stopping = (kvs: Kvs) => {
  let writes = 0
  let stopAt = Infinity
  let last: LastWrite = "all"
  const check = <A>(effect: Effect.Effect<A, KeyValueStore.KeyValueStoreError>) =>
    Effect.suspend(() => writes >= stopAt ? Effect.fail(unavailable) : effect)
  const write = (effect: Effect.Effect<void, KeyValueStore.KeyValueStoreError>, half: typeof effect) =>
    check(Effect.suspend(() => {
      writes++
      if (writes < stopAt) return effect
      const final = last === "all" ? effect : last === "half" ? half : Effect.void
      return Effect.andThen(final, Effect.fail(unavailable))
    }))
  return {
    arm: (at: number, lastWrite: LastWrite) => {
      writes = 0
      stopAt = at
      last = lastWrite
    },
    writes: () => writes,
    kvs: KeyValueStore.make({
      ...kvs,
      get: (key) => check(kvs.get(key)),
      getUint8Array: (key) => check(kvs.getUint8Array(key)),
      set: (key, value) => write(kvs.set(key, value), kvs.set(key, value.slice(0, value.length / 2))),
      remove: (key) => write(kvs.remove(key), Effect.void)
    })
  }
}

export const valuesOf = (kvs: Kvs): Effect.Effect<ReadonlyMap<string, Uint8Array>, KeyValueStore.KeyValueStoreError> =>
  Effect.map(
    Effect.flatMap(
      kvs.keys,
      (keys) =>
        Effect.forEach(keys.toSorted(), (key) => Effect.map(kvs.getUint8Array(key), (value) => [key, value!] as const))
    ),
    (entries) => new Map(entries)
  )

export const kvsWith = Effect.fnUntraced(function*(values: ReadonlyMap<string, Uint8Array>) {
  const kvs = yield* build(KeyValueStore.layerMemory)
  for (const [key, value] of values) yield* kvs.set(key, value)
  return kvs
})

export const loadedFrom = (kvs: Kvs) =>
  Effect.scoped(Effect.gen(function*() {
    const handle = yield* (yield* over(another(kvs))).open("plant")
    const first = yield* handle.load
    return { ...first, again: yield* handle.load }
  }))
