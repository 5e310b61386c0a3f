/**
 * `StoreInspection`: what it finds in the files of a store, and that it leaves them as they are.
 */
import type { StoreRecord } from "@effect-mqttx/core"
import { FileStore, StoreInspection } from "@effect-mqttx/store-file"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"

const directory = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "inspection-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
)

const outbound = (sequence: number): StoreRecord.OutboundRecord => ({
  _tag: "Outbound",
  sequence,
  state: "queued",
  packetIdentifier: 0,
  topic: "a/b",
  payload: new Uint8Array(10),
  qos: 1,
  retain: false,
  properties: {},
  acceptedAt: 1,
  expiresAt: undefined
})

const fill = (path: string, session: string, count: number) =>
  Effect.scoped(Effect.gen(function*() {
    const { open } = yield* FileStore.make({ directory: path })
    const handle = yield* open(session)
    yield* handle.load
    yield* handle.commit(
      Array.from({ length: count }, (_, index) => ({ _tag: "Put" as const, record: outbound(index) }))
    )
    yield* handle.commit([{ _tag: "Delete", key: "outbound/0000000000000000" }])
  }))

/** The files of a store but its lock, with their bytes. */
const filesOf = (path: string) =>
  Fs.readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => !name.startsWith("lock") && Fs.statSync(Path.join(path, name)).isFile())
    .sort()
    .map((name) => [name, Fs.readFileSync(Path.join(path, name)).toString("base64")])

describe("StoreInspection", () => {
  it.effect("counts the records of each session, and changes no file but the lock", () =>
    Effect.scoped(Effect.gen(function*() {
      const path = Path.join(yield* directory, "store")
      yield* fill(path, "one", 4)
      yield* fill(path, "two/ä\ud800", 2)
      const before = filesOf(path)
      const { damage, sessions } = yield* StoreInspection.inspect(path)
      assert.deepStrictEqual(damage, [])
      assert.lengthOf(sessions, 2)
      const of = (name: string) => sessions.find(({ id }) => id === StoreInspection.sessionId(name))!
      assert.deepInclude(of("one"), { payloadBytes: 30, unreadable: 0 })
      assert.strictEqual(of("one").records.Outbound, 3)
      assert.strictEqual(of("two/ä\ud800").records.Outbound, 1)
      const target = Path.join(yield* directory, "copy")
      yield* StoreInspection.copy(path, target)
      assert.deepStrictEqual(filesOf(path), before)
      const { open } = yield* FileStore.make({ directory: target })
      const { damage: lost, records } = yield* Effect.flatMap(open("one"), ({ load }) => load)
      assert.isUndefined(lost)
      assert.lengthOf(records, 3)
    })))

  it.effect("names damaged parts, and does not repair them", () =>
    Effect.scoped(Effect.gen(function*() {
      const path = Path.join(yield* directory, "store")
      // More than a block of the log, because damage in its last block looks like an unfinished write.
      yield* fill(path, "one", 2_000)
      const log = Fs.readdirSync(Path.join(path, "records")).find((name) => name.endsWith(".log"))!
      const file = Path.join(path, "records", log)
      const bytes = Fs.readFileSync(file)
      bytes[20]! ^= 0xff
      Fs.writeFileSync(file, bytes)
      const before = filesOf(path)
      const { damage } = yield* StoreInspection.inspect(path)
      assert.isAbove(damage.length, 0)
      assert.deepStrictEqual(filesOf(path), before)
    })))

  it.effect("refuses a store that is open, and a directory without one, where it makes none", () =>
    Effect.scoped(Effect.gen(function*() {
      const path = Path.join(yield* directory, "store")
      const missing = yield* Effect.flip(StoreInspection.inspect(path))
      assert.deepInclude(missing.reason, { _tag: "StorageFailed", kind: "unavailable" })
      assert.isFalse(Fs.existsSync(path))
      yield* FileStore.make({ directory: path })
      const owned = yield* Effect.flip(StoreInspection.inspect(path))
      assert.deepInclude(owned.reason, { _tag: "StorageFailed", kind: "owned" })
    })))
})
