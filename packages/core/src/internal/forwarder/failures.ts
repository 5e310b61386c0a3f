/**
 * Reports the failures of a forwarder: as its last error, and to the listeners of its stream of failures.
 */
import type * as Clock from "effect/Clock"
import type * as Stream from "effect/Stream"
import type { ForwarderFailure } from "../../ForwarderMetrics.ts"
import { ForwarderFailed, isMqttError, MqttError, type MqttErrorReason } from "../../MqttError.ts"
import { Broadcast } from "../session/broadcast.ts"
import type { Counters } from "./counters.ts"
import type { ForwardedMessage } from "./forwardedMessage.ts"

/** Failures that are buffered for one listener before it misses the oldest. */
const capacity = 1024
/** The same limit in bytes. */
const memoryLimit = 8 * 1024 * 1024
/** Estimated bytes of a failure with its errors, without payload and topic, which the error contains too. */
const failureBytes = 1024

export class Failures {
  readonly #forwarder: string
  readonly #target: string
  readonly #counters: Counters
  readonly #clock: Clock.Clock
  readonly #all = new Broadcast<ForwarderFailure>({
    capacity,
    memory: {
      limit: memoryLimit,
      bytesOf: ({ message, topic }) => failureBytes + 4 * topic.length + message.payload.length
    },
    replay: 0
  })

  constructor(forwarder: string, target: string, counters: Counters, clock: Clock.Clock) {
    this.#forwarder = forwarder
    this.#target = target
    this.#counters = counters
    this.#clock = clock
  }

  get stream(): Stream.Stream<ForwarderFailure> {
    return this.#all.stream
  }

  /** The error of a message that a session refused. */
  refused(message: ForwardedMessage, reason: MqttErrorReason): MqttError {
    const queue = message.state === "received" ? undefined : message.queue
    const error = new MqttError({
      reason,
      session: queue?.name ?? this.#target,
      topic: message.topic === "" ? message.delivery.message.topic : message.topic,
      context: { forwarder: this.#forwarder }
    })
    this.note(error)
    return error
  }

  /** The error of a message for which the program's code failed. */
  programFailed(message: ForwardedMessage, detail: string, cause: unknown): MqttError {
    if (!isMqttError(cause)) {
      return this.refused(message, new ForwarderFailed({ forwarder: this.#forwarder, detail, cause }))
    }
    this.note(cause)
    return cause
  }

  note(error: MqttError): void {
    this.#counters.error(error, this.#clock.currentTimeMillisUnsafe())
  }

  report(
    { delivery, source }: ForwardedMessage,
    error: MqttError,
    outcome: ForwarderFailure["outcome"],
    deadLetterError?: MqttError
  ): void {
    this.#all.publish({
      forwarder: this.#forwarder,
      session: source.session.name,
      topic: delivery.message.topic,
      message: delivery.message,
      at: this.#clock.currentTimeMillisUnsafe(),
      outcome,
      error,
      deadLetterError
    })
  }

  /** Ends the streams. */
  end(): void {
    this.#all.end()
  }
}
