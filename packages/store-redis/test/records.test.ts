import { StoreRecord, StoreRecordCodec } from "@effect-mqttx/core"
import { RedisServer } from "@effect-mqttx/testing"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { drop, kindOf, outbound, put, sequencesOf } from "../../../test/support/storeRecords.ts"
import { toText } from "../src/internal/value.ts"
import { store } from "./support/redis.ts"

const records = (session: string): string => `mqttx:session:{${session}}:records`

/** The messages that are logged meanwhile. */
const logged = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const messages: Array<string> = []
    const logger = Logger.make(({ message }) => {
      messages.push(String(message))
    })
    return Effect.map(Effect.provide(effect, Logger.layer([logger])), (value) => ({ value, messages }))
  })

describe.skipIf(!RedisServer.isPresent())("records in Redis", () => {
  layer(RedisServer.layer(), { excludeTestServices: true })((it) => {
    it.effect("what cannot be read is reported once, removed, and the rest is kept", () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.RedisServer
        const handle = yield* (yield* store(server)).open("damaged")
        yield* handle.commit([put(outbound(1)), put(outbound(2)), put(outbound(3))])
        // One bit of a payload, a record under another key, and something of somebody else.
        const bytes = StoreRecordCodec.encode(outbound(2))
        bytes[bytes.length - 6]! ^= 1
        yield* server.command("HSET", records("damaged"), StoreRecord.outboundKey(2), toText(bytes))
        yield* server.command(
          "HSET",
          records("damaged"),
          StoreRecord.outboundKey(4),
          toText(StoreRecordCodec.encode(outbound(1)))
        )
        yield* server.command("HSET", records("damaged"), "note", "\u{1f600}")
        const loaded = yield* handle.load
        assert.deepStrictEqual(sequencesOf(loaded), [1, 3])
        assert.strictEqual(loaded.damage?.lost, 3)
        assert.include(loaded.damage?.detail, "checksum")
        assert.isUndefined((yield* handle.load).damage)
        assert.strictEqual(yield* server.command("HLEN", records("damaged")), 3)
      }))

    it.effect("origins of sessions with any name keep apart, also when they are written again", () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.RedisServer
        const handle = yield* (yield* store(server)).open("origins")
        yield* handle.load
        const names = ["\ud800", "\udc00", "\ufffd", "%d800", "a%", ""]
        const origins = names.map((session): StoreRecord.OriginRecord => ({
          _tag: "Origin",
          origin: { forwarder: "f", session, packetIdentifier: 1, use: "1" }
        }))
        yield* handle.commit(origins.map(put))
        for (const lose of [Effect.void, server.command("DEL", records("origins"))]) {
          yield* lose
          yield* handle.commit([])
          assert.sameDeepMembers([...(yield* handle.load).records], origins)
        }
        yield* handle.commit([{ _tag: "Delete", key: StoreRecord.keyOf(origins[0]!) }])
        assert.sameDeepMembers([...(yield* handle.load).records], origins.slice(1))
      }))

    it.effect("a record of a newer format is refused, and nothing is touched", () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.RedisServer
        const one = yield* store(server)
        yield* Effect.scoped(Effect.flatMap(one.open("newer"), (handle) => handle.commit([put(outbound(1))])))
        const newer = newerRecord("identity")
        yield* server.command("HSET", records("newer"), "identity", newer)
        yield* server.command("HSET", records("newer"), "damaged", "x")
        const stored = server.command("HMGET", records("newer"), StoreRecord.outboundKey(1), "identity", "damaged")
        const before = yield* stored
        yield* Effect.scoped(Effect.gen(function*() {
          const handle = yield* one.open("newer")
          assert.strictEqual(yield* kindOf(handle.load), "newerFormat")
        }))
        assert.deepStrictEqual(yield* stored, before)
        assert.notInclude(before, null)
      }))

    it.effect("a key that holds something else is corrupt", () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.RedisServer
        yield* server.command("SET", records("other"), "something else")
        assert.strictEqual(yield* Effect.scoped(kindOf((yield* store(server)).open("other"))), "corrupt")
      }))

    it.effect("a large state is loaded in pages, and others are served meanwhile", () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.RedisServer
        const handle = yield* (yield* store(server)).open("large")
        const payload = new Uint8Array(50_000)
        for (let i = 0; i < 200; i += 50) {
          yield* handle.commit(Array.from({ length: 50 }, (_, j) => put(outbound(i + j, { payload }))))
        }
        yield* server.command("CONFIG", "RESETSTAT")
        const loaded = yield* handle.load
        assert.strictEqual(loaded.records.length, 200)
        const calls = Number(
          /cmdstat_hscan:calls=(\d+)/.exec(String(yield* server.command("INFO", "commandstats")))?.[1]
        )
        assert.isTrue(calls >= 4 && calls <= 20, `${calls} pages for 10 MB`)
        assert.notInclude(String(yield* server.command("INFO", "commandstats")), "cmdstat_hgetall")
      }))

    it.effect("a commit is one command, and needs no more when the server has forgotten the scripts", () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.RedisServer
        const handle = yield* (yield* store(server)).open("scripts")
        yield* handle.commit([put(outbound(1))])
        yield* server.command("CONFIG", "RESETSTAT")
        for (let i = 2; i <= 6; i++) yield* handle.commit([put(outbound(i)), drop(i - 1)])
        const stats = String(yield* server.command("INFO", "commandstats"))
        assert.match(stats, /cmdstat_evalsha:calls=5,/)
        assert.notInclude(stats, "cmdstat_eval:")
        yield* server.command("SCRIPT", "FLUSH")
        yield* handle.commit([put(outbound(7))])
        assert.deepStrictEqual(sequencesOf(yield* handle.load), [6, 7])
      }))
  })

  it.live("in a cluster all keys of a session are in one slot, whatever its name", () =>
    Effect.gen(function*() {
      // One node with all slots refuses scripts over several of them, as any node does.
      const server = yield* RedisServer.make({ config: ["cluster-enabled yes"] })
      yield* server.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
      yield* Effect.repeat(server.command("CLUSTER", "INFO"), {
        until: (info) => String(info).includes("cluster_state:ok")
      })
      const error = yield* Effect.flip(server.command("DEL", "a", "b"))
      assert.include(error, "CROSSSLOT")
      const one = yield* store(server)
      for (const name of ["plant", "", "}", "{", "{}", "{a}{b}", "a}b{c"]) {
        const handle = yield* one.open(name)
        yield* handle.load
        yield* handle.commit([put(outbound(1)), put(outbound(2))])
        yield* server.command("FLUSHALL")
        yield* handle.commit([drop(1)])
        assert.deepStrictEqual(sequencesOf(yield* handle.load), [2])
        yield* handle.clear
      }
    }))

  for (
    const [durability, options] of [
      ["session", {}],
      ["process", { appendonly: true }],
      ["process", { appendonly: true, appendfsync: "no" }],
      ["power", { appendonly: true, appendfsync: "always" }]
    ] as const
  ) {
    it.live(`durability is ${durability} with ${JSON.stringify(options)}`, () =>
      Effect.gen(function*() {
        const server = yield* RedisServer.make(options)
        const { messages, value } = yield* logged(Effect.flatMap(store(server), (one) => one.open("plant")))
        assert.strictEqual(value.durability, durability)
        assert.deepStrictEqual(messages, [])
      }))
  }

  it.live("where CONFIG is forbidden, INFO is read, and without INFO the weakest is assumed and logged once", () =>
    Effect.gen(function*() {
      const server = yield* RedisServer.make({ appendonly: true, appendfsync: "always" })
      yield* server.command("ACL", "SETUSER", "default", "-config")
      const one = yield* store(server)
      const told = yield* logged(one.open("a"))
      assert.strictEqual(told.value.durability, "process")
      assert.deepStrictEqual(told.messages, [])
      yield* server.command("ACL", "SETUSER", "default", "-info")
      const { messages, value } = yield* logged(Effect.all([one.open("b"), one.open("c")]))
      assert.deepStrictEqual(value.map(({ durability }) => durability), ["session", "session"])
      assert.strictEqual(messages.length, 1)
      assert.include(messages[0], "append-only file")
    }))
})

/** A record as a later version may write it: only the first byte and the checksum are what they were. */
const newerRecord = (key: string): string => {
  const body = Uint8Array.of(StoreRecordCodec.format + 1, 200, 1, 2, 3)
  const checksum = crc32(Buffer.concat([Buffer.from(key), body]))
  const bytes = new Uint8Array(body.length + 4)
  bytes.set(body)
  new DataView(bytes.buffer).setUint32(body.length, checksum)
  return toText(bytes)
}

const crc32 = (bytes: Uint8Array): number => {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  }
  return (crc ^ 0xffffffff) >>> 0
}
