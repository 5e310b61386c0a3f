/**
 * The stage of a forwarder that collects messages which are published as one. A batch is for one topic, quality of
 * service and retain flag, and for messages of one source with one route, so that it can be published as each of them
 * would be. Forwarders without the hook `batch` do not have it.
 *
 * It holds no message back for longer than the time of the hook, and acknowledges none: the messages of a batch are in
 * flight until the batch has an outcome. `topicMapping.ts` hands it messages, and it hands batches to `targetQueue.ts`,
 * which joins them.
 */
import { InvalidOptions } from "../../MqttError.ts"
import { parseMillis } from "../options/durations.ts"
import { callable, type Check, type Checks, integer, optionsIssues } from "../options/plain.ts"
import { batchOf, type Received } from "./forwardedMessage.ts"
import type { ForwarderBatch, ForwarderHooks } from "./options.ts"

const time: Check = (value) => {
  const millis = parseMillis(value)
  return millis !== undefined && millis >= 1 && millis <= 86_400_000 ? undefined : "must be 1 ms to 1 day"
}

const checks: Checks<ForwarderBatch> = {
  messages: integer(1, 65_535),
  bytes: integer(1, 268_435_456),
  time,
  join: callable
}

/** The problem with the hooks about batches; undefined: none. */
export const batchIssue = (
  { batch, split }: Pick<ForwarderHooks<unknown>, "batch" | "split">
): InvalidOptions | undefined => {
  if (batch === undefined) return undefined
  const issues = optionsIssues(batch, checks).map(({ message, path }) => ({
    path: path === "" ? "batch" : `batch.${path}`,
    message
  }))
  const isJoinMissing = issues.length === 0 && (batch as Partial<ForwarderBatch>).join === undefined
  if (isJoinMissing) issues.push({ path: "batch.join", message: "must be a function, got nothing" })
  if (split !== undefined) issues.push({ path: "split", message: "cannot be together with batch" })
  return issues.length === 0 ? undefined : new InvalidOptions({ issues })
}

export interface BatchingParts {
  readonly messages: number
  readonly bytes: number
  /** Milliseconds. */
  readonly time: number
  readonly now: () => number
  /** Calls back after this number of milliseconds. */
  readonly wake: (millis: number, callback: () => void) => void
  /** The next stage. */
  readonly next: (batch: Received) => void
}

interface OpenBatch {
  readonly members: Array<Received>
  bytes: number
  /** Time of the monotonic clock. */
  readonly until: number
}

export class Batching {
  readonly #parts: BatchingParts
  /** In the order of their times. Each has a message in flight, so `maxInFlight` is a bound. */
  readonly #open = new Map<string, OpenBatch>()
  #isAsleep = false
  #isEnding = false

  constructor(parts: BatchingParts) {
    this.#parts = parts
  }

  readonly add = (message: Received): void => {
    const { bytes: limit, messages, now, time } = this.#parts
    const key = keyOf(message)
    // One more for what stands between two payloads.
    const bytes = message.message.payload.length + 1
    let open = this.#open.get(key)
    if (open !== undefined && open.bytes + bytes > limit) {
      this.#close(key, open)
      open = undefined
    }
    if (open === undefined) {
      this.#open.set(key, open = { members: [], bytes: 1, until: now() + time })
      this.#sleep()
    }
    open.members.push(message)
    open.bytes += bytes
    if (this.#isEnding || open.members.length >= messages || open.bytes >= limit) this.#close(key, open)
  }

  /** Publishes the batches as they are. */
  flush(): void {
    for (const [key, open] of this.#open) this.#close(key, open)
  }

  /** The forwarder stops: from now on no message waits for others. */
  end(): void {
    this.#isEnding = true
    this.flush()
  }

  #close(key: string, { members }: OpenBatch): void {
    this.#open.delete(key)
    this.#parts.next(batchOf(members))
  }

  /** Wakes when the time of the oldest batch is over. */
  #sleep(): void {
    if (this.#isAsleep) return
    const oldest = this.#open.values().next().value
    if (oldest === undefined) return
    const { now, wake } = this.#parts
    this.#isAsleep = true
    wake(Math.max(1, Math.ceil(oldest.until - now())), () => {
      this.#isAsleep = false
      const time = now()
      for (const [key, open] of this.#open) {
        if (open.until > time) break
        this.#close(key, open)
      }
      this.#sleep()
    })
  }
}

const keyOf = ({ message: { qos, retain }, route, source, topic }: Received): string =>
  JSON.stringify([topic, qos, retain, source.session.name, route.forwarders, route.brokers])
