/**
 * Cases: the ownership of a session's store, the state that survives its owner, and the effect of interruptions.
 */
import { MqttError } from "@effect-mqttx/core/MqttError"
import type { SessionStore, SessionStoreHandle } from "@effect-mqttx/core/SessionStore"
import { keyOf, type StoreRecord } from "@effect-mqttx/core/StoreRecord"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { SessionStoreCase } from "./case.ts"
import { expect, expectRecords, isSame } from "./expectation.ts"
import * as Records from "./records.ts"

const { outbound, put } = Records

const expectKind = Effect.fnUntraced(
  function*<A, R>(effect: Effect.Effect<A, MqttError, R>, kind: string, when: string) {
    const exit = yield* Effect.exit(effect)
    expect(Exit.isFailure(exit), `${when}: it has succeeded`)
    const error = yield* Effect.flip(exit)
    expect(
      error instanceof MqttError && error.reason._tag === "StorageFailed" && error.reason.kind === kind,
      `${when}: expected StorageFailed of the kind ${JSON.stringify(kind)}, got ${error.message}`
    )
    return error
  }
)

const expectOwned = Effect.fnUntraced(function*(store: SessionStore["Service"], session: string, when: string) {
  const error = yield* expectKind(Effect.scoped(store.open(session)), "owned", `${when}, a second owner`)
  expect(error.session === session, `${when}: the error names the session ${JSON.stringify(error.session)}`)
})

/** Expects that every operation fails, permanently. */
const expectClosed = Effect.fnUntraced(function*(handle: SessionStoreHandle, when: string) {
  const uses = { commit: handle.commit([put(outbound(9))]), load: handle.load, clear: handle.clear }
  for (const [method, use] of Object.entries(uses)) {
    const error = yield* expectKind(Effect.asVoid(use), "closed", `${method} ${when}`)
    expect(!error.reason.isRetryable, `${method} ${when}: the failure counts as one that passes`)
  }
})

/** The number of turns after which an effect is interrupted. A store that never waits is finished at once. */
const turns = [0, 1, 2, 3, 5, 8, 13, 30, 100]

const interruptAfter = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>, count: number) {
  const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
  for (let i = 0; i < count; i++) yield* Effect.yieldNow
  yield* Fiber.interrupt(fiber)
})

