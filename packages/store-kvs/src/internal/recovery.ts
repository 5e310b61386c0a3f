/**
 * Reads a session's log: the newest head, then the segments from there on, and describes what is damaged or missing.
 * Runs once, before the first operation on a log. It repairs a damaged log, so that a loss is reported once.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import type { StoreDamage } from "@effect-mqttx/core/SessionStore"
import * as Effect from "effect/Effect"
import { compact, logFailure, removeGarbage } from "./compaction.ts"
import { LogState } from "./logState.ts"
import type { LogValues, StoredSegment } from "./logValues.ts"
import type { Head } from "./values.ts"

/** Reads the log, and repairs it. Fails with the kind `newerFormat`. */
export const recover = Effect.fnUntraced(function*(values: LogValues): Effect.fn.Return<LogState, MqttError> {
  const heads = [yield* values.readHead(0), yield* values.readHead(1)]
  let head: Head | undefined
  for (const candidate of heads) {
    if (typeof candidate === "object" && candidate.generation > (head?.generation ?? -1)) head = candidate
  }
  const state = new LogState(head)
  const first = head === undefined ? undefined : yield* values.readSegment(state.first)
  const isHeadLost = head === undefined ? heads.includes("damaged") : first === undefined
  state.damage = isHeadLost ? yield* readListed(values, state) : yield* readConsecutive(values, state, first)

  // Prevents a second report of the loss, and replaces a head that leads to no segment.
  if (state.damage !== undefined || isHeadLost) {
    const repair = Effect.andThen(compact(values, state), Effect.suspend(() => values.removeHead(state.generation + 1)))
    yield* logFailure(state, repair)
  } else if (state.garbage < state.first && (yield* values.hasSegment(state.first - 1))) {
    yield* logFailure(state, removeGarbage(values, state))
  } else {
    state.garbage = state.first
  }
  return state
})

/**
 * Reads segments from the first one on, which may be read already. The number after the last one is read too: a single
 * value may be missing.
 */
const readConsecutive = Effect.fnUntraced(function*(
  values: LogValues,
  state: LogState,
  first: StoredSegment | undefined
): Effect.fn.Return<StoreDamage | undefined, MqttError> {
  const findings = new Findings(true)
  if (first !== undefined) findings.add(state, state.first, first)
  for (let number = state.next; number <= state.next + 1; number++) {
    findings.add(state, number, yield* values.readSegment(number))
  }
  return findings.damage(state)
})

/** No head leads to a segment, so the segments are found among all keys. */
const readListed = Effect.fnUntraced(function*(
  values: LogValues,
  state: LogState
): Effect.fn.Return<StoreDamage | undefined, MqttError> {
  const numbers = yield* values.segmentNumbers
  state.first = numbers[0] ?? state.first
  state.garbage = state.first
  state.next = state.first
  const findings = new Findings(state.first === 0 || numbers.length === 0)
  for (const number of numbers) findings.add(state, number, yield* values.readSegment(number))
  return findings.damage(state)
})

/** What reading the segments of a log finds. */
class Findings {
  #isComplete: boolean
  #unreadable = 0
  #missing = 0
  #unknown = 0

  constructor(isComplete: boolean) {
    this.#isComplete = isComplete
  }

  add(state: LogState, number: number, stored: StoredSegment | undefined): void {
    if (stored === undefined) return
    this.#missing += number - state.next
    state.next = number + 1
    const { segment, size } = stored
    if (segment === undefined) {
      this.#unreadable++
      state.addUnreadable(size)
    } else {
      this.#isComplete ||= segment.beginning
      this.#unknown += segment.unknown
      state.add(size, segment.changes, segment.clears)
    }
  }

  damage(state: LogState): StoreDamage | undefined {
    const missing = this.#missing + (this.#isComplete ? 0 : 1)
    const unreadable = this.#unreadable
    if (unreadable + missing + this.#unknown === 0) return undefined
    return {
      lost: unreadable + missing > 0 ? undefined : this.#unknown,
      detail:
        `${state.size} records were kept; of the commits, ${unreadable} cannot be read (the last one may have been ` +
        `cut off before it was complete), ${missing} are missing; ${this.#unknown} records are unknown`
    }
  }
}
