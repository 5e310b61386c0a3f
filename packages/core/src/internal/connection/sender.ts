/**
 * Turns packets into bytes in the order in which they are sent, and hands them to the stream, in one write per batch.
 *
 * It counts what the stream has taken, so that no packet counts as sent that was not handed over. It decides nothing
 * about the connection: it tells the link when the stream has ended or thrown.
 */
import type { Disconnect, Packet, Publish } from "../../Packet.ts"
import type { ProtocolVersion } from "../../QoS.ts"
import * as ReasonCode from "../../ReasonCode.ts"
import type { ByteStream } from "../../Transport.ts"
import type { EncodeFailure, Encoder } from "../codec/contract.ts"
import { makeDecoder } from "../codec/decoder.ts"
import { makeEncoder } from "../codec/encoder.ts"
import { sizeOf } from "../codec/size.ts"
import type { Appender } from "./contract.ts"
import { joined } from "./joined.ts"
import { UnreadAnswers } from "./unreadAnswers.ts"

/** Counters of what was handed to the network, as in `ConnectionCounters`. */
export interface SentCounters {
  bytesSent: number
  packetsSent: number
}

/** The result of sending a batch: all of it was handed over, or only the first `count` packets. */
export interface Handed {
  readonly isComplete: boolean
  readonly count: number
  /** Why the next packet cannot be encoded, if that is the reason. */
  readonly failure: EncodeFailure | undefined
}

export interface SenderHandlers {
  /** Packets are appended only while it is `open`: CONNACK has accepted, and the end has not begun. */
  readonly phase: "opening" | "open" | "closing" | "closed"
  /** The stream has ended. It reports the cause itself. */
  readonly onClosed: () => void
  /** The stream has thrown an exception. */
  readonly onFailure: (cause: unknown) => void
  /**
   * The peer leaves more acknowledgements unread than a correct peer can be owed. It should not be read until
   * `drained`.
   */
  readonly onUnread: () => void
}

// Bytes of an acknowledgement with a reason code.
const answerBytes = 5

// The bytes of one acknowledgement for every packet identifier. A correct peer is never owed more. So two peers that
// both stop reading at this bound cannot block each other.
const maximumUnread = 65_535 * answerBytes

const noPackets: ReadonlyArray<Publish> = []

const complete: Handed = { isComplete: true, count: 0, failure: undefined }

/**
 * The outbound side of one connection.
 */
export class Sender implements Appender {
  readonly #protocolVersion: ProtocolVersion
  readonly #counters: SentCounters
  readonly #handlers: SenderHandlers
  readonly #encoder: Encoder
  readonly #answers = new UnreadAnswers()
  #stream: ByteStream | undefined
  #isCongested = false
  /** Packets in the encoder that `append` has put there. They precede those of the next `send`. */
  #appended = 0
  /** Those that the network has not got, after the end. */
  #unsent: ReadonlyArray<Publish> = noPackets

  constructor(protocolVersion: ProtocolVersion, counters: SentCounters, handlers: SenderHandlers) {
    this.#protocolVersion = protocolVersion
    this.#counters = counters
    this.#handlers = handlers
    this.#encoder = makeEncoder(protocolVersion)
  }

  attach(stream: ByteStream): void {
    this.#stream = stream
  }

  /** More bytes wait than the stream's high-water mark. */
  get isCongested(): boolean {
    return this.#isCongested
  }

  /** Bytes that wait in the stream. */
  get pendingBytes(): number {
    return this.#stream?.pendingBytes() ?? 0
  }

  /**
   * Appends a packet to the next write. Catches exceptions, which would end the process from the callback of a timer.
   */
  encode(packet: Packet): EncodeFailure | undefined {
    try {
      return this.#encoder.write(packet)
    } catch (cause) {
      return { packet: packet._tag, detail: String(cause) }
    }
  }

  /** Appends a PUBLISH packet, which the caller does not send by `send`. */
  append(packet: Publish): boolean {
    if (this.#handlers.phase !== "open" || this.encode(packet) !== undefined) {
      return false
    }
    this.#appended++
    return true
  }

  /** Bytes of appended packets. Between two calls the encoder has no others. */
  get appendedBytes(): number {
    return this.#appended === 0 ? 0 : this.#encoder.pendingBytes
  }

  /** The appended packets that the network has not got. Complete after `stop`. */
  get unsent(): ReadonlyArray<Publish> {
    return this.#unsent
  }

