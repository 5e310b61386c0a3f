import { type SessionStore, StoreRecord } from "@effect-mqttx/core"
import * as SessionStoreKvs from "@effect-mqttx/core/SessionStoreKvs"
import { SessionStoreSuite } from "@effect-mqttx/testing"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, FileSystem, Layer, Scope } from "effect"
import { KeyValueStore } from "effect/persistence"

type Kvs = KeyValueStore.KeyValueStore
type Change = StoreRecord.StoreChange

const over = (kvs: Kvs, options?: SessionStoreKvs.SessionStoreKvsOptions): Effect.Effect<SessionStore.SessionStore> =>
  Effect.provideService(SessionStoreKvs.make(options), KeyValueStore.KeyValueStore, kvs)

const build = <E, R>(layer: Layer.Layer<Kvs, E, R>): Effect.Effect<Kvs, E, R | Scope.Scope> =>
  Effect.map(Layer.build(Layer.fresh(layer)), Context.get(KeyValueStore.KeyValueStore))

/** A store and what it finds when the key-value store is opened again, as another process would. */
const subject = Effect.fnUntraced(function*<E, R>(open: Effect.Effect<Kvs, E, R>) {
  const context = yield* Effect.context<R>()
  const store = Effect.flatMap(Effect.provideContext(open, context), (kvs) => over(kvs))
  return { ...yield* store, reopen: store } satisfies SessionStoreSuite.SessionStoreUnderTest
})

/** Another object over the same values, as another process would have. */
const another = (kvs: Kvs): Kvs => KeyValueStore.make({ ...kvs })

describe("SessionStoreKvs in memory", () => {
  for (const { name, run } of SessionStoreSuite.cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const kvs = yield* build(KeyValueStore.layerMemory)
        yield* run(yield* subject(Effect.sync(() => another(kvs))))
      }))
  }
})

describe("SessionStoreKvs in a browser's storage, which holds text", () => {
  for (const { name, run } of SessionStoreSuite.cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const items = new Map<string, string>()
        const storage: Storage = {
          get length() {
            return items.size
          },
          clear: () => items.clear(),
          getItem: (key) => items.get(key) ?? null,
          key: (index) => Array.from(items.keys())[index] ?? null,
          removeItem: (key) => void items.delete(key),
          setItem: (key, value) => void items.set(key, value)
        }
        yield* run(yield* subject(build(KeyValueStore.layerStorage(() => storage))))
      }))
  }
})

describe("SessionStoreKvs in files", () => {
  for (const { name, run } of SessionStoreSuite.cases) {
    it.live(name, () =>
      Effect.gen(function*() {
        const directory = yield* (yield* FileSystem.FileSystem).makeTempDirectoryScoped({ prefix: "mqtt-kvs-" })
        yield* run(yield* subject(build(KeyValueStore.layerFileSystem(directory))))
      }).pipe(Effect.provide(NodeServices.layer)))
  }
})

