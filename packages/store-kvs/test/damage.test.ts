import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { KeyValueStore } from "effect/persistence"
import { reference } from "../../../test/support/crc32.ts"
import { build, drop, type Kvs, kvsWith, loadedFrom, outbound, over, put, valuesOf } from "./support.ts"

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

  it.effect("report any value that is gone, except the last one and heads, to which no other value refers", () =>
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
