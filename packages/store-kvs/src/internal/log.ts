/**
 * The records of one session as a log in a key-value store, which can only write one value at a time.
 *
 * A commit is one value: a segment, numbered consecutively. A partly written value has a wrong checksum, so that a
 * commit is complete or absent. There are two heads, written in turn, so that a partly written one leaves the other.
 *
 * Nothing here is concurrent: the caller runs one operation at a time, and does not interrupt it.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import type { LoadedRecords } from "@effect-mqttx/core/SessionStore"
import type { StoreChange } from "@effect-mqttx/core/StoreRecord"
import * as Effect from "effect/Effect"
import { append, compact, logFailure } from "./compaction.ts"
import type { LogState } from "./logState.ts"
import type { LogValues, SegmentMarks } from "./logValues.ts"
import { recover } from "./recovery.ts"

export class Log {
  readonly #values: LogValues
  /** Undefined before the first operation, and when recovery has to run again. */
  #state: LogState | undefined

  constructor(values: LogValues) {
    this.#values = values
  }

  get load(): Effect.Effect<LoadedRecords, MqttError> {
    return Effect.gen({ self: this }, function*() {
      const state = yield* this.#recovered
      if (state.isNextUncertain) {
        // A segment from a failed write must not appear later.
        yield* this.#values.removeSegment(state.next)
        state.isNextUncertain = false
      }
      const { damage, records } = state
      state.damage = undefined
      return { records, damage }
    })
  }

  commit(changes: ReadonlyArray<StoreChange>): Effect.Effect<void, MqttError> {
    return Effect.gen({ self: this }, function*() {
      const state = yield* this.#recovered
      if (changes.length === 0) return
      yield* this.#append(state, changes, { beginning: false, clears: false })
      if (state.isCompactionWorthwhile) yield* logFailure(state, compact(this.#values, state))
    })
  }

  get clear(): Effect.Effect<void, MqttError> {
    return Effect.gen({ self: this }, function*() {
      const state = yield* this.#recovered
      if (state.next === 0 && state.generation < 0 && !state.isNextUncertain) return
      yield* this.#append(state, [], { beginning: false, clears: true })
      yield* compact(this.#values, state)
      // Only a segment without records and the heads are left, which lead nowhere once that segment is gone. If a
      // removal fails, recovery finds the rest.
      this.#state = undefined
      yield* this.#values.removeSegment(state.first)
      yield* this.#values.removeHead(state.generation + 1)
      yield* this.#values.removeHead(state.generation)
    })
  }

  get #recovered(): Effect.Effect<LogState, MqttError> {
    return Effect.suspend(() =>
      this.#state !== undefined ? Effect.succeed(this.#state) : Effect.map(recover(this.#values), (state) => {
        this.#state = state
        return state
      })
    )
  }

  /** Appends a commit that a session waits for. A copy, which adds nothing new, may exist or not. */
  #append(state: LogState, changes: ReadonlyArray<StoreChange>, marks: SegmentMarks): Effect.Effect<void, MqttError> {
    state.isNextUncertain = true
    return Effect.map(append(this.#values, state, changes, marks), () => {
      state.isNextUncertain = false
    })
  }
}
