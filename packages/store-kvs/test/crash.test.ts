import { type SessionStore, type StoreRecord } from "@effect-mqttx/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { another, type Change, drop, kvsWith, loadedFrom, outbound, over, put, stopping, valuesOf } from "./support.ts"

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

  /**
   * The values of a log that was written anew so many times; the next commit but one, or the next, has it written anew
   * again.
   */
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

  type Act = (handle: SessionStore.SessionStoreHandle) => Effect.Effect<void, unknown>
  type Trial = Effect.Success<ReturnType<typeof startWith>>

  /**
   * Does the same over and over, stopping at one write after the other, each not done, half done or done; answers how
   * many writes there are.
   */
  const atEveryWrite = <E>(
    act: Act,
    values: ReadonlyMap<string, Uint8Array>,
    check: (
      trial: Trial,
      when: string,
      isSuccess: boolean,
      last: "nothing" | "half" | "all"
    ) => Effect.Effect<void, E, Scope.Scope>
  ) =>
    Effect.gen(function*() {
      const whole = yield* startWith(values)
      whole.stop.arm(Infinity, "all")
      yield* act(whole.handle)
      const writes = whole.stop.writes()
      for (let at = 1; at <= writes; at++) {
        for (const last of ["nothing", "half", "all"] as const) {
          const trial = yield* startWith(values)
          trial.stop.arm(at, last)
          const isSuccess = yield* Effect.isSuccess(act(trial.handle))
          yield* check(trial, `write ${at} of ${writes}, of which ${last} was done`, isSuccess, last)
        }
      }
      return writes
    })

  const stopsAtEveryWrite = (
    act: Act,
    expected: ReadonlyArray<ReadonlyArray<StoreRecord.StoreRecord>>,
    values: ReadonlyMap<string, Uint8Array>
  ) =>
    atEveryWrite(act, values, ({ kvs }, when, isSuccess, last) =>
      Effect.gen(function*() {
        const loaded = yield* loadedFrom(kvs)
        const found = expected.findIndex((records) => records.length === loaded.records.length)
        assert.deepStrictEqual(loaded.records, expected[found], when)
        if (isSuccess) assert.strictEqual(found, expected.length - 1, when)
        if (last !== "half") assert.isUndefined(loaded.damage, when)
        assert.deepStrictEqual(loaded.again, { records: loaded.records, damage: undefined }, when)
        yield* Effect.scoped(Effect.gen(function*() {
          const next = yield* (yield* over(another(kvs))).open("plant")
          yield* next.commit([put(outbound(300))])
          assert.deepStrictEqual((yield* loadedFrom(kvs)).records, [...loaded.records, outbound(300)], when)
          yield* next.clear
          assert.deepStrictEqual(yield* kvs.keys, [], when)
        }))
      }))

  /** The same session goes on when the storage is back: what it finds is what another process would find. */
  const goesOnAfterEveryWrite = (act: Act, values: ReadonlyMap<string, Uint8Array>) =>
    Effect.gen(function*() {
      yield* atEveryWrite(act, values, ({ handle, kvs, stop }, when) =>
        Effect.gen(function*() {
          stop.arm(Infinity, "all")
          const { records } = yield* handle.load
          assert.deepStrictEqual((yield* loadedFrom(kvs)).records, records, when)
        }))
      yield* atEveryWrite(act, values, ({ handle, kvs, stop }, stopped) =>
        Effect.gen(function*() {
          stop.arm(Infinity, "all")
          const when = `${stopped}, and a commit after it`
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
        }))
    })

  it.effect("a commit is there in full or not at all, and its log can be written on", () =>
    Effect.gen(function*() {
      const writes = yield* stopsAtEveryWrite((handle) => handle.commit(changes), [before, after], yield* short)
      assert.isAtLeast(writes, 1)
    }))

  const untilWrittenAnew = (handle: SessionStore.SessionStoreHandle) =>
    Effect.andThen(repeat(handle, 1), handle.commit(changes))

  for (const [generations, time] of ["first", "second", "third"].entries()) {
    it.effect(`commits that have the log written again for the ${time} time are there in full or not at all`, () =>
      Effect.gen(function*() {
        const writes = yield* stopsAtEveryWrite(untilWrittenAnew, [before, after], yield* prepare(generations))
        assert.isAbove(writes, 60)
      }))
  }

  it.effect("so are those of a log that is written again as several values", () =>
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
