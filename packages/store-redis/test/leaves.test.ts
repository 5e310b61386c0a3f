import { MqttError, SessionStore } from "@effect-mqttx/core"
import { RedisStore } from "@effect-mqttx/store-redis"
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Duration, Effect, Exit, Layer, Result, Schema } from "effect"
import { Redis } from "effect/persistence"
import { durabilityOf, settingsOf } from "../src/internal/durability.ts"
import { fieldOf, keyOfField, keysOf } from "../src/internal/keys.ts"
import { toBytes, toText } from "../src/internal/value.ts"

/** What Redis Cluster hashes of a key. */
const hashTag = (key: string): string => {
  const start = key.indexOf("{")
  const end = key.indexOf("}", start + 1)
  return start === -1 || end === -1 || end === start + 1 ? key : key.slice(start + 1, end)
}

const names = [
  "",
  "%",
  "%007b",
  "{",
  "}",
  "{}",
  "{a}",
  "}{",
  "a}b",
  "a{b",
  "a:owner",
  "a}:owner",
  "plant",
  "plant:records",
  "\0",
  "\ud800",
  "\udc00",
  "\ud83d\ude00",
  "\ufffd",
  "grün"
]

describe("keys", () => {
  it("all keys of a session have one hash tag, whatever its name", () => {
    for (const name of names) {
      const tags = new Set(Object.values(keysOf("mqttx:", name)).map(hashTag))
      assert.strictEqual(tags.size, 1, JSON.stringify(name))
      assert.notInclude(Array.from(tags), "")
    }
  })

  it("no two sessions share a key, as UTF-8 either", () => {
    const keys = names.flatMap((name) => Object.values(keysOf("mqttx:", name)))
    assert.strictEqual(new Set(keys).size, names.length * 5)
    assert.strictEqual(new Set(keys.map((key) => Buffer.from(key).toString("hex"))).size, names.length * 5)
  })

  it("every key of a record has a field of its own, which gives it back", () => {
    const keys = [...names, ...names.map((name) => `origin/1/${name}`), "subscription/a/%0041", "%d800"]
    const fields = keys.map(fieldOf)
    assert.deepStrictEqual(fields.map(keyOfField), keys)
    assert.strictEqual(new Set(fields.map((field) => Buffer.from(field).toString("hex"))).size, keys.length)
    assert.strictEqual(fieldOf("subscription/a/{b}/+"), "subscription/a/{b}/+")
  })

  it("a usual name can be read in the key", () => {
    assert.strictEqual(keysOf("mqttx:", "plant/1 grün").records, "mqttx:{plant/1 grün}:records")
  })
})

describe("values", () => {
  it("every byte comes back, through UTF-8 as well", () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i)
    assert.deepStrictEqual(Array.from(toBytes(Buffer.from(toText(bytes), "utf8").toString("utf8"))), Array.from(bytes))
    assert.strictEqual(toText(bytes.subarray(65, 68)), "ABC")
  })

  it("what would be too large as Latin-1 is base64, and comes back", () => {
    const bytes = new Uint8Array(1000).map((_, i) => i === 0 ? 1 : 128 + i % 128)
    const text = toText(bytes, 1500)
    assert.isAtMost(Buffer.byteLength(text), 1500)
    assert.deepStrictEqual(Array.from(toBytes(text)), Array.from(bytes))
    assert.strictEqual(Buffer.byteLength(toText(bytes, 1999)), 1999)
    assert.strictEqual(toText(new Uint8Array(1000).fill(65), 1500), "A".repeat(1000))
  })
})

describe("durability", () => {
  const of = (...pairs: ReadonlyArray<string>) => durabilityOf(settingsOf(pairs))

  it("follows the settings of the append-only file", () => {
    assert.strictEqual(of("appendonly", "no", "appendfsync", "always"), "session")
    assert.strictEqual(of("appendonly", "yes", "appendfsync", "everysec"), "process")
    assert.strictEqual(of("appendonly", "yes", "appendfsync", "no"), "process")
    assert.strictEqual(of("appendonly", "yes", "appendfsync", "always"), "power")
    assert.strictEqual(
      of("appendonly", "yes", "appendfsync", "always", "no-appendfsync-on-rewrite", "yes"),
      "process"
    )
    assert.isUndefined(of())
  })

  it("reads the reply of every protocol version", () => {
    const expected = [["appendonly", "yes"]]
    assert.deepStrictEqual(Array.from(settingsOf(["appendonly", "yes"])), expected)
    assert.deepStrictEqual(Array.from(settingsOf({ appendonly: "yes" })), expected)
    assert.deepStrictEqual(Array.from(settingsOf(new Map([["appendonly", "yes"]]))), expected)
    assert.deepStrictEqual(Array.from(settingsOf(null)), [])
  })
})

