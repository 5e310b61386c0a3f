/**
 * Turns the bytes that arrive on one connection into packets, in portions: a turn of the event loop decodes a bounded
 * number of packets. The rest waits for the next turn while the network is paused.
 *
 * It does not interpret packets. The link hands it bytes, and gets packets in wire order.
 */
import { scheduleTurn } from "#transport"
import type { Packet } from "../../Packet.ts"
import type { ByteStream } from "../../Transport.ts"
import type { Decoder, Violation } from "../codec/contract.ts"

/**
 * All are called synchronously, from the network's callback or in a turn of the intake.
 */
export interface IntakeHandlers {
  /** See `ConnectionHandlers`. */
  readonly onBytes?: (bytes: Uint8Array, pending: number) => void
  readonly onPackets: (packets: Array<Packet>) => void
  /** The peer violated the protocol. No packets follow. */
  readonly onViolation: (violation: Violation) => void
  /** A handler has thrown an exception. */
  readonly onDefect: (cause: unknown) => void
}

/** Reasons for a pause of the network. Each is lifted separately. */
export const PauseReason = { owner: 1, answers: 2, turn: 4, authentication: 8 } as const

export type PauseReason = typeof PauseReason[keyof typeof PauseReason]

// Number of packets in one call of the decoder. Only tiny packets reach it in one chunk of a socket.
export const packetsPerCall = 1024

// Number of packets and chunks in one turn: a few milliseconds of work. A socket alone would hand over 2 MiB, which can
// be half a million packets.
const packetsPerTurn = 4096

// A turn with fewer packets than this is not counted.
const countFrom = 256

/**
 * The inbound side of one connection.
 */
export class Intake {
  readonly #decoder: Decoder
  readonly #handlers: IntakeHandlers
  #stream: ByteStream | undefined
  #pauses = 0
  #isStreamPaused = false
  /** Chunks that arrived after the network was told to pause. */
  #backlog: Array<Uint8Array> | undefined
  #count = 0
  #isScheduled = false
  #isStopped = false

  constructor(decoder: Decoder, handlers: IntakeHandlers) {
    this.#decoder = decoder
    this.#handlers = handlers
  }

  /** Begins to pause and resume this stream. */
  attach(stream: ByteStream): void {
    this.#stream = stream
  }

  /** Reading is paused for longer than a turn, because the owner or the peer is slow. */
  get isPaused(): boolean {
    return (this.#pauses & ~PauseReason.turn) !== 0
  }

  pause(reason: PauseReason): void {
    if (!this.#isStopped) {
      this.#setPauses(this.#pauses | reason)
    }
  }

  resume(reason: PauseReason): void {
    this.#setPauses(this.#pauses & ~reason)
  }

  take(bytes: Uint8Array): void {
    if (this.#isStopped) {
      return
    }
    if (this.#backlog !== undefined) {
      this.#handlers.onBytes?.(bytes, -1)
      this.#backlog.push(bytes)
      return
    }
    this.#handlers.onBytes?.(bytes, this.#decoder.bufferedBytes)
    this.#decode(bytes)
    if (!this.#isStopped && (this.#decoder.hasMore || this.#count >= packetsPerTurn)) {
      this.#backlog = []
      this.pause(PauseReason.turn)
    }
  }

  /**
   * Drops bytes that were not decoded, and later ones. The network is still read, because its end is seen only by
   * reading.
   */
  stop(): void {
    this.#isStopped = true
    this.#backlog = undefined
    this.#setPauses(0)
  }

  #setPauses(pauses: number): void {
    this.#pauses = pauses
    const isPaused = pauses !== 0
    if (isPaused !== this.#isStreamPaused) {
      this.#isStreamPaused = isPaused
      if (isPaused) {
        this.#stream?.pause()
      } else {
        this.#stream?.resume()
      }
    }
  }

  /** Decodes a chunk, or the rest of the last one. */
  #decode(bytes: Uint8Array | undefined): void {
    const packets: Array<Packet> = []
    try {
      const violation = bytes === undefined ? this.#decoder.next(packets) : this.#decoder.push(bytes, packets)
      this.#counted(1 + packets.length)
      if (packets.length > 0) {
        this.#handlers.onPackets(packets)
      }
      // Packets before the malformed one may have ended the connection already.
      if (violation !== undefined && !this.#isStopped) {
        this.#handlers.onViolation(violation)
      }
    } catch (cause) {
      // No exception is expected here. If there is one, it must not end the process.
      this.#handlers.onDefect(cause)
    }
  }

  #counted(count: number): void {
    this.#count += count
    if (this.#count >= countFrom && !this.#isScheduled) {
      this.#isScheduled = true
      scheduleTurn(Intake.#run, this)
    }
  }

  // One function for all connections, because each function that a connection makes stays in its memory.
  static readonly #run = (intake: Intake): void => intake.#turn()

  #turn(): void {
    this.#isScheduled = false
    this.#count = 0
    const backlog = this.#backlog
    if (backlog === undefined) {
      return
    }
    let next = 0
    while (this.#decoder.hasMore || next < backlog.length) {
      if (this.#count >= packetsPerTurn) {
        this.#backlog = backlog.slice(next)
        return
      }
      this.#decode(this.#decoder.hasMore ? undefined : backlog[next++])
      if (this.#isStopped) {
        return
      }
    }
    this.#backlog = undefined
    this.resume(PauseReason.turn)
  }
}
