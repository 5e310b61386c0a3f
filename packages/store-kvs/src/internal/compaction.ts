/**
 * Appends segments to a log, and rewrites a log that is over twice the size of its live records.
 *
 * All records are written again as further segments. Then a head says that the log begins there. Then the segments
 * before are deleted. A crash between any two of these writes leaves a log with the same content.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import type { StoreChange } from "@effect-mqttx/core/StoreRecord"
import * as Effect from "effect/Effect"
import type { LogState } from "./logState.ts"
import type { LogValues, SegmentMarks } from "./logValues.ts"

/**
 * The bytes of one segment of a copy. A copy has several segments, because a browser's storage limits the size of one
 * value.
 */
const copySize = 256 * 1024

export const append = (
  values: LogValues,
  state: LogState,
  changes: ReadonlyArray<StoreChange>,
  marks: SegmentMarks
): Effect.Effect<void, MqttError> =>
  Effect.map(values.writeSegment(state.next, changes, marks), (segment) => {
    state.next++
    state.add(segment.size, segment.changes, marks.clears)
  })

/** Rewrites the log from its live records. */
export const compact = Effect.fnUntraced(function*(
  values: LogValues,
  state: LogState
): Effect.fn.Return<void, MqttError> {
  const first = state.next
  const before = state.cost
  let changes: Array<StoreChange> = []
  let size = 0
  const appendCopy = () => append(values, state, changes, { beginning: state.next === first, clears: false })
  for (const { record, size: recordSize } of state.live) {
    if (size > 0 && size + recordSize > copySize) {
      yield* appendCopy()
      changes = []
      size = 0
    }
    changes.push({ _tag: "Put", record })
    size += recordSize
  }
  yield* appendCopy()
  const generation = state.generation + 1
  yield* values.writeHead({ generation, first, garbage: state.garbage })
  state.compacted(generation, first, before)
  yield* removeGarbage(values, state)
})

/** Removes the segments before the first one. In order, so that a crash leaves an unbroken end of the log. */
export const removeGarbage = Effect.fnUntraced(function*(
  values: LogValues,
  state: LogState
): Effect.fn.Return<void, MqttError> {
  for (; state.garbage < state.first; state.garbage++) yield* values.removeSegment(state.garbage)
})

/**
 * Runs work that can wait: the records are safe without it, and the session learns of the failure when a commit fails.
 */
export const logFailure = (state: LogState, effect: Effect.Effect<void, MqttError>): Effect.Effect<void> =>
  Effect.catch(effect, (error) => {
    state.delayCompaction()
    return Effect.logWarning("the log of a session store could not be rewritten", error.message)
  })
