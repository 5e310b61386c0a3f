/**
 * The topics that forwarders have received messages on, with their rates and the beginning of their last payloads. Off
 * unless the file has `admin.topics`, and bounded in entries and bytes: topics without a message for the longest time
 * go first. `runtime.ts` fills it.
 */
import type { Message } from "@effect-mqttx/core/Message"
import type { SeenTopic } from "./adminApi.ts"
import type { GatewayFile } from "./schema.ts"
import { shownBytes, shownPayload } from "./shownPayload.ts"

export type TopicLimits = NonNullable<NonNullable<GatewayFile["admin"]>["topics"]>

/** Over how many milliseconds a rate is the mean, with less weight for what is longer ago. */
const window = 10_000

/** The bytes of an entry besides topic and payload, as an estimate. */
const entryBytes = 200

interface Seen {
  count: number
  /** In messages for each millisecond, at the last message. */
  rate: number
  at: number
  payload: Uint8Array
  length: number
}

const decayed = ({ at, rate }: Seen, now: number): number => rate * Math.exp(-Math.max(0, now - at) / window)

const bytesOf = (topic: string, { payload }: Seen): number => entryBytes + 2 * topic.length + payload.length

export class TopicsSeen {
  readonly #seen = new Map<string, Seen>()
  #bytes = 0
  #limits: TopicLimits | undefined

  /** Undefined: off, and what was seen is forgotten. */
  set limits(limits: TopicLimits | undefined) {
    this.#limits = limits
    this.#shrink()
  }

  get isOn(): boolean {
    return this.#limits !== undefined
  }

  note({ payload, receivedAt, topic }: Message): void {
    if (this.#limits === undefined) return
    const before = this.#seen.get(topic)
    const seen: Seen = before ?? { count: 0, rate: 0, at: receivedAt, payload, length: 0 }
    if (before !== undefined) {
      this.#bytes -= bytesOf(topic, before)
      this.#seen.delete(topic)
    }
    seen.rate = decayed(seen, receivedAt) + 1 / window
    seen.at = receivedAt
    seen.count++
    seen.length = payload.length
    // A copy, because a view would keep all that was read with it.
    seen.payload = payload.slice(0, shownBytes)
    this.#seen.set(topic, seen)
    this.#bytes += bytesOf(topic, seen)
    this.#shrink()
  }

  #shrink(): void {
    const { bytes, entries } = this.#limits ?? { bytes: 0, entries: 0 }
    for (const [topic, seen] of this.#seen) {
      if (this.#seen.size <= entries && this.#bytes <= bytes) return
      this.#bytes -= bytesOf(topic, seen)
      this.#seen.delete(topic)
    }
  }

  /** The topics with the latest messages first. */
  list(now: number): ReadonlyArray<SeenTopic> {
    return Array.from(this.#seen, ([topic, seen]) => ({
      topic,
      count: seen.count,
      rate: Math.round(decayed(seen, now) * 1000 * 100) / 100,
      at: seen.at,
      bytes: seen.length,
      payload: shownPayload(seen.payload, seen.length)
    })).reverse()
  }
}
