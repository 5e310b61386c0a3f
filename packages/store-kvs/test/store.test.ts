import { type StoreRecord } from "@effect-mqttx/core"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { KeyValueStore } from "effect/persistence"
import { TestClock } from "effect/testing"
import { build, drop, loadedFrom, outbound, over, put } from "./support.ts"

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

  it.effect("lets an interrupted caller go, while the write that has begun continues and the next owner waits for its end", () =>
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
      yield* Fiber.interrupt(committing)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(closing)
      const { reason } = yield* Effect.flip(store.open("plant"))
      assert.isTrue(reason._tag === "StorageFailed" && reason.kind === "owned")
      yield* Deferred.succeed(gate, undefined)
      const next = yield* Effect.eventually(store.open("plant"))
      assert.deepStrictEqual((yield* next.load).records, [outbound(1)])
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

  it.effect("closed while a write hangs, lets no caller wait for longer than its time limit", () =>
    Effect.gen(function*() {
      const kvs = yield* build(KeyValueStore.layerMemory)
      const started = yield* Deferred.make<void>()
      const hanging = KeyValueStore.make({
        ...kvs,
        set: () => Effect.andThen(Deferred.succeed(started, undefined), Effect.never)
      })
      const scope = yield* Scope.make()
      const store = yield* Scope.provide(over(hanging), scope)
      const handle = yield* store.open("plant")
      const kindsOf = Effect.map(
        Effect.flip(handle.commit([put(outbound(1))])),
        ({ reason }) => reason._tag === "StorageFailed" && reason.kind
      )
      const hung = yield* Effect.forkChild(kindsOf, { startImmediately: true })
      const waiting = yield* Effect.forkChild(kindsOf, { startImmediately: true })
      yield* Deferred.await(started)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      assert.strictEqual(yield* kindsOf, "closed", "at once")
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(closing)
      assert.strictEqual(yield* Fiber.join(hung), "closed")
      assert.strictEqual(yield* Fiber.join(waiting), "closed")
    }))

  it.effect("refuses what comes after the end of its scope", () =>
    Effect.gen(function*() {
      const kvs = yield* build(KeyValueStore.layerMemory)
      const store = yield* over(kvs)
      const handle = yield* Effect.scoped(store.open("plant"))
      const { reason } = yield* Effect.flip(handle.commit([put(outbound(1))]))
      assert.isTrue(reason._tag === "StorageFailed" && reason.kind === "closed")
      assert.strictEqual(yield* kvs.size, 0)
    }))
})