describe("options", () => {
  const unusedRedis = Layer.mock(Redis.Redis, { eval: () => () => Effect.die("unused") })
  const issuesOf = (options: RedisStore.RedisStoreInput) =>
    RedisStore.make(options).pipe(
      Effect.provide(unusedRedis),
      Effect.flip,
      Effect.map(({ reason }) => {
        assert.instanceOf(reason, MqttError.InvalidOptions)
        return (reason as MqttError.InvalidOptions).issues.map(({ path }) => path)
      })
    )

  it.effect("all issues are reported at once", () =>
    Effect.gen(function*() {
      const options = { keyPrefix: "a{b", leaseDuration: "soon", commandTimeout: -1, lease: 1 }
      assert.sameMembers(yield* issuesOf(options as RedisStore.RedisStoreInput), [
        "keyPrefix",
        "leaseDuration",
        "commandTimeout",
        "lease"
      ])
    }))

  it.effect("options of every wrong kind are refused, in code, JSON and Config", () =>
    Effect.gen(function*() {
      const inJson: unknown = JSON.parse("{\"__proto__\":{\"leaseDuration\":1}}")
      const wrongs = [null, 5, "a", [], { keyPrefix: 5 }, inJson, { lease: 1 }, { expiry: {} }, {
        expiry: { secs: 60 }
      }]
      for (const wrong of wrongs) {
        assert.isNotEmpty(yield* issuesOf(wrong as never))
        assert.isTrue(Result.isFailure(Schema.decodeUnknownResult(RedisStore.RedisStoreOptions)(wrong)))
      }
      const provider = ConfigProvider.fromUnknown({ store: { leaseDurations: "3 seconds" } })
      const config = yield* Effect.exit(Config.schema(RedisStore.RedisStoreOptions, "store").parse(provider))
      assert.isTrue(Exit.isFailure(config))
      yield* RedisStore.make({ expiry: { minutes: 1 } }).pipe(Effect.provide(unusedRedis))
    }))

  it.effect("an expiry that is not longer than the lease is refused", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* issuesOf({ expiry: "10 seconds" }), ["expiry"])
      yield* RedisStore.make({ expiry: "11 seconds" }).pipe(Effect.provide(unusedRedis))
      yield* RedisStore.make({ expiry: Duration.days(7), leaseDuration: 500 }).pipe(Effect.provide(unusedRedis))
    }))

  it.effect("options come from Config, one by one or by the schema", () =>
    Effect.gen(function*() {
      const sent: Array<ReadonlyArray<string>> = []
      const recording = Layer.mock(Redis.Redis, {
        eval: () => () => Effect.die("unused"),
        send: (...command) => {
          sent.push(command)
          return Effect.fail(new Redis.RedisError({ cause: new Error("away") }))
        }
      })
      const opened = Effect.flatMap(SessionStore.SessionStore, (store) => Effect.exit(Effect.scoped(store.open("a"))))
      const first = RedisStore.layerConfig({
        keyPrefix: Config.String("PREFIX"),
        leaseDuration: Config.Duration("LEASE")
      })
      yield* Effect.provide(opened, Layer.provide(first, recording))
      assert.include(sent[0], "first:{a}:owner")
      assert.include(sent[0], "2000")
      sent.length = 0
      const second = RedisStore.layerConfig(Config.schema(RedisStore.RedisStoreOptions, "store"))
      yield* Effect.provide(opened, Layer.provide(second, recording))
      assert.include(sent[0], "second:{a}:owner")
      assert.include(sent[0], "3000")
    }).pipe(
      Effect.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({
        PREFIX: "first:",
        LEASE: "2 seconds",
        store: { keyPrefix: "second:", leaseDuration: "3 seconds" }
      })))
    ))
})
