import { type MqttError, MqttSession, SessionStore, Transport } from "@effect-mqttx/core"
import { FileStore } from "@effect-mqttx/store-file"
import { Fault, ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { contents, temporaryDirectory } from "./support/directories.ts"
import { outbound, put, remove, sequences } from "./support/records.ts"

const mount = (...parameters: ReadonlyArray<string>): boolean =>
  ChildProcess.spawnSync("mount", parameters).status === 0

const unmount = (path: string) => ChildProcess.spawnSync("umount", [path])

/** Whether this process may mount file systems. */
const canMount = (() => {
  if (process.platform !== "linux") return false
  const path = Fs.mkdtempSync(Path.join(Os.tmpdir(), "store-file-mount-"))
  const mounted = mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", path)
  if (mounted) unmount(path)
  Fs.rmdirSync(path)
  return mounted
})()

const smallDisk = (size: string) =>
  Effect.gen(function*() {
    const path = yield* temporaryDirectory
    yield* Effect.acquireRelease(
      Effect.sync(() => assert.isTrue(mount("-t", "tmpfs", "-o", `size=${size}`, "tmpfs", path))),
      () => Effect.sync(() => unmount(path))
    )
    return path
  })

const kindOf = (error: MqttError.MqttError): string =>
  error.reason._tag === "StorageFailed" ? error.reason.kind : error.reason._tag

const loadOnce = (directory: string, session: string) =>
  Effect.gen(function*() {
    const store = yield* FileStore.make({ directory })
    return yield* (yield* store.open(session)).load
  }).pipe(Effect.scoped)

describe.skipIf(!canMount)("a full disk", () => {
  for (const durability of ["fsync", "os"] as const) {
    it.live(
      `fails commits as full with ${durability}, loses nothing, and serves again when there is room`,
      () =>
        Effect.gen(function*() {
          const disk = yield* smallDisk("8m")
          const directory = Path.join(disk, "store")
          const ballast = Path.join(disk, "ballast")
          const payload = new Uint8Array(50_000).fill(7)
          const accepted = { a: new Array<number>(), b: new Array<number>() }
          const failures = new Map<string, number>()
          yield* Effect.scoped(Effect.gen(function*() {
            const store = yield* FileStore.make({ directory, durability })
            const handles = { a: yield* store.open("a"), b: yield* store.open("b") }
            let sequence = 0
            const fill = (count: number) =>
              Effect.gen(function*() {
                for (let left = count; left > 0; left--) {
                  sequence++
                  for (const session of ["a", "b"] as const) {
                    const outcome = yield* Effect.result(handles[session].commit([put(outbound(sequence, payload))]))
                    if (outcome._tag === "Success") accepted[session].push(sequence)
                    else failures.set(kindOf(outcome.failure), (failures.get(kindOf(outcome.failure)) ?? 0) + 1)
                  }
                }
              })
            for (let time = 0; time < 3; time++) {
              Fs.writeFileSync(ballast, "")
              yield* fill(5)
              const room = Fs.statfsSync(disk)
              Fs.writeFileSync(ballast, new Uint8Array(Math.max(0, room.bavail * room.bsize - 170_000)))
              const before = failures.get("full") ?? 0
              yield* fill(10)
              assert.isAbove(failures.get("full") ?? 0, before)
              Fs.rmSync(ballast)
              const count = accepted.a.length
              yield* fill(2)
              assert.strictEqual(accepted.a.length, count + 2)
            }
          }))
          let lost = 0
          for (const session of ["a", "b"] as const) {
            const { damage, records } = yield* loadOnce(directory, session)
            assert.isUndefined(damage)
            const found = new Set(sequences(records))
            lost += accepted[session].filter((sequence) => !found.has(sequence)).length
            for (const record of records) {
              if (record._tag === "Outbound") assert.strictEqual(Buffer.compare(record.payload, payload), 0)
            }
          }
          console.log(
            `disk full, ${durability}: accepted ${accepted.a.length + accepted.b.length}, failed as full ${
              failures.get("full")
            }, as anything else ${failures.size - 1}, accepted lost ${lost}`
          )
          assert.deepStrictEqual(Array.from(failures.keys()), ["full"])
          assert.strictEqual(lost, 0)
        }),
      180_000
    )
  }

  it.live(
    "what was deleted makes room: a disk of 64 MB takes any number of messages, one after the other",
    () =>
      Effect.gen(function*() {
        const directory = Path.join(yield* smallDisk("64m"), "store")
        const store = yield* FileStore.make({ directory })
        const handle = yield* store.open("a")
        const payload = new Uint8Array(100_000).fill(7)
        for (let sequence = 1; sequence <= 1600; sequence++) {
          yield* handle.commit([put(outbound(sequence, payload)), remove(sequence - 5)])
        }
        assert.deepStrictEqual(sequences((yield* handle.load).records), [1596, 1597, 1598, 1599, 1600])
      }),
    180_000
  )

  it.live("no store is opened where there is no room for one", () =>
    Effect.gen(function*() {
      const disk = yield* smallDisk("64k")
      Fs.writeFileSync(Path.join(disk, "ballast"), new Uint8Array(52_000))
      const error = yield* Effect.flip(Effect.scoped(FileStore.make({ directory: Path.join(disk, "store") })))
      assert.strictEqual(kindOf(error), "full")
      Fs.rmSync(Path.join(disk, "ballast"))
      yield* FileStore.make({ directory: Path.join(disk, "store") })
    }))
})

/** Takes what is left of a disk. */
const fillUp = (disk: string) => {
  const { bavail, bsize } = Fs.statfsSync(disk)
  Fs.writeFileSync(Path.join(disk, "filler"), new Uint8Array(bavail * bsize))
  assert.strictEqual(Fs.statfsSync(disk).bavail, 0)
}

const opened = Effect.fnUntraced(function*(directory: string, durability: "fsync" | "os" = "fsync") {
  const store = yield* FileStore.make({ directory, durability })
  return yield* store.open("a")
})

describe.skipIf(!canMount)("a disk without one free byte", () => {
  for (const durability of ["fsync", "os"] as const) {
    for (const [size, count] of [[100, 3000], [10_000, 300], [1_000_000, 7]] as const) {
      it.live(
        `a store with ${count} messages of ${size} bytes opens, is drained and takes messages again, with ${durability}`,
        () =>
          Effect.gen(function*() {
            const disk = yield* smallDisk("24m")
            const directory = Path.join(disk, "store")
            const all = Array.from({ length: count }, (_, i) => i + 1)
            yield* Effect.scoped(Effect.flatMap(opened(directory, durability), (handle) =>
              Effect.forEach(all, (i) =>
                handle.commit([put(outbound(i, new Uint8Array(size).fill(i)))]))))
            fillUp(disk)
            const middle = Math.floor(count / 2)
            yield* Effect.scoped(Effect.gen(function*() {
              const handle = yield* opened(directory, durability)
              const { damage, records } = yield* handle.load
              assert.isUndefined(damage)
              assert.deepStrictEqual(sequences(records), all)
              assert.isTrue(records.every((record) =>
                record._tag === "Outbound" && record.payload.every((byte) =>
                  byte === record.sequence % 256
                )
              ))
              const large = put(outbound(count + 1, new Uint8Array(2000)))
              assert.strictEqual(kindOf(yield* Effect.flip(handle.commit([large]))), "full")
              const mixed = handle.commit([remove(1), large])
              assert.strictEqual(kindOf(yield* Effect.flip(mixed)), "full")
              for (let i = 1; i <= middle; i++) {
                yield* handle.commit([remove(i)])
              }
              // The server has the next one, and only its release is kept.
              const released = { ...outbound(middle + 1, ""), state: "releasing", qos: 2, packetIdentifier: 1 } as const
              yield* handle.commit([put(released)])
              assert.deepStrictEqual((yield* handle.load).records[0], released)
            }))
            yield* Effect.scoped(Effect.gen(function*() {
              const handle = yield* opened(directory, durability)
              const { damage, records } = yield* handle.load
              assert.isUndefined(damage)
              assert.deepStrictEqual(sequences(records), all.slice(middle))
              yield* handle.commit(all.slice(middle).map(remove))
              // What was drained is the room for what is new, without anyone else's.
              yield* Effect.retry(handle.commit([put(outbound(count + 1, new Uint8Array(9000)))]), Schedule.spaced(50))
              assert.deepStrictEqual(sequences((yield* handle.load).records), [count + 1])
            }))
            const { damage, records } = yield* loadOnce(directory, "a")
            assert.isUndefined(damage)
            assert.deepStrictEqual(sequences(records), [count + 1])
            assert.sameMembers(Fs.readdirSync(directory), ["lock", "records", "reserve", "tally"])
          }),
        180_000
      )
    }
  }

  for (const qos of [1, 2] as const) {
    it.live(
      `a session sends what it had stored, QoS ${qos}, and takes messages again when that has made room`,
      () =>
        Effect.gen(function*() {
          const directory = Path.join(yield* smallDisk("24m"), "store")
          const disk = Path.dirname(directory)
          const broker = yield* ScriptedBroker.makeMemory({ limits: { receiveMaximum: 20 } })
          const session = MqttSession.makeDurable({
            name: "plant",
            servers: [broker.url],
            drainTimeout: "100 millis"
          }).pipe(Effect.provideService(Transport.Transport, broker.transport))
          const over = Effect.fnUntraced(function*() {
            const store = yield* FileStore.make({ directory })
            return yield* Effect.provideService(session, SessionStore.SessionStore, store)
          })
          yield* broker.inject(Fault.discard({ direction: "received", packet: "Connect" }))
          yield* Effect.scoped(Effect.gen(function*() {
            const plant = yield* over()
            for (let i = 0; i < 400; i++) yield* plant.enqueue(`t/${i}`, new Uint8Array(9000).fill(i), { qos })
          }))
          fillUp(disk)
          yield* broker.clearFaults
          const plant = yield* over()
          yield* broker.awaitPacket({ direction: "sent", packet: qos === 1 ? "Puback" : "Pubcomp", nth: 400 })
          assert.deepStrictEqual(
            broker.published.map(({ topic }) => topic),
            Array.from({ length: 400 }, (_, i) => `t/${i}`)
          )
          assert.isTrue(broker.published.every(({ payload }, i) => payload.every((byte) => byte === i % 256)))
          const receipt = yield* plant.enqueue("again", "1", { qos })
          yield* receipt.acknowledged
          yield* plant.publish("large again", new Uint8Array(9000), { qos })
        }),
      180_000
    )
  }

  it.live("kill -9 at any time while it is drained loses no deletion that was accepted", () =>
    Effect.gen(function*() {
      const disk = yield* smallDisk("24m")
      const directory = Path.join(disk, "store")
      const elsewhere = yield* temporaryDirectory
      yield* Effect.scoped(Effect.flatMap(opened(directory), (handle) =>
        Effect.forEach(Array.from({ length: 200 }), (_, i) =>
          handle.commit([put(outbound(i + 1, new Uint8Array(9000)))]))))
      fillUp(disk)
      const handle = yield* opened(directory)
      yield* handle.load
      for (let i = 1; i <= 190; i++) {
        yield* handle.commit([remove(i)])
        if (i % 7 !== 0) {
          continue
        }
        // What is in the files now is what a killed process leaves.
        const copy = Path.join(elsewhere, `${i}`)
        Fs.cpSync(directory, copy, { recursive: true })
        const { damage, records } = yield* loadOnce(copy, "a")
        assert.isUndefined(damage)
        assert.deepStrictEqual(
          sequences(records),
          Array.from({ length: 200 - i }, (_, left) =>
            i + 1 + left)
        )
        Fs.rmSync(copy, { recursive: true })
      }
    }), 180_000)

  it.live("a loss in the reserve is reported", () =>
    Effect.gen(function*() {
      const disk = yield* smallDisk("24m")
      const directory = Path.join(disk, "store")
      yield* Effect.scoped(Effect.flatMap(opened(directory), (handle) =>
        Effect.forEach(Array.from({ length: 100 }), (_, i) =>
          handle.commit([put(outbound(i + 1, new Uint8Array(9000)))]))))
      fillUp(disk)
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* opened(directory)
        yield* handle.load
        for (let i = 1; i <= 10; i++) {
          yield* handle.commit([remove(i)])
        }
      }))
      const path = Path.join(directory, "reserve")
      const bytes = Fs.readFileSync(path)
      bytes.fill(0, 131_072 + 500, 131_072 + 600)
      const descriptor = Fs.openSync(path, "r+")
      Fs.writeSync(descriptor, bytes, 0, bytes.length, 0)
      Fs.closeSync(descriptor)
      const { damage } = yield* loadOnce(directory, "a")
      assert.match(damage!.detail, /the last \d commits are missing/)
    }))

  for (const size of [100, 20_000, 500_000]) {
    it.live(
      `one that the store has filled itself with messages of ${size} bytes is drained, and takes messages again`,
      () =>
        Effect.gen(function*() {
          const disk = yield* smallDisk("12m")
          const directory = Path.join(disk, "store")
          const accepted: Array<number> = []
          const count = Math.max(1, Math.min(200, Math.floor(100_000 / size)))
          yield* Effect.scoped(Effect.gen(function*() {
            const handle = yield* opened(directory, "os")
            let sequence = 0
            for (let failed = 0; failed < 10;) {
              const next = Array.from({ length: count }, () => ++sequence)
              const changes = next.map((i) => put(outbound(i, new Uint8Array(size).fill(i))))
              const exit = yield* Effect.exit(handle.commit(changes))
              if (exit._tag === "Success") accepted.push(...next)
              else failed++
            }
          }))
          fillUp(disk)
          yield* Effect.scoped(Effect.gen(function*() {
            const handle = yield* opened(directory, "os")
            const { damage, records } = yield* handle.load
            assert.isUndefined(damage)
            assert.includeMembers([...sequences(records)], accepted)
            for (let i = 0; i < records.length; i += 50) {
              yield* handle.commit(sequences(records.slice(i, i + 50)).map(remove))
            }
            yield* Effect.retry(handle.commit([put(outbound(1_000_000, new Uint8Array(9000)))]), Schedule.spaced(50))
          }))
          assert.deepStrictEqual(sequences((yield* loadOnce(directory, "a")).records), [1_000_000])
        }),
      180_000
    )
  }

  it.live(
    "many sessions are drained at the same time, and those that publish fail as full",
    () =>
      Effect.gen(function*() {
        const disk = yield* smallDisk("24m")
        const directory = Path.join(disk, "store")
        const names = Array.from({ length: 30 }, (_, i) => `session ${i}`)
        yield* Effect.scoped(Effect.gen(function*() {
          const store = yield* FileStore.make({ directory })
          const handles = yield* Effect.forEach(names, store.open)
          for (let i = 1; i <= 20; i++) {
            yield* Effect.forEach(handles, (handle) => handle.commit([put(outbound(i, new Uint8Array(5000)))]), {
              concurrency: "unbounded"
            })
          }
          fillUp(disk)
          // In the same process, which has LevelDB open and finds out by what fails.
          let full = 0
          for (let i = 1; i <= 15; i++) {
            yield* Effect.forEach(handles, (handle, index) =>
              index % 3 === 0
                ? Effect.exit(handle.commit([put(outbound(100 + i, new Uint8Array(200_000)))])).pipe(
                  Effect.map((exit) => exit._tag === "Failure" ? full++ : 0)
                )
                : handle.commit([remove(i)]), { concurrency: "unbounded" })
          }
          assert.isAbove(full, 100)
        }))
        Fs.rmSync(Path.join(disk, "filler"))
        const store = yield* FileStore.make({ directory })
        for (const [index, name] of names.entries()) {
          const { damage, records } = yield* (yield* store.open(name)).load
          assert.isUndefined(damage)
          const kept = sequences(records).filter((sequence) => sequence < 100)
          assert.deepStrictEqual(
            kept,
            Array.from({ length: index % 3 === 0 ? 20 : 5 }, (_, i) => index % 3 === 0 ? i + 1 : i + 16)
          )
        }
      }),
    180_000
  )

  it.live(
    "small messages are taken as long as the reserve has room, and one after the other for any time",
    () =>
      Effect.gen(function*() {
        const disk = yield* smallDisk("24m")
        const directory = Path.join(disk, "store")
        yield* Effect.scoped(Effect.flatMap(
          opened(directory),
          (handle) =>
            Effect.forEach(
              Array.from({ length: 200 }),
              (_, i) => handle.commit([put(outbound(i + 1, new Uint8Array(9000)))])
            )
        ))
        fillUp(disk)
        yield* Effect.scoped(Effect.gen(function*() {
          const handle = yield* opened(directory)
          let taken = 0
          let kind = ""
          while (kind === "") {
            const exit = yield* Effect.exit(handle.commit([put(outbound(1000 + taken, new Uint8Array(500)))]))
            if (exit._tag === "Success") taken++
            else kind = kindOf(yield* Effect.flip(exit))
          }
          assert.strictEqual(kind, "full")
          assert.isAbove(taken, 40)
          // States and deletions of all that there is still have room.
          for (let i = 1; i <= 100; i++) {
            yield* handle.commit([
              put({ ...outbound(i, new Uint8Array(9000)), state: "publishing", packetIdentifier: i })
            ])
          }
          yield* handle.commit(Array.from({ length: taken }, (_, i) => remove(1000 + i)))
          for (let i = 0; i < 2000; i++) {
            yield* handle.commit([put(outbound(5000 + i, new Uint8Array(500))), remove(5000 + i - 20)])
          }
        }))
        const { damage, records } = yield* loadOnce(directory, "a")
        assert.isUndefined(damage)
        assert.strictEqual(records.length, 220)
        const publishing = records.filter((record) => record._tag === "Outbound" && record.state === "publishing")
        assert.deepStrictEqual(
          publishing.map((record) => record._tag === "Outbound" && record.packetIdentifier),
          Array.from({ length: 100 }, (_, i) => i + 1)
        )
        // And all of it when LevelDB has it again.
        Fs.rmSync(Path.join(disk, "filler"))
        const again = yield* loadOnce(directory, "a")
        assert.isUndefined(again.damage)
        assert.deepStrictEqual(again.records, records)
        assert.deepStrictEqual((yield* loadOnce(directory, "a")).records, records)
      }),
    180_000
  )

  it.live("a session is cleared", () =>
    Effect.gen(function*() {
      const disk = yield* smallDisk("24m")
      const directory = Path.join(disk, "store")
      yield* Effect.scoped(Effect.flatMap(opened(directory), (handle) =>
        Effect.forEach(Array.from({ length: 100 }), (_, i) =>
          handle.commit([put(outbound(i + 1, new Uint8Array(9000)))]))))
      fillUp(disk)
      yield* Effect.scoped(Effect.flatMap(opened(directory), (handle) =>
        handle.clear))
      assert.deepStrictEqual(yield* loadOnce(directory, "a"), { records: [], damage: undefined })
    }))
})

describe.skipIf(!canMount)("a read-only file system", () => {
  it.live("fails as readOnly, changes nothing, and serves when it is writable again", () =>
    Effect.gen(function*() {
      const disk = yield* smallDisk("8m")
      const directory = Path.join(disk, "store")
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* (yield* FileStore.make({ directory })).open("a")
        yield* handle.commit([put(outbound(1))])
      }))
      const before = contents(directory)
      assert.isTrue(mount("-o", "remount,ro", disk))
      assert.strictEqual(kindOf(yield* Effect.flip(Effect.scoped(FileStore.make({ directory })))), "readOnly")
      assert.deepStrictEqual(contents(directory), before)
      assert.isTrue(mount("-o", "remount,rw", disk))
      assert.deepStrictEqual(sequences((yield* loadOnce(directory, "a")).records), [1])
    }))
})
