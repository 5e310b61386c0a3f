import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { WebCrypto } from "effect/crypto"
import { KeyValueStore } from "effect/persistence"
import { createHash } from "node:crypto"
import { encodeName } from "../src/internal/names.ts"
import { build, over } from "./support.ts"

const shortText = Schema.String.check(Schema.isMaxLength(30))

describe("encodeName", () => {
  it.effect("leaves what every storage takes, and writes the rest as its UTF-16 units", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* encodeName("plant-1"), "plant-1")
      assert.strictEqual(yield* encodeName("Plant_1/é"), "_0050lant_005f1_002f_00e9")
      assert.strictEqual(yield* encodeName(""), "")
      assert.strictEqual(yield* encodeName("\ud800"), "_d800")
    }))

  it.effect("is never long, and different for names that differ at their very end", () =>
    Effect.gen(function*() {
      const names = ["a".repeat(100), "a".repeat(101), `${"é".repeat(5000)}a`, `${"é".repeat(5000)}b`]
      const encoded = yield* Effect.forEach(names, encodeName)
      assert.strictEqual(new Set(encoded).size, names.length)
      for (const name of encoded) assert.match(name, /^[-_0-9a-z]{0,100}$/)
    }))

  it.effect("is the SHA-256 of a long name, as stores have it that were written before", () =>
    Effect.gen(function*() {
      const name = "Plant é ".repeat(40)
      const bytes = Buffer.from(name, "utf16le").swap16()
      assert.strictEqual(yield* encodeName(name), `__${createHash("sha256").update(bytes).digest("hex")}`)
    }))

  it.effect.prop(
    "gives names that differ encodings that differ",
    [shortText, shortText],
    ([a, b]) =>
      Effect.gen(function*() {
        assert.strictEqual((yield* encodeName(a)) === (yield* encodeName(b)), a === b)
      })
  )

  it.live("fails for a long name where there is no digest, and only for that", () =>
    Effect.gen(function*() {
      const store = yield* over(yield* build(KeyValueStore.layerMemory))
      const open = (name: string) => Effect.scoped(Effect.asVoid(store.open(name)))
      const error = yield* Effect.flip(open("a".repeat(101)))
      assert.strictEqual(error.method, "SessionStore.open")
      assert.deepInclude(error.reason, { _tag: "StorageFailed", kind: "unavailable" })
      yield* open("a".repeat(100))
      yield* Effect.provide(open("a".repeat(101)), WebCrypto.layer(globalThis.crypto))
    }).pipe(Effect.provide(WebCrypto.layer({} as Crypto))))
})
