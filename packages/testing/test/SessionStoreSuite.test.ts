import { MqttError, SessionStore, StoreRecord } from "@effect-mqttx/core"
import { SessionStoreSuite } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Scope } from "effect"

type Store = SessionStoreSuite.SessionStoreUnderTest
type Handle = SessionStore.SessionStoreHandle
type Change = StoreRecord.StoreChange

const fresh = Effect.map(
  Layer.build(Layer.fresh(SessionStore.layerMemory)),
  (context) => Context.get(context, SessionStore.SessionStore)
)

const memory = Effect.map(fresh, (store): Store => ({ ...store, reopen: Effect.succeed(store) }))

/** A store that is not opened anew, but closed. */
const closable = Effect.gen(function*() {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const store: Store = { ...(yield* Scope.provide(fresh, scope)), close: Scope.close(scope, Exit.void) }
  return store
})

/** A store whose handles differ from those of the memory store. */
const withHandle = (change: (handle: Handle, session: string) => Partial<Handle>) => (store: Store): Store => {
  const open: Store["open"] = (session) =>
    Effect.map(store.open(session), (handle) => ({ ...handle, ...change(handle, session) }))
  return { open, reopen: Effect.succeed({ open }) }
}

/** A store that takes sessions for each other. */
const withName = (change: (session: string) => string) => (store: Store): Store => {
  const open: Store["open"] = (session) => store.open(change(session))
  return { open, reopen: Effect.succeed({ open }) }
}

const withRecord = (change: (record: StoreRecord.StoreRecord) => StoreRecord.StoreRecord) =>
  withHandle((handle) => ({
    load: Effect.map(handle.load, ({ damage, records }) => ({ damage, records: records.map(change) }))
  }))

const withOutbound = (change: (record: StoreRecord.OutboundRecord) => StoreRecord.OutboundRecord) =>
  withRecord((record) => record._tag === "Outbound" ? change(record) : record)

const withChanges = (change: (changes: ReadonlyArray<Change>) => ReadonlyArray<Change>) =>
  withHandle((handle) => ({ commit: (changes) => handle.commit(change(changes)) }))

const deleteAll = (handle: Handle, of: (key: string) => boolean) =>
  Effect.flatMap(handle.load, ({ records }) =>
    handle.commit(
      records.map(StoreRecord.keyOf).filter(of).map((key): Change => ({ _tag: "Delete", key }))
    ))

const utf8 = (text: string): string => new TextDecoder().decode(new TextEncoder().encode(text))

const isWellFormed = (record: StoreRecord.StoreRecord): boolean =>
  record._tag !== "Outbound" || utf8(record.topic) === record.topic

const invalid = new MqttError.MqttError({ reason: new MqttError.StorageFailed({ kind: "invalid" }) })
const failed = new MqttError.MqttError({ reason: new MqttError.StorageFailed({}) })