  /** Sends a batch. A packet that cannot be encoded, and all packets after it, are not sent. */
  send(packets: ReadonlyArray<Packet>): Handed {
    let failure: EncodeFailure | undefined
    let count = 0
    let answers = 0
    const before = this.appendedBytes
    // A plain loop: this runs for every packet that leaves.
    while (count < packets.length) {
      const packet = packets[count]!
      failure = this.encode(packet)
      if (failure !== undefined) {
        break
      }
      count++
      if (packet._tag !== "Publish") {
        answers++
      }
    }
    const bytes = this.flush()
    if (bytes !== undefined) {
      return this.#handed(this.#wholeIn(packets, bytes - before), undefined)
    }
    this.#noteAnswers(answers)
    if (failure !== undefined) {
      return this.#handed(count, failure)
    }
    this.#counters.packetsSent += count
    return complete
  }

  /**
   * Hands over all encoded bytes. Undefined: the stream took them all; otherwise the number of bytes that it took
   * before it failed.
   */
  flush(): number | undefined {
    const stream = this.#stream
    const appended = this.#appended
    const chunks = this.#encoder.take()
    this.#appended = 0
    if (chunks.length === 0) {
      return undefined
    }
    if (stream === undefined) {
      this.#keep(chunks, 0, appended)
      return 0
    }
    let handed = 0
    try {
      for (const chunk of joined(chunks)) {
        const result = stream.write(chunk)
        if (result === "closed") {
          this.#keep(chunks, handed, appended)
          this.#handlers.onClosed()
          return handed
        }
        handed += chunk.length
        this.#counters.bytesSent += chunk.length
        if (result === "congested") {
          this.#isCongested = true
        }
      }
    } catch (cause) {
      this.#keep(chunks, handed, appended)
      this.#handlers.onFailure(cause)
      return handed
    }
    this.#counters.packetsSent += appended
    return undefined
  }

  /** Sends the last packet. */
  leave(disconnect: Disconnect): void {
    if (this.encode(disconnect) !== undefined) {
      // DISCONNECT does not define this code.
      this.encode({ ...disconnect, reasonCode: ReasonCode.protocolError })
    }
    if (this.flush() === undefined) {
      this.#counters.packetsSent++
    }
  }

  /** The stream has space again. Answers whether it was congested. */
  drained(): boolean {
    const wasCongested = this.#isCongested
    this.#isCongested = false
    return wasCongested
  }

  /** Does not send the appended packets: a connection that breaks may lose them. */
  withhold(): void {
    const appended = this.#appended
    this.#appended = 0
    this.#keep(this.#encoder.take(), 0, appended)
  }

  /** Stops sending. */
  stop(): void {
    this.withhold()
    this.#stream = undefined
  }

  /** Keeps the appended packets behind the first `handed` bytes. They are whole, because no chunk ends within one. */
  #keep(chunks: ReadonlyArray<Uint8Array>, handed: number, appended: number): void {
    if (appended === 0) {
      return
    }
    const decoder = makeDecoder({ role: "server", protocolVersion: this.#protocolVersion, maximumPacketSize: Infinity })
    const packets: Array<Packet> = []
    for (const chunk of chunks) {
      decoder.push(chunk, packets)
    }
    let unsent = 0
    let position = 0
    for (; unsent < appended && position < handed; unsent++) {
      position += sizeOf(packets[unsent]!, this.#protocolVersion)
    }
    this.#counters.packetsSent += unsent
    this.#unsent = packets.slice(unsent, appended) as ReadonlyArray<Packet> as ReadonlyArray<Publish>
  }

  #handed(count: number, failure: EncodeFailure | undefined): Handed {
    this.#counters.packetsSent += count
    return { isComplete: false, count, failure }
  }

  /** Number of packets that are complete within this many bytes. */
  #wholeIn(packets: ReadonlyArray<Packet>, bytes: number): number {
    let count = 0
    let length = 0
    while (count < packets.length) {
      length += sizeOf(packets[count]!, this.#protocolVersion)
      if (length > bytes) {
        break
      }
      count++
    }
    return count
  }

  #noteAnswers(count: number): void {
    const position = this.#counters.bytesSent
    const isMarked = this.#answers.wrote(position, count * answerBytes)
    if (!isMarked && !this.#isCongested) {
      return
    }
    const unread = this.#answers.behind(position - this.pendingBytes)
    if (this.#isCongested && unread > maximumUnread) {
      this.#handlers.onUnread()
    }
  }
}