export const ownershipCases: ReadonlyArray<SessionStoreCase> = [
  {
    name: "a session has one owner until its scope ends",
    run: Effect.fnUntraced(function*(store) {
      yield* Effect.scoped(Effect.gen(function*() {
        const owner = yield* store.open("plant")
        yield* expectOwned(store, "plant", "while it is open")
        yield* expectOwned(store, "plant", "after one was refused")
        yield* owner.commit([put(outbound(1))])
        yield* store.open("cloud")
      }))
      const next = yield* store.open("plant")
      expectRecords(yield* next.load, [outbound(1)], "for the next owner")
    })
  },
  {
    name: "after the end of its scope an owner fails at once and permanently, and changes nothing",
    run: Effect.fnUntraced(function*(store) {
      const scope = yield* Scope.make()
      const handle = yield* Scope.provide(store.open("plant"), scope)
      yield* handle.commit([put(outbound(1))])
      yield* Scope.close(scope, Exit.void)
      yield* expectClosed(handle, "after the end of the scope")
      const next = yield* store.open("plant")
      yield* expectClosed(handle, "while another owner has the session")
      expectRecords(yield* next.load, [outbound(1)], "for the next owner")
    })
  },
  {
    name: "when the store is closed before its sessions, all their calls fail at once and permanently",
    run: Effect.fnUntraced(function*(store) {
      if (store.close === undefined) return
      const handles = [yield* store.open("plant"), yield* store.open("cloud")]
      for (const handle of handles) yield* handle.commit([put(outbound(1))])
      yield* store.close
      for (const handle of handles) yield* expectClosed(handle, "after the end of the store")
      yield* expectKind(Effect.scoped(store.open("other")), "closed", "open after the end of the store")
      if (store.reopen === undefined) return
      const next = yield* (yield* store.reopen).open("plant")
      expectRecords(yield* next.load, [outbound(1)], "after opening again")
    })
  },
  {
    name: "one of many that open a session at once becomes its owner",
    run: Effect.fnUntraced(function*(store) {
      const exits = yield* Effect.all(Array.from({ length: 8 }, () => Effect.exit(store.open("plant"))), {
        concurrency: "unbounded"
      })
      const owners = exits.filter(Exit.isSuccess).length
      expect(owners === 1, `${owners} owners of one session`)
    })
  },
  {
    name: "a session whose owner was interrupted or failed can be opened",
    run: Effect.fnUntraced(function*(store) {
      const opened = yield* Deferred.make<void>()
      const owner = yield* store.open("plant").pipe(
        Effect.andThen(Deferred.succeed(opened, undefined)),
        Effect.andThen(Effect.never),
        Effect.scoped,
        Effect.forkChild
      )
      // Also ends the wait when the owner cannot open the store.
      yield* Effect.raceFirst(Deferred.await(opened), Fiber.join(owner))
      yield* expectOwned(store, "plant", "while the other fiber runs")
      yield* Fiber.interrupt(owner)
      const failing = store.open("plant").pipe(Effect.andThen(Effect.fail("as planned")), Effect.scoped)
      const failure = yield* Effect.flip(failing)
      expect(failure === "as planned", `after an interruption: ${String(failure)}`)
      yield* Effect.exit(store.open("plant").pipe(Effect.andThen(Effect.die("as planned")), Effect.scoped))
      yield* store.open("plant")
    })
  },
  {
    name: "a session can be opened after the attempt to open it was interrupted",
    run: Effect.fnUntraced(function*(store) {
      for (const count of turns) {
        yield* interruptAfter(Effect.scoped(store.open("plant")), count)
        yield* Effect.scoped(store.open("plant"))
      }
    })
  },
  {
    name: "an interrupted commit has happened in full or not at all, and the next one is possible",
    run: Effect.fnUntraced(function*(store) {
      const handle = yield* store.open("plant")
      let before: ReadonlyArray<StoreRecord> = []
      for (const count of turns) {
        const records = Array.from({ length: 50 }, (_, i) => outbound(i, { topic: `turn/${count}` }))
        yield* interruptAfter(handle.commit(records.map(put)), count)
        const loaded = yield* handle.load
        const applied = isSame(loaded.records[0], records[0])
        expectRecords(loaded, applied ? records : before, `interrupted after ${count} turns`)
        before = records.map(({ sequence }) => outbound(sequence, { topic: "next" }))
        yield* handle.commit(before.map(put))
        expectRecords(yield* handle.load, before, `committed after an interruption after ${count} turns`)
      }
    })
  },
  {
    name: "a large commit that is interrupted is applied in full or not at all",
    run: Effect.fnUntraced(function*(store) {
      const handle = yield* store.open("plant")
      const before = Array.from({ length: 3 }, (_, i) => outbound(i, { topic: "before" }))
      const records = Array.from({ length: 9_000 }, (_, i) => outbound(i, { topic: "after" }))
      for (const count of [1, 10, 100, 1_000]) {
        yield* handle.clear
        yield* handle.commit(before.map(put))
        yield* interruptAfter(handle.commit(records.map(put)), count)
        const loaded = yield* handle.load
        const applied = isSame(loaded.records[0], records[0])
        expectRecords(loaded, applied ? records : before, `interrupted after ${count} turns`)
        const next = outbound(1, { topic: "next" })
        yield* handle.commit([put(next)])
        const expected = (applied ? records : before).map((record) => record.sequence === 1 ? next : record)
        expectRecords(yield* handle.load, expected, `committed after an interruption after ${count} turns`)
      }
    })
  },
  {
    name: "clear deletes all records of its session and no other's",
    run: Effect.fnUntraced(function*(store) {
      const [plant, plants, prefix] = [
        yield* store.open("plant"),
        yield* store.open("plants"),
        yield* store.open("plan")
      ]
      yield* plant.clear
      expectRecords(yield* plant.load, [], "after clearing an empty store")
      for (const handle of [plant, plants, prefix]) yield* handle.commit(Records.samples.map(put))
      yield* plant.clear
      expectRecords(yield* plant.load, [], "after clear")
      expectRecords(yield* plants.load, Records.samples, "in a session with a longer name")
      expectRecords(yield* prefix.load, Records.samples, "in a session with a shorter name")
      yield* plant.commit([put(outbound(1))])
      expectRecords(yield* plant.load, [outbound(1)], "after a commit that followed clear")
    })
  },
  {
    name: "sessions that commit at the same time do not disturb each other",
    run: Effect.fnUntraced(function*(store) {
      const sessions = 10
      const commits = 20
      yield* Effect.forEach(
        Array.from({ length: sessions }, (_, i) => `session ${i}`),
        Effect.fnUntraced(function*(name) {
          const handle = yield* store.open(name)
          const record = (i: number) => outbound(i, { topic: name })
          for (let i = 0; i < commits; i++) {
            yield* handle.commit([put(record(i)), ...(i >= 3 ? [Records.drop(keyOf(record(i - 3)))] : [])])
          }
          const expected = [record(commits - 3), record(commits - 2), record(commits - 1)]
          expectRecords(yield* handle.load, expected, `in ${name}`)
        }),
        { concurrency: "unbounded", discard: true }
      )
    })
  },
  {
    name: "what was committed is there when the storage is opened again, what was deleted and cleared is not",
    run: Effect.fnUntraced(function*(store) {
      if (store.reopen === undefined) return
      yield* Effect.scoped(Effect.gen(function*() {
        const plant = yield* store.open("plant")
        yield* plant.commit([...Records.samples, outbound(77)].map(put))
        yield* plant.commit([Records.drop(keyOf(outbound(77)))])
        const cloud = yield* store.open("cloud")
        yield* cloud.commit([put(outbound(1))])
        yield* cloud.clear
      }))
      const reopened = yield* store.reopen
      const plant = yield* reopened.open("plant")
      expectRecords(yield* plant.load, Records.samples, "after opening again")
      expectRecords(yield* (yield* reopened.open("cloud")).load, [], "in the cleared session, after opening again")
      yield* expectOwned(reopened, "plant", "after opening again")
    })
  }
]