/** Stores with one fault each, and the case that finds it. */
const faulty: ReadonlyArray<readonly [fault: string, found: string, make: (store: Store) => Store]> = [
  ["claims a durability of its own", "durability", withHandle(() => ({ durability: "eternal" as "power" }))],
  [
    "reports damage when there is none",
    "never opened",
    withHandle((handle) => ({
      load: Effect.map(handle.load, ({ records }) => ({ records, damage: { lost: 0, detail: "" } }))
    }))
  ],
  [
    "forgets the fraction of a time",
    "of every type",
    withOutbound((record) => ({ ...record, acceptedAt: Math.floor(record.acceptedAt) }))
  ],
  [
    "keeps user properties by their name",
    "of every type",
    withOutbound((record) =>
      record.properties.userProperties === undefined ? record : {
        ...record,
        properties: { ...record.properties, userProperties: Array.from(new Map(record.properties.userProperties)) }
      }
    )
  ],
  [
    "keeps payloads as text",
    "of every type",
    withOutbound((record) => ({
      ...record,
      payload: new TextEncoder().encode(new TextDecoder().decode(record.payload))
    }))
  ],
  [
    "has no place for a large payload",
    "1 MB",
    withOutbound((record) => ({ ...record, payload: record.payload.subarray(0, 65_536) }))
  ],
  ["normalises texts", "unusual texts", withOutbound((record) => ({ ...record, topic: record.topic.normalize() }))],
  [
    "cuts long keys",
    "unusual texts",
    withChanges((changes) =>
      changes.map((change) => change._tag === "Delete" ? { ...change, key: change.key.slice(0, 511) } : change)
    )
  ],
  [
    "sorts sequences as texts",
    "order of their sequence",
    withHandle((handle) => ({
      load: Effect.map(handle.load, ({ records }) => ({
        damage: undefined,
        records: records.toSorted((a, b) =>
          a._tag === "Outbound" && b._tag === "Outbound" && `${a.sequence}` < `${b.sequence}` ? -1 : 1
        )
      }))
    }))
  ],
  [
    "does not replace",
    "put replaces",
    withHandle((handle) => ({
      commit: (changes) =>
        Effect.flatMap(handle.load, ({ records }) => {
          const keys = new Set(records.map(StoreRecord.keyOf))
          return handle.commit(
            changes.filter((change) => change._tag === "Delete" || !keys.has(StoreRecord.keyOf(change.record)))
          )
        })
    }))
  ],
  [
    "fails to delete what is not there",
    "delete removes one record",
    withHandle((handle) => ({
      commit: (changes) =>
        Effect.flatMap(
          handle.load,
          ({ records }) =>
            changes[0]?._tag === "Delete" && records.length === 0 ? Effect.fail(failed) : handle.commit(changes)
        )
    }))
  ],
  [
    "never deletes",
    "delete removes one record",
    withChanges((changes) => changes.filter(({ _tag }) => _tag === "Put"))
  ],
  [
    "deletes first and puts afterwards",
    "applied in order",
    withChanges((changes) => changes.toSorted((a, b) => a._tag < b._tag ? -1 : 1))
  ],
  [
    "cannot commit nothing",
    "commit of nothing",
    withHandle((handle) => ({
      commit: (changes) => changes.length === 0 ? Effect.fail(failed) : handle.commit(changes)
    }))
  ],
  ["takes a limited number of changes", "10,000 changes", withChanges((changes) => changes.slice(0, 9999))],
  [
    "takes as many changes as a call has parameters",
    "70,000 messages",
    withChanges((changes) => changes.slice(0, 65_535))
  ],
  [
    "fails for ever at a record that cannot be written",
    "no packet can hold",
    withHandle((handle) => ({
      commit: (changes) =>
        changes.some((change) => change._tag === "Put" && !isWellFormed(change.record))
          ? Effect.fail(failed)
          : handle.commit(changes)
    }))
  ],
  [
    "applies the rest of a commit that it refuses",
    "no packet can hold",
    withHandle((handle) => ({
      commit: (changes) => {
        const possible = changes.filter((change) => change._tag === "Delete" || isWellFormed(change.record))
        const committed = handle.commit(possible)
        return possible.length === changes.length ? committed : Effect.andThen(committed, Effect.fail(invalid))
      }
    }))
  ],
  [
    "works on after the end of its scope",
    "after the end of its scope",
    (store) => ({
      open: (session) =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const handle = yield* Scope.provide(store.open(session), scope)
          let next: Handle | undefined
          yield* Effect.addFinalizer(() =>
            Effect.gen(function*() {
              yield* Scope.close(scope, Exit.void)
              next = yield* Scope.provide(store.open(session), yield* Scope.make()).pipe(Effect.orDie)
            })
          )
          return { ...handle, commit: (changes) => (next ?? handle).commit(changes) }
        })
    })
  ],
  [
    "counts its end as a failure that passes",
    "after the end of its scope",
    withHandle((handle) => ({
      commit: (changes) => Effect.mapError(handle.commit(changes), () => failed)
    }))
  ],
  [
    "loads the same object again",
    "loading again",
    withHandle((handle) => {
      const records: Array<StoreRecord.StoreRecord> = []
      return {
        load: Effect.map(handle.load, (loaded) => {
          records.splice(0, records.length, ...loaded.records)
          return { records, damage: undefined }
        })
      }
    })
  ],
  [
    "loads once",
    "loading again",
    withHandle((handle) => {
      let loaded = false
      return {
        load: Effect.suspend(() => {
          if (loaded) return Effect.succeed({ records: [], damage: undefined })
          loaded = true
          return handle.load
        })
      }
    })
  ],
  [
    "lets everybody own a session",
    "one owner until",
    (store) => {
      const scope = Scope.makeUnsafe()
      const handles = new Map<string, Handle>()
      const open: Store["open"] = (session) => {
        const handle = handles.get(session)
        return handle !== undefined ? Effect.succeed(handle) : Scope.provide(store.open(session), scope).pipe(
          Effect.tap((handle) => Effect.sync(() => handles.set(session, handle)))
        )
      }
      return { open }
    }
  ],
  [
    "refuses a second owner by another kind of failure",
    "one owner until",
    (store) => ({ open: (session) => Effect.mapError(store.open(session), () => failed) })
  ],
  [
    "looks before it takes",
    "one of many",
    (store) => {
      const scope = Scope.makeUnsafe()
      const owned = new Set<string>()
      const handles = new Map<string, Handle>()
      return {
        open: (session) =>
          Effect.gen(function*() {
            if (owned.has(session)) return yield* store.open(session)
            yield* Effect.yieldNow
            owned.add(session)
            const handle = handles.get(session) ?? (yield* Scope.provide(store.open(session), scope))
            handles.set(session, handle)
            yield* Effect.addFinalizer(() => Effect.sync(() => owned.delete(session)))
            return handle
          })
      }
    }
  ],
  [
    "waits for an orderly end of its owner",
    "interrupted or failed",
    (store) => ({
      open: (session) =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const handle = yield* Scope.provide(store.open(session), scope)
          yield* Effect.addFinalizer((exit) => Exit.isSuccess(exit) ? Scope.close(scope, exit) : Effect.void)
          return handle
        })
    })
  ],
  [
    "takes a session before it promises to give it back",
    "attempt to open it was interrupted",
    (store) => ({
      open: (session) =>
        Effect.gen(function*() {
          const scope = yield* Scope.make()
          const handle = yield* Scope.provide(store.open(session), scope)
          yield* Effect.yieldNow
          yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
          return handle
        })
    })
  ],
  [
    "commits one change after the other",
    "an interrupted commit",
    withHandle((handle) => ({
      commit: (changes) =>
        Effect.forEach(
          changes,
          (change, i) => Effect.andThen(i % 10 === 9 ? Effect.yieldNow : Effect.void, handle.commit([change])),
          { discard: true }
        )
    }))
  ],
  [
    "goes on with an interrupted commit later",
    "an interrupted commit",
    withHandle((handle) => {
      let left: ReadonlyArray<Change> = []
      return {
        commit: (changes) =>
          Effect.yieldNow.pipe(
            Effect.andThen(Effect.suspend(() => handle.commit([...changes, ...left]))),
            Effect.onInterrupt(() =>
              Effect.sync(() => {
                left = changes
              })
            )
          )
      }
    })
  ],
  [
    "clears whose name begins alike",
    "clear deletes all records",
    (store) => {
      const handles = new Map<string, Handle>()
      return withHandle((handle, session) => {
        handles.set(session, handle)
        return {
          clear: Effect.suspend(() =>
            Effect.forEach(
              Array.from(handles).filter(([name]) => name.startsWith(session)),
              ([, { clear }]) => clear,
              { discard: true }
            )
          )
        }
      })(store)
    }
  ],
  [
    "clears in part",
    "clear deletes all records",
    withHandle((handle) => ({
      clear: deleteAll(handle, (key) => key.startsWith("outbound/"))
    }))
  ],
  ["has one batch for all sessions", "commit at the same time", (store) => {
    let batch: ReadonlyArray<Change> = []
    return withHandle((handle) => ({
      commit: (changes) =>
        Effect.suspend(() => {
          batch = changes
          return Effect.andThen(Effect.yieldNow, Effect.suspend(() => handle.commit(batch)))
        })
    }))(store)
  }],
  [
    "forgets everything with its process",
    "storage is opened again",
    (store) => ({
      ...store,
      reopen: fresh
    })
  ],
  ["loses every twentieth commit", "(seed 1)", (store) => {
    let commits = 0
    return withChanges((changes) => ++commits % 20 === 0 ? [] : changes)(store)
  }],
  ["takes case for nothing", "any string names", withName((session) => session.toLowerCase())],
  ["takes normal forms for the same", "any string names", withName((session) => session.normalize("NFC"))],
  ["cuts long names", "any string names", withName((session) => session.slice(0, 255))],
  ["cuts names at NUL", "any string names", withName((session) => session.split("\0")[0]!)],
  ["writes names as UTF-8", "any string names", withName((session) => utf8(session))],
  ["writes names as paths", "any string names", withName((session) => session.replaceAll("/", "\\"))]
]

