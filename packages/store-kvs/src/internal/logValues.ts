/**
 * Reads, writes and removes the values of one session's log: its segments by their numbers, and its two heads.
 *
 * It maps the failures of the key-value store to those of the session, and knows no order of operations: recovery and
 * compaction decide which values there are.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import type { StoreChange } from "@effect-mqttx/core/StoreRecord"
import * as Effect from "effect/Effect"
import type { KeyValueStore, KeyValueStoreError } from "effect/persistence/KeyValueStore"
import * as Result from "effect/Result"
import { storageFailed, storageFailureKind } from "./failure.ts"
import {
  decodeHead,
  decodeSegment,
  encodeHead,
  encodeSegment,
  type Head,
  type Segment,
  type SegmentChange
} from "./values.ts"

export interface LogLocation {
  /** The prefix of all keys of the session. */
  readonly base: string
  /** Identifies the session in the checksums. */
  readonly name: string
  readonly session: string
}

/** What is stored under the number of a segment. */
export interface StoredSegment {
  /** The bytes of the value. */
  readonly size: number
  /** Undefined: it cannot be read. */
  readonly segment: Segment | undefined
}

export interface SegmentMarks {
  readonly beginning: boolean
  readonly clears: boolean
}

const headOf = (generation: number): string => `head.${generation % 2}`

export class LogValues {
  readonly #kvs: KeyValueStore
  readonly #location: LogLocation

  constructor(kvs: KeyValueStore, location: LogLocation) {
    this.#kvs = kvs
    this.#location = location
  }

  /** The head of an even or of an odd generation. Fails with the kind `newerFormat`. */
  readHead(generation: number): Effect.Effect<Head | "damaged" | undefined, MqttError> {
    const suffix = headOf(generation)
    return Effect.flatMap(this.#get(suffix), (bytes): Effect.Effect<Head | "damaged" | undefined, MqttError> => {
      if (bytes === undefined) return Effect.undefined
      const head = decodeHead(this.#nameOf(suffix), bytes)
      if (Result.isSuccess(head)) return Effect.succeed(head.success)
      return head.failure === "newerFormat" ? Effect.fail(this.#newerFormat) : Effect.succeed("damaged")
    })
  }

  writeHead(head: Head): Effect.Effect<void, MqttError> {
    const suffix = headOf(head.generation)
    return this.#set(suffix, encodeHead(this.#nameOf(suffix), head))
  }

  removeHead(generation: number): Effect.Effect<void, MqttError> {
    return this.#remove(headOf(generation))
  }

  hasSegment(number: number): Effect.Effect<boolean, MqttError> {
    return Effect.map(this.#get(number), (bytes) => bytes !== undefined)
  }

  /** Undefined: there is no such segment. Fails with the kind `newerFormat`. */
  readSegment(number: number): Effect.Effect<StoredSegment | undefined, MqttError> {
    return Effect.flatMap(this.#get(number), (bytes): Effect.Effect<StoredSegment | undefined, MqttError> => {
      if (bytes === undefined) return Effect.undefined
      const segment = decodeSegment(this.#nameOf(number), bytes)
      if (Result.isFailure(segment) && segment.failure === "newerFormat") return Effect.fail(this.#newerFormat)
      return Effect.succeed({ size: bytes.length, segment: Result.getOrUndefined(segment) })
    })
  }

  /** Yields the size of the value, and the changes as they are stored. Fails with the kind `invalid`. */
  writeSegment(
    number: number,
    changes: ReadonlyArray<StoreChange>,
    marks: SegmentMarks
  ): Effect.Effect<{ readonly size: number; readonly changes: ReadonlyArray<SegmentChange> }, MqttError> {
    const encoded = Effect.try({
      try: () => encodeSegment(this.#nameOf(number), changes, marks),
      catch: (cause) => {
        const why = cause instanceof Error ? cause.message : String(cause)
        return storageFailed(this.#location.session, "commit", {
          kind: "invalid",
          detail: `a record cannot be written: ${why}`,
          cause
        })
      }
    })
    return Effect.flatMap(
      encoded,
      (segment) => Effect.as(this.#set(number, segment.bytes), { size: segment.bytes.length, changes: segment.changes })
    )
  }

  removeSegment(number: number): Effect.Effect<void, MqttError> {
    return this.#remove(number)
  }

  /** The numbers of all segments in ascending order, from a list of all keys of the key-value store. */
  get segmentNumbers(): Effect.Effect<ReadonlyArray<number>, MqttError> {
    const { base } = this.#location
    return Effect.map(
      Effect.mapError(this.#kvs.keys, this.#failed("load")),
      (keys) =>
        keys.filter((key) => key.startsWith(base) && /^\d{1,15}$/.test(key.slice(base.length)))
          .map((key) => Number(key.slice(base.length)))
          .sort((a, b) => a - b)
    )
  }

  #nameOf(suffix: string | number): string {
    return `${this.#location.name}/${suffix}`
  }

  get #newerFormat(): MqttError {
    return storageFailed(this.#location.session, "load", {
      kind: "newerFormat",
      detail: "a later version of the library wrote the records"
    })
  }

  #failed(method: string) {
    return (cause: KeyValueStoreError): MqttError =>
      storageFailed(this.#location.session, method, {
        kind: storageFailureKind(cause),
        detail: cause.message,
        cause
      })
  }

  #get(suffix: string | number): Effect.Effect<Uint8Array | undefined, MqttError> {
    return Effect.mapError(this.#kvs.getUint8Array(`${this.#location.base}${suffix}`), this.#failed("load"))
  }

  #set(suffix: string | number, bytes: Uint8Array): Effect.Effect<void, MqttError> {
    return Effect.mapError(this.#kvs.set(`${this.#location.base}${suffix}`, bytes), this.#failed("commit"))
  }

  #remove(suffix: string | number): Effect.Effect<void, MqttError> {
    return Effect.mapError(this.#kvs.remove(`${this.#location.base}${suffix}`), this.#failed("commit"))
  }
}