const outbound = (
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
const put = (record: StoreRecord.StoreRecord): Change => ({ _tag: "Put", record })
const drop = (sequence: number): Change => ({ _tag: "Delete", key: StoreRecord.outboundKey(sequence) })

const unavailable = new KeyValueStore.KeyValueStoreError({ method: "set", message: "as planned" })

/** What the write at which the key-value store stops does, before nothing works any more. */
type LastWrite = "nothing" | "half" | "all"

/** A key-value store that stops at the n-th write from when it is armed. */
const stopping = (kvs: Kvs) => {
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

const valuesOf = (kvs: Kvs): Effect.Effect<ReadonlyMap<string, Uint8Array>, KeyValueStore.KeyValueStoreError> =>
  Effect.map(
    Effect.flatMap(
      kvs.keys,
      (keys) =>
        Effect.forEach(keys.toSorted(), (key) => Effect.map(kvs.getUint8Array(key), (value) => [key, value!] as const))
    ),
    (entries) => new Map(entries)
  )

const kvsWith = Effect.fnUntraced(function*(values: ReadonlyMap<string, Uint8Array>) {
  const kvs = yield* build(KeyValueStore.layerMemory)
  for (const [key, value] of values) yield* kvs.set(key, value)
  return kvs
})

const loadedFrom = (kvs: Kvs) =>
  Effect.scoped(Effect.gen(function*() {
    const handle = yield* (yield* over(another(kvs))).open("plant")
    const first = yield* handle.load
    return { ...first, again: yield* handle.load }
  }))

describe("SessionStoreKvs when the program or its storage stops at any write", () => {
  const before = Array.from({ length: 20 }, (_, i) => outbound(i + 1))
  const after = [...before.slice(1), outbound(200, "new"), outbound(201, "new")]
  const changes: ReadonlyArray<Change> = [drop(1), put(outbound(200, "new")), put(outbound(201, "new"))]

  const repeat = (handle: SessionStore.SessionStoreHandle, count: number) =>
    Effect.forEach(
      Array.from({ length: count }, (_, i) => before[i % before.length]!),
      (record) => handle.commit([put(record)]),
      { discard: true }
    )

  /** A session over these values that stops when told. */
  const startWith = Effect.fnUntraced(function*(values: ReadonlyMap<string, Uint8Array>) {
    const kvs = yield* kvsWith(values)
    const stop = stopping(kvs)
    const handle = yield* (yield* over(stop.kvs)).open("plant")
    yield* handle.load
    stop.arm(Infinity, "all")
    return { kvs, stop, handle }
  })

  /** The values of a log that was written anew so many times; the next commit but one, or the next, has it written anew again. */
  const prepare = Effect.fnUntraced(function*(generations: number) {
    const { handle, kvs, stop } = yield* startWith(new Map())
    yield* handle.commit(before.map(put))
    for (let generation = 0;; generation++) {
      let values = yield* valuesOf(kvs)
      for (let written = 1; written === 1;) {
        values = yield* valuesOf(kvs)
        stop.arm(Infinity, "all")
        yield* repeat(handle, 1)
        written = stop.writes()
      }
      if (generation === generations) return values
    }
  })

  const short = Effect.gen(function*() {
    const { handle, kvs } = yield* startWith(new Map())
    yield* handle.commit(before.map(put))
    return yield* valuesOf(kvs)
  })

  const stopsAtEveryWrite = (
    act: (handle: SessionStore.SessionStoreHandle) => Effect.Effect<void, unknown>,
    expected: ReadonlyArray<ReadonlyArray<StoreRecord.StoreRecord>>,
    values: ReadonlyMap<string, Uint8Array>
  ) =>
    Effect.gen(function*() {
      const trial = yield* startWith(values)
      trial.stop.arm(Infinity, "all")
      yield* act(trial.handle)
      const writes = trial.stop.writes()
      for (let at = 1; at <= writes; at++) {
        for (const last of ["nothing", "half", "all"] as const) {
          const { handle, kvs, stop } = yield* startWith(values)
          stop.arm(at, last)
          const success = yield* Effect.isSuccess(act(handle))
          const when = `write ${at} of ${writes}, of which ${last} was done`
          const loaded = yield* loadedFrom(kvs)
          const found = expected.findIndex((records) => records.length === loaded.records.length)
          assert.deepStrictEqual(loaded.records, expected[found], when)
          if (success) assert.strictEqual(found, expected.length - 1, when)
          if (last !== "half") assert.isUndefined(loaded.damage, when)
          assert.deepStrictEqual(loaded.again, { records: loaded.records, damage: undefined }, when)
          yield* Effect.scoped(Effect.gen(function*() {
            const next = yield* (yield* over(another(kvs))).open("plant")
            yield* next.commit([put(outbound(300))])
            assert.deepStrictEqual((yield* loadedFrom(kvs)).records, [...loaded.records, outbound(300)], when)
            yield* next.clear
            assert.deepStrictEqual(yield* kvs.keys, [], when)
          }))
        }
      }
      return writes
    })

  /** The same session goes on when the storage is back: what it finds is what another process would find. */
  const goesOnAfterEveryWrite = (
    act: (handle: SessionStore.SessionStoreHandle) => Effect.Effect<void, unknown>,
    values: ReadonlyMap<string, Uint8Array>
  ) =>
    Effect.gen(function*() {
      const trial = yield* startWith(values)
      trial.stop.arm(Infinity, "all")
      yield* act(trial.handle)
      const writes = trial.stop.writes()
      for (let at = 1; at <= writes; at++) {
        for (const last of ["nothing", "half", "all"] as const) {
          const { handle, kvs, stop } = yield* startWith(values)
          stop.arm(at, last)
          yield* Effect.exit(act(handle))
          stop.arm(Infinity, "all")
          const when = `write ${at} of ${writes}, of which ${last} was done`
          const { records } = yield* handle.load
          assert.deepStrictEqual((yield* loadedFrom(kvs)).records, records, when)
        }
      }
      for (let at = 1; at <= writes; at++) {
        for (const last of ["nothing", "half", "all"] as const) {
          const { handle, kvs, stop } = yield* startWith(values)
          stop.arm(at, last)
          yield* Effect.exit(act(handle))
          stop.arm(Infinity, "all")
          const when = `write ${at} of ${writes}, of which ${last} was done, and a commit after it`
          yield* handle.commit([put(outbound(300))])
          const { records } = yield* handle.load
          assert.deepStrictEqual(
            yield* Effect.map(loadedFrom(kvs), ({ damage, records }) => ({ damage, records })),
            { damage: undefined, records },
            when
          )
          yield* act(handle)
          assert.deepStrictEqual((yield* loadedFrom(kvs)).records, (yield* handle.load).records, when)
          yield* handle.clear
          assert.deepStrictEqual(yield* kvs.keys, [], when)
        }
      }
    })

  it.effect("a commit is there in full or not at all, and its log can be written on", () =>
    Effect.gen(function*() {
      const writes = yield* stopsAtEveryWrite((handle) => handle.commit(changes), [before, after], yield* short)
      assert.isAtLeast(writes, 1)
    }))

  const untilWrittenAnew = (handle: SessionStore.SessionStoreHandle) =>
    Effect.andThen(repeat(handle, 1), handle.commit(changes))

  for (const [generations, time] of ["first", "second", "third"].entries()) {
    it.effect(`commits that have the log written anew for the ${time} time are there in full or not at all`, () =>
      Effect.gen(function*() {
        const writes = yield* stopsAtEveryWrite(untilWrittenAnew, [before, after], yield* prepare(generations))
        assert.isAbove(writes, 60)
      }))
  }

  it.effect("so are those of a log that is written anew as several values", () =>
    Effect.gen(function*() {
      const large = Array.from({ length: 4 }, (_, i) => outbound(i, "large", new Uint8Array(100_000).fill(i)))
      const start = yield* startWith(new Map())
      for (let i = 0; i < 2; i++) yield* start.handle.commit(large.map(put))
      const act = (handle: SessionStore.SessionStoreHandle) =>
        Effect.andThen(handle.commit(large.map(put)), handle.commit([put(outbound(9))]))
      const writes = yield* stopsAtEveryWrite(act, [large, [...large, outbound(9)]], yield* valuesOf(start.kvs))
      // The commits and the deletion of three values, and between them two copies and a head.
      assert.strictEqual(writes, 2 + 3 + 3)
    }))

  it.effect("clear has happened in full or not at all", () =>
    Effect.gen(function*() {
      for (const values of [yield* short, yield* prepare(0), yield* prepare(2)]) {
        assert.isAbove(yield* stopsAtEveryWrite((handle) => handle.clear, [before, []], values), 5)
      }
    }))

  it.effect("a session whose storage comes back has what another process would find", () =>
    Effect.gen(function*() {
      for (const values of [yield* short, yield* prepare(1)]) {
        yield* goesOnAfterEveryWrite((handle) => handle.clear, values)
        yield* goesOnAfterEveryWrite(untilWrittenAnew, values)
      }
    }))

  it.effect("a commit that failed and may be there does not turn up after a load that did not have it", () =>
    Effect.gen(function*() {
      const { handle, kvs, stop } = yield* startWith(yield* short)
      stop.arm(1, "all")
      assert.strictEqual((yield* Effect.flip(handle.commit(changes))).reason._tag, "StorageFailed")
      stop.arm(Infinity, "all")
      assert.deepStrictEqual((yield* handle.load).records, before)
      assert.deepStrictEqual((yield* loadedFrom(kvs)).records, before)
    }))

  it.effect("a commit that failed can be made again when the storage is back, or replaced by another", () =>
    Effect.gen(function*() {
      for (const last of ["nothing", "half", "all"] as const) {
        const { handle, kvs, stop } = yield* startWith(yield* short)
        stop.arm(1, last)
        yield* Effect.flip(handle.commit([put(outbound(999))]))
        stop.arm(Infinity, "all")
        yield* handle.commit(changes)
        assert.deepStrictEqual(yield* Effect.map(loadedFrom(kvs), ({ damage, records }) => ({ damage, records })), {
          records: after,
          damage: undefined
        })
      }
    }))
})

/** CRC-32 bit by bit, over one after the other. */
const reference = (...parts: ReadonlyArray<Uint8Array>): number => {
  let crc = 0xffffffff
  for (const part of parts) {
    for (const byte of part) {
      crc ^= byte
      for (let i = 0; i < 8; i++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
    }
  }
  return ~crc >>> 0
}

describe("SessionStoreKvs over damaged values", () => {
  const records = [outbound(1, "a"), outbound(2, "b"), outbound(3, "c")]

  /** What stands in a key-value store after some commits, with a log that was written anew so many times. */
  const written = Effect.fnUntraced(function*(generations: number) {
    const kvs = yield* build(KeyValueStore.layerMemory)
    yield* Effect.scoped(Effect.gen(function*() {
      const handle = yield* (yield* over(kvs)).open("plant")
      for (let i = 0; i < 60 * generations; i++) yield* handle.commit([put(records[0]!), put(outbound(9)), drop(9)])
      for (const record of records) yield* handle.commit([put(record)])
    }))
    return yield* valuesOf(kvs)
  })

  /** The unharmed records, and no other, and damage whenever one is lost. */
  const expectOnlyUnharmed = Effect.fnUntraced(function*(kvs: Kvs, when: string) {
    const loaded = yield* loadedFrom(kvs)
    for (const record of loaded.records) {
      // A lost deletion brings a record back as it was.
      const known = [...records, outbound(9)].find(({ sequence }) =>
        record._tag === "Outbound" && record.sequence === sequence
      )
      assert.deepStrictEqual(record, known, when)
    }
    if (loaded.records.length < records.length) assert.isDefined(loaded.damage, when)
    assert.deepStrictEqual(loaded.again, { records: loaded.records, damage: undefined }, when)
    assert.deepStrictEqual(yield* loadedFrom(kvs), { ...loaded.again, again: loaded.again }, when)
    return loaded
  })

  it.effect("deliver nothing altered for any byte that is changed, and say once that something was lost", () =>
    Effect.gen(function*() {
      for (const generations of [0, 1, 2]) {
        const values = yield* written(generations)
        assert.strictEqual(Array.from(values.keys()).filter((key) => key.includes("head")).length, generations)
        // The segments of a long log are alike.
        for (const [key, value] of Array.from(values).filter(([key], i) => key.includes("head") || i < 3)) {
          for (let i = 0; i < value.length; i++) {
            const changed = value.slice()
            changed[i]! ^= 1 << (i % 8)
            const kvs = yield* kvsWith(new Map(values).set(key, changed))
            const loaded = yield* expectOnlyUnharmed(kvs, `byte ${i} of ${key}, generation ${generations}`)
            if (key.includes("head")) assert.deepStrictEqual(loaded.records, records)
            else assert.isDefined(loaded.damage)
          }
        }
      }
    }))

  it.effect("deliver nothing altered for a value that is cut anywhere, longer, or empty", () =>
    Effect.gen(function*() {
      const values = yield* written(1)
      for (const [key, value] of Array.from(values).slice(0, 4)) {
        for (let size = 0; size < value.length; size++) {
          const kvs = yield* kvsWith(new Map(values).set(key, value.slice(0, size)))
          yield* expectOnlyUnharmed(kvs, `${size} bytes of ${key}`)
        }
        yield* expectOnlyUnharmed(yield* kvsWith(new Map(values).set(key, new Uint8Array([...value, 0]))), key)
      }
    }))

  it.effect("report any value that is gone, but for the last one and heads, which nothing tells of", () =>
    Effect.gen(function*() {
      for (const generations of [0, 1, 2]) {
        const values = yield* written(generations)
        const last = `mqtt/plant/${
          Math.max(...Array.from(values.keys(), (key) => Number(key.split("/")[2])).filter((n) => n >= 0))
        }`
        for (const key of values.keys()) {
          const rest = new Map(values)
          rest.delete(key)
          const kvs = yield* kvsWith(rest)
          if (key.includes("head") || key === last) continue
          const { damage } = yield* expectOnlyUnharmed(kvs, key)
          assert.isDefined(damage, key)
        }
      }
    }))

  it.effect("lose nothing when the heads are gone wrong", () =>
    Effect.gen(function*() {
      const values = yield* written(2)
      const broken = new Map(values)
      for (const key of values.keys()) if (key.includes("head")) broken.set(key, new Uint8Array(3))
      const kvs = yield* kvsWith(broken)
      assert.deepStrictEqual((yield* loadedFrom(kvs)).records, records)
      for (const key of values.keys()) {
        if (!key.includes("head")) continue
        const without = new Map(values)
        without.delete(key)
        assert.deepStrictEqual((yield* loadedFrom(yield* kvsWith(without))).records, records, key)
      }
    }))

  it.effect("do not let a value of another session or number pass", () =>
    Effect.gen(function*() {
      const values = yield* written(0)
      const other = new Map(Array.from(values, ([key, value]) => [key.replace("plant", "cloud"), value] as const))
      const loaded = yield* Effect.scoped(
        Effect.flatMap(over(yield* kvsWith(other)), (store) => Effect.flatMap(store.open("cloud"), ({ load }) => load))
      )
      assert.deepStrictEqual(loaded.records, [])
      assert.isDefined(loaded.damage)
      const swapped = new Map(values).set("mqtt/plant/1", values.get("mqtt/plant/0")!)
      assert.isDefined((yield* loadedFrom(yield* kvsWith(swapped))).damage)
    }))

  it.effect("are left as they are, all of them, when a later version wrote one", () =>
    Effect.gen(function*() {
      const values = yield* written(1)
      for (const key of values.keys()) {
        const value = values.get(key)!.slice()
        value[0] = 2
        const name = new TextEncoder().encode(key.slice("mqtt/".length))
        new DataView(value.buffer).setUint32(value.length - 4, reference(name, value.subarray(0, -4)))
        const kvs = yield* kvsWith(new Map(values).set(key, value))
        const before = yield* valuesOf(kvs)
        yield* Effect.scoped(Effect.gen(function*() {
          const handle = yield* (yield* over(kvs)).open("plant")
          for (const use of [handle.load, handle.commit([put(outbound(1))]), handle.clear]) {
            const { reason } = yield* Effect.flip(use as Effect.Effect<unknown, Effect.Error<typeof use>>)
            assert.strictEqual(reason._tag === "StorageFailed" && reason.kind, "newerFormat")
          }
        }))
        assert.deepStrictEqual(yield* valuesOf(kvs), before)
      }
    }))
})

describe("SessionStoreKvs", () => {
  const failing = (cause: unknown) =>
    Effect.map(build(KeyValueStore.layerMemory), (kvs) =>
      KeyValueStore.make({
        ...kvs,
        set: (key) => Effect.fail(new KeyValueStore.KeyValueStoreError({ method: "set", message: "no", key, cause }))
      }))

  it.effect("says what kind of failure the storage has, with its cause", () =>
    Effect.gen(function*() {
      for (
        const [cause, kind] of [
          [Object.assign(new Error("no space"), { code: "ENOSPC" }), "full"],
          [new DOMException("too much", "QuotaExceededError"), "full"],
          [Object.assign(new Error("read only"), { code: "EROFS" }), "readOnly"],
          [new Error("out of order"), "unavailable"]
        ] as const
      ) {
        const handle = yield* (yield* over(yield* failing(cause))).open("plant")
        const { reason, session } = yield* Effect.flip(handle.commit([put(outbound(1))]))
        assert.strictEqual(session, "plant")
        assert.isTrue(reason._tag === "StorageFailed" && reason.kind === kind)
        assert.strictEqual(
          reason._tag === "StorageFailed" && (reason.cause as KeyValueStore.KeyValueStoreError).cause,
          cause
        )
      }
    }))

  it.effect("promises as much as its options say", () =>
    Effect.gen(function*() {
      const kvs = yield* build(KeyValueStore.layerMemory)
      assert.strictEqual((yield* (yield* over(kvs)).open("a")).durability, "session")
      assert.strictEqual((yield* (yield* over(kvs, { durability: "process" })).open("b")).durability, "process")
    }))

  it.effect("has one owner of a session for all layers over the same key-value store, and one for each prefix", () =>
    Effect.gen(function*() {
      const kvs = yield* build(KeyValueStore.layerMemory)
      const handle = yield* (yield* over(kvs)).open("plant")
      const { reason } = yield* Effect.flip((yield* over(kvs)).open("plant"))
      assert.isTrue(reason._tag === "StorageFailed" && reason.kind === "owned")
      yield* handle.commit([put(outbound(1))])
      const other = yield* (yield* over(kvs, { prefix: "other" })).open("plant")
      assert.deepStrictEqual((yield* other.load).records, [])
    }))

  it.effect("leaves other values alone, and none of its own after clear", () =>
    Effect.gen(function*() {
      const kvs = yield* build(KeyValueStore.layerMemory)
      yield* kvs.set("mqtt/plan", "kept")
      yield* kvs.set("unrelated", "kept")
      const handle = yield* (yield* over(kvs)).open("plant")
      for (let i = 0; i < 150; i++) yield* handle.commit([put(outbound(i))])
      yield* handle.clear
      assert.deepStrictEqual((yield* kvs.keys).toSorted(), ["mqtt/plan", "unrelated"])
    }))

  it.effect("takes no more room than a few times its records, however long it is used", () =>
    Effect.gen(function*() {
      const kvs = yield* build(KeyValueStore.layerMemory)
      const handle = yield* (yield* over(kvs)).open("plant")
      let most = 0
      for (let i = 0; i < 3000; i++) {
        yield* handle.commit([put(outbound(i)), drop(i - 5)])
        most = Math.max(most, yield* kvs.size)
      }
      assert.isBelow(most, 80)
      assert.strictEqual((yield* loadedFrom(kvs)).records.length, 5)
    }))

  it.effect("waits for a write under way, whoever ends it, so that the next one is not overtaken", () =>
    Effect.gen(function*() {
      const kvs = yield* build(KeyValueStore.layerMemory)
      const [started, gate] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
      const slow = KeyValueStore.make({
        ...kvs,
        set: (key, value) =>
          Effect.andThen(
            Deferred.succeed(started, undefined),
            Effect.andThen(Deferred.await(gate), kvs.set(key, value))
          )
      })
      const scope = yield* Scope.make()
      const store = yield* over(slow)
      const handle = yield* Scope.provide(store.open("plant"), scope)
      const committing = yield* Effect.forkChild(handle.commit([put(outbound(1))]))
      yield* Deferred.await(started)
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(committing), { startImmediately: true })
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      for (let i = 0; i < 10; i++) yield* Effect.yieldNow
      assert.isUndefined(interrupting.pollUnsafe())
      const { reason } = yield* Effect.flip(store.open("plant"))
      assert.isTrue(reason._tag === "StorageFailed" && reason.kind === "owned")
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(interrupting)
      yield* Fiber.join(closing)
      assert.deepStrictEqual((yield* (yield* store.open("plant")).load).records, [outbound(1)])
    }))

  it.effect("loads a small payload that keeps no large one in memory", () =>
    Effect.gen(function*() {
      const kvs = yield* build(KeyValueStore.layerMemory)
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* (yield* over(kvs)).open("plant")
        yield* handle.commit([put(outbound(1)), put(outbound(2, "large", new Uint8Array(100_000)))])
      }))
      const [first] = (yield* loadedFrom(kvs)).records
      assert.isBelow((first as StoreRecord.OutboundRecord).payload.buffer.byteLength, 10_000)
    }))

  it.effect("refuses what comes after the end of its scope", () =>
    Effect.gen(function*() {
      const kvs = yield* build(KeyValueStore.layerMemory)
      const store = yield* over(kvs)
      const handle = yield* Effect.scoped(store.open("plant"))
      const { reason } = yield* Effect.flip(handle.commit([put(outbound(1))]))
      assert.isTrue(reason._tag === "StorageFailed" && reason.kind === "fenced")
      assert.strictEqual(yield* kvs.size, 0)
    }))
})
