/**
 * The messages that forwarders could not forward, the last ones: those that became dead letters and those that were
 * given up. The admin interface shows them and publishes them again. They are in memory only; the dead letters
 * themselves are where the forwarder has published them. `runtime.ts` fills it.
 */
import type { ForwarderFailure } from "@effect-mqttx/core/ForwarderMetrics"
import type { Message } from "@effect-mqttx/core/Message"
import type { FailedMessage } from "./adminApi.ts"
import { shownPayload } from "./shownPayload.ts"

const maximumEntries = 1000
const maximumBytes = 4 * 1024 * 1024

interface Entry {
  readonly failure: ForwarderFailure
  readonly message: Message
  readonly bytes: number
}

export class FailedMessages {
  readonly #entries = new Map<number, Entry>()
  #bytes = 0
  #last = 0

  add(failure: ForwarderFailure): void {
    const message = failure.message.copy()
    const bytes = message.payload.length + 2 * message.topic.length
    if (bytes > maximumBytes) return
    this.#entries.set(++this.#last, { failure, message, bytes })
    this.#bytes += bytes
    for (const id of this.#entries.keys()) {
      if (this.#entries.size <= maximumEntries && this.#bytes <= maximumBytes) break
      this.remove(id)
    }
  }

  get(id: number): Message | undefined {
    return this.#entries.get(id)?.message
  }

  remove(id: number): void {
    this.#bytes -= this.#entries.get(id)?.bytes ?? 0
    this.#entries.delete(id)
  }

  /** The newest first. */
  get list(): ReadonlyArray<FailedMessage> {
    return Array.from(this.#entries, ([id, { failure, message }]) => ({
      id,
      forwarder: failure.forwarder,
      session: failure.session,
      topic: failure.topic,
      at: failure.at,
      outcome: failure.outcome,
      reason: failure.error.reason.message,
      qos: message.qos,
      bytes: message.payload.length,
      payload: shownPayload(message.payload)
    })).reverse()
  }
}
