/**
 * Who may use the store of a session, what survives its owner, and what an interruption leaves.
 */
import { MqttError } from "@effect-mqttx/core/MqttError"
import type { SessionStore } from "@effect-mqttx/core/SessionStore"
import { keyOf, type StoreRecord } from "@effect-mqttx/core/StoreRecord"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { SessionStoreCase } from "./case.ts"
import { expect, expectRecords, isSame } from "./expectation.ts"
import * as Records from "./records.ts"

const { outbound, put } = Records

const expectOwned = Effect.fnUntraced(function*(store: SessionStore, session: string, when: string) {
  const exit = yield* Effect.exit(Effect.scoped(store.open(session)))
  expect(Exit.isFailure(exit), `${when}: a second owner has opened the store`)
  const error = yield* Effect.flip(exit)
  expect(
    error instanceof MqttError && error.reason._tag === "StorageFailed" && error.reason.kind === "owned",
    `${when}: expected StorageFailed of the kind "owned", got ${error.message}`
  )
  expect(error.session === session, `${when}: the error names the session ${JSON.stringify(error.session)}`)
})

/** How far an effect gets before it is interrupted: a store that never waits is done at once. */
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
      // An owner that cannot open ends the wait, too.
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
    name: "what was committed is there when the storage is opened anew, what was deleted and cleared is not",
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
      expectRecords(yield* plant.load, Records.samples, "after opening anew")
      expectRecords(yield* (yield* reopened.open("cloud")).load, [], "in the cleared session, after opening anew")
      yield* expectOwned(reopened, "plant", "after opening anew")
    })
  }
]
