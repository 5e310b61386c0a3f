/**
 * Publishes QoS 0 without an outbound message: the packet becomes bytes of the turn's write at once, and the publisher
 * need not wait. It says no whenever the message would have to wait, and the caller publishes it in the usual way.
 * `publisher.ts` and `bulkPublish.ts` call it.
 */
import type { Admission, PublishRequest, SessionEngine } from "../engine/contract.ts"
import type { SessionCounters } from "./counters.ts"
import type { CurrentConnection } from "./currentConnection.ts"
import type { Outputs } from "./outputs.ts"
import type { TurnClock } from "./turnClock.ts"

/** The engine loop, for direct writes. */
export interface DirectWritesHost {
  readonly engine: SessionEngine
  readonly current: CurrentConnection
  readonly clock: TurnClock
  readonly counters: SessionCounters
  readonly outputs: Outputs
  readonly refusal: Admission | undefined
  readonly flushes: number
  readonly schedule: () => void
}

/** So many bytes are written at once instead of at the end of the turn. */
const promptBytes = 32_768
/**
 * So many bytes are published directly in one turn. Publishers whose messages never have to wait would otherwise keep
 * the event loop from everything else.
 */
const turnBytes = 1_048_576

export class DirectWrites {
  readonly #host: DirectWritesHost
  /** Bytes that were published directly since this number of flushes, without those of the next write. */
  #bytes = 0
  #flushes = 0

  constructor(host: DirectWritesHost) {
    this.#host = host
  }

  /** Whether the message is in the turn's write. False: nothing has happened. */
  publish(request: PublishRequest): boolean {
    const host = this.#host
    const { connection, isBroken } = host.current
    if (connection === undefined || isBroken || host.refusal !== undefined || this.isTurnFull) return false
    const { direct } = host.engine
    const packet = direct.publish(request, host.clock.time)
    const { sender } = connection
    if (packet === undefined || !sender.append(packet)) return false
    direct.appended(request.topic)
    host.counters.accepted()
    const bytes = sender.appendedBytes
    if (bytes >= promptBytes) {
      if (this.#flushes !== host.flushes) this.#bytes = 0
      this.#flushes = host.flushes
      this.#bytes += bytes
      host.outputs.writeDirect()
    }
    host.schedule()
    return true
  }

  /** Nothing more is published directly in this turn: a publisher of many messages should wait for the next one. */
  get isTurnFull(): boolean {
    return this.#bytes >= turnBytes && this.#flushes === this.#host.flushes
  }

  /** The current connection has ended: what it has not written is queued again. */
  detach(): void {
    const { clock, counters, current, engine } = this.#host
    if (current.connection === undefined) return
    counters.written(engine.direct.returned(current.connection.sender.unsent, clock.time))
  }
}
