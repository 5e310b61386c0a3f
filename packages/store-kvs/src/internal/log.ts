/**
 * The records of one session as a log in a key-value store, which can only write one value at a time.
 *
 * A commit is one value: a segment, numbered consecutively. A partly written value has a wrong checksum, so that a
 * commit is complete or absent. When the log is over twice the size of its live records, all records are written again
 * as further segments; then a head says that the log begins there; then the segments before are deleted. A crash
 * between any two of these writes leaves a log with the same content. There are two heads, written in turn, so that a
 * partly written one leaves the other.
 *
 * Nothing here is concurrent: the caller runs one operation at a time, and does not interrupt it.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import type { LoadedRecords, StoreDamage } from "@effect-mqttx/core/SessionStore"
import { keyOf, type StoreChange, type StoreRecord } from "@effect-mqttx/core/StoreRecord"
import * as Effect from "effect/Effect"
import type { KeyValueStore, KeyValueStoreError } from "effect/persistence/KeyValueStore"
import * as Result from "effect/Result"
import { storageFailed, storageFailureKind } from "./failure.ts"
import * as Values from "./values.ts"

/**
 * The bytes of one segment of a copy. A copy has several segments, because a browser's storage limits the size of one
 * value.
 */
const copySize = 256 * 1024
/** The estimated cost of a segment besides its bytes: a file, a row, a request. */
const segmentCost = 1024
/** A log of at most this size is not rewritten. */
const slack = 64 * 1024

interface State {
  readonly live: Map<string, { readonly record: StoreRecord; readonly size: number }>
  liveCost: number
  /** The generation of the newest head; -1: there is none. */
  generation: number
  first: number
  /** No segment with a lower number is left. */
  garbage: number
  next: number
  cost: number
  /** The log is not rewritten before its cost exceeds this. */
  patience: number
  /** Writing the next segment has failed, so that it may exist, in part or in full. */
  uncertain: boolean
  damage: StoreDamage | undefined
}

export interface Log {
  readonly load: Effect.Effect<LoadedRecords, MqttError>
  readonly commit: (changes: ReadonlyArray<StoreChange>) => Effect.Effect<void, MqttError>
  readonly clear: Effect.Effect<void, MqttError>
}

const plain = { beginning: false, clears: false } as const

/**
 * The log of a session below `base`, the prefix of all its keys. `name` identifies the session in the checksums.
 */
