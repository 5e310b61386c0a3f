/**
 * Cases: random histories of a session, compared with a model, which is a map of keys to records.
 */
import type { SessionStore } from "@effect-mqttx/core/SessionStore"
import { keyOf, type StoreChange, type StoreRecord } from "@effect-mqttx/core/StoreRecord"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { makeRandom } from "../scripted/random.ts"
import type { SessionStoreCase } from "./case.ts"
import { expectRecords } from "./expectation.ts"
import { anyRecord, drop, put } from "./records.ts"

const seeds = [1, 2, 3, 4, 5, 6]
const steps = 60

const apply = (model: Map<string, StoreRecord>, changes: ReadonlyArray<StoreChange>): void => {
  for (const change of changes) {
    if (change._tag === "Put") model.set(keyOf(change.record), change.record)
    else model.delete(change.key)
  }
}

export const modelCases: ReadonlyArray<SessionStoreCase> = seeds.map((seed) => ({
  name: `any sequence of changes, loads, ends and new beginnings leaves what it says (seed ${seed})`,
  run: Effect.fnUntraced(function*(subject) {
    const random = makeRandom(seed)
    const model = new Map<string, StoreRecord>()
    let store: SessionStore["Service"] = subject
    let scope = yield* Scope.make()
    yield* Effect.addFinalizer((exit) => Scope.close(scope, exit))
    let handle = yield* Scope.provide(store.open("plant"), scope)
    for (let step = 1; step <= steps; step++) {
      const when = `seed ${seed}, step ${step}`
      const kind = random.next()
      if (kind < 0.03) {
        yield* handle.clear
        model.clear()
      } else if (kind < 0.1) {
        yield* Scope.close(scope, Exit.void)
        scope = yield* Scope.make()
        if (subject.reopen !== undefined && random.next() < 0.5) store = yield* subject.reopen
        handle = yield* Scope.provide(store.open("plant"), scope)
        expectRecords(yield* handle.load, model.values(), `${when}, opened again`)
      } else {
        const changes = Array.from({ length: random.between(0, 12) }, () => {
          const record = anyRecord(random)
          return random.next() < 0.35 ? drop(keyOf(record)) : put(record)
        })
        yield* handle.commit(changes)
        if (random.next() < 0.1) yield* handle.commit(changes)
        apply(model, changes)
      }
      if (random.next() < 0.7) expectRecords(yield* handle.load, model.values(), when)
    }
    expectRecords(yield* handle.load, model.values(), `seed ${seed}, at the end`)
  })
}))