describe("SessionStoreSuite", () => {
  for (const { name, run } of SessionStoreSuite.cases) {
    it.effect(`accepts a good store: ${name}`, () => Effect.flatMap(memory, run))
    it.effect(`accepts a good store that can be closed: ${name}`, () => Effect.flatMap(closable, run))
  }

  it.effect("finds a store that works on after it was closed", () =>
    Effect.gen(function*() {
      const { run } = SessionStoreSuite.cases.find(({ name }) => name.startsWith("when the store is closed"))!
      const store = yield* memory
      assert.isTrue(Exit.isSuccess(yield* Effect.exit(run(yield* closable))))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(run({ ...store, close: Effect.void }))))
    }))

  for (const [fault, found, make] of faulty) {
    it.effect(`finds a store that ${fault}`, () =>
      Effect.gen(function*() {
        const matching = SessionStoreSuite.cases.filter(({ name }) => name.includes(found))
        assert.strictEqual(matching.length, 1)
        const exit = yield* Effect.exit(Effect.scoped(Effect.flatMap(memory, (store) => matching[0]!.run(make(store)))))
        assert.isTrue(Exit.isFailure(exit))
      }))
  }

  it("gives every case a name of its own", () => {
    assert.strictEqual(new Set(SessionStoreSuite.cases.map(({ name }) => name)).size, SessionStoreSuite.cases.length)
  })
})