export const makeLog = (
  kvs: KeyValueStore,
  { base, name, session }: { readonly base: string; readonly name: string; readonly session: string }
): Log => {
  let recovered: State | undefined

  const failed = (method: string) => (cause: KeyValueStoreError): MqttError =>
    storageFailed(session, method, { kind: storageFailureKind(cause), detail: cause.message, cause })
  const get = (suffix: string | number) => Effect.mapError(kvs.getUint8Array(`${base}${suffix}`), failed("load"))
  const set = (suffix: string | number, bytes: Uint8Array) =>
    Effect.mapError(kvs.set(`${base}${suffix}`, bytes), failed("commit"))
  const remove = (suffix: string | number) => Effect.mapError(kvs.remove(`${base}${suffix}`), failed("commit"))
  const nameOf = (suffix: string | number): string => `${name}/${suffix}`
  const headOf = (generation: number): string => `head.${generation % 2}`

  const newerFormat = storageFailed(session, "load", {
    kind: "newerFormat",
    detail: "a later version of the library wrote the records"
  })

  const apply = (state: State, changes: ReadonlyArray<Values.SegmentChange>): void => {
    for (const change of changes) {
      state.liveCost -= state.live.get(change.key)?.size ?? 0
      if (change._tag === "Delete") {
        state.live.delete(change.key)
      } else {
        state.live.set(change.key, change)
        state.liveCost += change.size
      }
    }
  }

  const reset = (state: State): void => {
    state.live.clear()
    state.liveCost = 0
  }

  const append = Effect.fnUntraced(function*(
    state: State,
    changes: ReadonlyArray<StoreChange>,
    marks: { readonly beginning: boolean; readonly clears: boolean }
  ) {
    const segment = yield* Effect.try({
      try: () => Values.encodeSegment(nameOf(state.next), changes, marks),
      catch: (cause) => {
        const why = cause instanceof Error ? cause.message : String(cause)
        return storageFailed(session, "commit", {
          kind: "invalid",
          detail: `a record cannot be written: ${why}`,
          cause
        })
      }
    })
    yield* set(state.next, segment.bytes)
    state.next++
    state.cost += segment.bytes.length + segmentCost
    if (marks.clears) reset(state)
    apply(state, segment.changes)
  })

  /** Appends a commit that a session waits for. A copy, which adds nothing new, may exist or not. */
  const appendForSession: typeof append = (state, changes, marks) => {
    state.uncertain = true
    return Effect.tap(append(state, changes, marks), () => {
      state.uncertain = false
      return Effect.void
    })
  }

  /** Rewrites the log from its remaining records. */
  const compact = Effect.fnUntraced(function*(state: State) {
    const first = state.next
    const before = state.cost
    let changes: Array<StoreChange> = []
    let size = 0
    for (const { record, size: recordSize } of Array.from(state.live.values())) {
      if (size > 0 && size + recordSize > copySize) {
        yield* append(state, changes, { beginning: state.next === first, clears: false })
        changes = []
        size = 0
      }
      changes.push({ _tag: "Put", record })
      size += recordSize
    }
    yield* append(state, changes, { beginning: state.next === first, clears: false })
    const generation = state.generation + 1
    const head = headOf(generation)
    yield* set(head, Values.encodeHead(nameOf(head), { generation, first, garbage: state.garbage }))
    state.generation = generation
    state.first = first
    state.cost -= before
    state.patience = 0
    yield* sweep(state)
  })

  const sweep = Effect.fnUntraced(function*(state: State) {
    // In order, so that a crash leaves an unbroken end of the log.
    for (; state.garbage < state.first; state.garbage++) yield* remove(state.garbage)
  })

  const compactWhenWorthwhile = Effect.fnUntraced(function*(state: State) {
    if (state.cost > Math.max(2 * state.liveCost + slack, state.patience)) yield* tidy(state, compact(state))
  })

  /**
   * Runs work that can wait: the records are safe without it, and the session learns of the failure when a commit
   * fails.
   */
  const tidy = (state: State, effect: Effect.Effect<void, MqttError>): Effect.Effect<void> =>
    Effect.catch(effect, (error) => {
      state.patience = state.cost + state.liveCost + slack
      return Effect.logWarning("the log of a session store could not be written anew", error.message)
    })

  const readHead = Effect.fnUntraced(function*(generation: number) {
    const suffix = headOf(generation)
    const bytes = yield* get(suffix)
    if (bytes === undefined) return undefined
    const head = Values.decodeHead(nameOf(suffix), bytes)
    if (Result.isSuccess(head)) return head.success
    return head.failure === "newerFormat" ? yield* newerFormat : "damaged"
  })

  /** If a head leads to no segment, the segments are searched among all keys. */
  const listSegments = Effect.map(
    Effect.mapError(kvs.keys, failed("load")),
    (keys) =>
      keys.filter((key) => key.startsWith(base) && /^\d{1,15}$/.test(key.slice(base.length)))
        .map((key) => Number(key.slice(base.length)))
        .sort((a, b) => a - b)
  )

  const recover = Effect.fnUntraced(function*() {
    const heads = [yield* readHead(0), yield* readHead(1)]
    let head: Values.Head | undefined
    for (const candidate of heads) {
      if (typeof candidate === "object" && candidate.generation > (head?.generation ?? -1)) head = candidate
    }
    const state: State = {
      live: new Map(),
      liveCost: 0,
      generation: head?.generation ?? -1,
      first: head?.first ?? 0,
      garbage: head?.garbage ?? 0,
      next: head?.first ?? 0,
      cost: 0,
      patience: 0,
      uncertain: false,
      damage: undefined
    }
    let bytes = yield* get(state.first)
    const lost = head === undefined ? heads.includes("damaged") : bytes === undefined
    const listed = lost ? yield* listSegments : undefined
    if (listed !== undefined) {
      state.first = listed[0] ?? state.first
      state.garbage = state.first
      state.next = state.first
      bytes = yield* get(state.first)
    }

    let complete = state.first === 0 || listed === undefined || listed.length === 0
    let unreadable = 0
    let unknown = 0
    let missing = 0
    // The number after the last one is read too, because a single value may be missing.
    for (let number = state.first, index = 0;; bytes = yield* get(number)) {
      if (bytes !== undefined) {
        missing += number - state.next
        state.next = number + 1
        state.cost += bytes.length + segmentCost
        const segment = Values.decodeSegment(nameOf(number), bytes)
        if (Result.isSuccess(segment)) {
          if (segment.success.clears) reset(state)
          complete ||= segment.success.beginning
          unknown += segment.success.unknown
          apply(state, segment.success.changes)
        } else if (segment.failure === "newerFormat") {
          return yield* newerFormat
        } else {
          unreadable++
        }
      }
      if (listed === undefined) {
        number++
        if (number > state.next + 1) break
      } else {
        const following = listed[++index]
        if (following === undefined) break
        number = following
      }
    }

    if (unreadable > 0 || missing > 0 || unknown > 0 || !complete) {
      state.damage = {
        lost: unreadable > 0 || missing > 0 || !complete ? undefined : unknown,
        detail:
          `${state.live.size} records were kept; of the commits, ${unreadable} cannot be read (the last one may have been cut off ` +
          `before it was complete), ${missing + (complete ? 0 : 1)} are missing; ${unknown} records are unknown`
      }
    }
    // Prevents a second report of the loss, and replaces a head that leads to no segment.
    if (state.damage !== undefined || lost) {
      yield* tidy(state, Effect.andThen(compact(state), Effect.suspend(() => remove(headOf(state.generation + 1)))))
    } else if (state.garbage < state.first && (yield* get(state.first - 1)) !== undefined) {
      yield* tidy(state, sweep(state))
    } else {
      state.garbage = state.first
    }
    recovered = state
    return state
  })

  const current = Effect.suspend(() => recovered === undefined ? recover() : Effect.succeed(recovered))

  return {
    load: Effect.gen(function*() {
      const state = yield* current
      if (state.uncertain) {
        // A segment from a failed write must not appear later.
        yield* remove(state.next)
        state.uncertain = false
      }
      const records = Array.from(state.live.values(), ({ record }) => record)
      const { damage } = state
      state.damage = undefined
      return { records: records.sort(bySequence), damage }
    }),
    commit: (changes) =>
      Effect.gen(function*() {
        const state = yield* current
        if (changes.length === 0) return
        yield* appendForSession(state, changes, plain)
        yield* compactWhenWorthwhile(state)
      }),
    clear: Effect.gen(function*() {
      const state = yield* current
      if (state.next === 0 && state.generation < 0 && !state.uncertain) return
      yield* appendForSession(state, [], { beginning: false, clears: true })
      yield* compact(state)
      // Only a segment without records and the heads are left, which lead nowhere once that segment is gone. If a
      // removal fails, the rest is searched again.
      recovered = undefined
      yield* remove(state.first)
      yield* remove(headOf(state.generation + 1))
      yield* remove(headOf(state.generation))
    })
  }
}

const bySequence = (a: StoreRecord, b: StoreRecord): number =>
  a._tag === "Outbound" && b._tag === "Outbound" ? a.sequence - b.sequence : keyOf(a) < keyOf(b) ? -1 : 1
