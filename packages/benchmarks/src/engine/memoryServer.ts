/**
 * A server in memory that costs nearly nothing: it brings ready-made chunks, one for each turn, and acknowledges what
 * it gets. It serves one connection of a session or of MQTT.js.
 */
import { topics } from "../session/contract.ts"
import { frames } from "../wire.ts"
import type { EngineRequest } from "./contract.ts"

/** Identifiers of ready-made packets: as many as the client may have unacknowledged, and more. */
const identifiers = 60_000

const encodeLength = (value: number): ReadonlyArray<number> =>
  value < 128 ? [value] : value < 16_384 ? [(value & 127) | 128, value >> 7] : [
    (value & 127) | 128,
    ((value >> 7) & 127) | 128,
    value >> 14
  ]

export class MemoryServer {
  /** PUBLISH packets that came, and PUBACK packets that came. */
  published = 0
  acknowledged = 0
  /** Bytes that came. */
  bytes = 0
  /** Set by the transport: brings bytes to the client. */
  send: (bytes: Uint8Array) => void = () => {}
  readonly #request: EngineRequest
  readonly #read: (chunk: Buffer) => void
  readonly #chunks: ReadonlyArray<Buffer>
  #next = 0
  #replies: Array<Buffer> = []
  #isReplying = false

  constructor(request: EngineRequest) {
    this.#request = request
    this.#read = frames((chunk, at, body) => this.#onPacket(chunk, at, body))
    const count = Math.floor((request.qos === 0 ? 8192 : identifiers) / request.turn)
    this.#chunks = request.direction === "publish" ?
      [] :
      Array.from(
        { length: count },
        (_, chunk) =>
          Buffer.concat(Array.from({ length: request.turn }, (_, index) => this.#publish(chunk * request.turn + index)))
      )
  }

  /** Bytes of the client. */
  receive(bytes: Uint8Array): void {
    this.bytes += bytes.length
    this.#read(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  }

  /** Brings one read with the PUBLISH packets of a turn. */
  bring(): void {
    // The receiver owns the bytes that it gets.
    this.send(Buffer.from(this.#chunks[this.#next]!))
    this.#next = (this.#next + 1) % this.#chunks.length
  }

  #publish(index: number): Buffer {
    const { payloadBytes, protocolVersion, qos } = this.#request
    const topic = Buffer.from(topics[index % topics.length]!)
    const identifier = qos === 0 ? [] : [(index + 1) >> 8, (index + 1) & 255]
    const properties = protocolVersion === 5 ? [0] : []
    const length = 2 + topic.length + identifier.length + properties.length + payloadBytes
    return Buffer.concat([
      Buffer.from([0x30 | (qos << 1), ...encodeLength(length), 0, topic.length]),
      topic,
      Buffer.from([...identifier, ...properties]),
      Buffer.alloc(payloadBytes, 0x61)
    ])
  }

  #connack(): ReadonlyArray<number> {
    const maximum = this.#request.aliases?.maximum ?? 0
    return maximum === 0 ? [0x20, 3, 0, 0, 0] : [0x20, 6, 0, 0, 3, 0x22, maximum >> 8, maximum & 255]
  }

  #onPacket(chunk: Buffer, at: number, body: number): void {
    const version5 = this.#request.protocolVersion === 5
    switch (chunk[at]! >> 4) {
      case 1:
        return this.#reply(Buffer.from(version5 ? this.#connack() : [0x20, 2, 0, 0]))
      case 8:
        return this.#reply(
          Buffer.from([
            0x90,
            version5 ? 4 : 3,
            chunk[body]!,
            chunk[body + 1]!,
            ...(version5 ? [0] : []),
            this.#request.qos
          ])
        )
      case 3: {
        this.published++
        if ((chunk[at]! & 6) === 0) return
        const identifier = body + 2 + ((chunk[body]! << 8) | chunk[body + 1]!)
        return this.#reply(Buffer.from([0x40, 2, chunk[identifier]!, chunk[identifier + 1]!]))
      }
      case 4:
        this.acknowledged++
        return
      case 12:
        return this.#reply(Buffer.from([0xd0, 0]))
    }
  }

  /** What one turn of the client asks for is answered in the next turn, in one read. */
  #reply(packet: Buffer): void {
    this.#replies.push(packet)
    if (this.#isReplying) return
    this.#isReplying = true
    setImmediate(() => {
      this.#isReplying = false
      this.send(Buffer.concat(this.#replies.splice(0)))
    })
  }
}
