/**
 * The least of MQTT that a client can do, on a bare socket: it writes ready-made PUBLISH packets, counts what arrives,
 * and answers what must be answered, with one write for each read.
 *
 * It is the limit that the rows are held against, and the load of the forwarder rows. It shares no code with the
 * library. It checks nothing: the server is trusted.
 */
import { once } from "node:events"
import * as net from "node:net"
import * as tls from "node:tls"

export interface WireOptions {
  readonly port: number
  /** The authority of a TLS server; plain TCP without it. */
  readonly ca?: string
  readonly clientId: string
  readonly protocolVersion: 4 | 5
  readonly qos: 0 | 1 | 2
  readonly topics: ReadonlyArray<string>
  readonly payloadBytes: number
}

/** Bytes of one write at QoS 0. */
const writeBytes = 65_536
/** Packets of the ring at QoS 1 and 2, whose identifiers come round: more than are ever on their way. */
const ringPackets = 8000
/** Bytes of a ring at most, where payloads are large. */
const ringBytes = 128 * 1024 * 1024

const text = (value: string): Buffer => {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}

const packet = (first: number, body: Buffer): Buffer => {
  const length: Array<number> = []
  let rest = body.length
  do {
    length.push(rest > 127 ? (rest & 127) | 128 : rest)
    rest >>= 7
  } while (rest > 0)
  return Buffer.concat([Buffer.from([first, ...length]), body])
}

/** A SUBSCRIBE packet with one filter. */
export const subscribePacket = (protocolVersion: 4 | 5, filter: string, qos: 0 | 1 | 2): Buffer =>
  packet(
    0x82,
    Buffer.concat([Buffer.from([0, 1, ...protocolVersion === 5 ? [0] : []]), text(filter), Buffer.from([qos])])
  )

/** Calls back for each whole packet with where it begins, where its body does, and where it ends. */
export const frames = (
  onPacket: (chunk: Buffer, at: number, body: number, end: number) => void
): (chunk: Buffer) => void => {
  let rest: Buffer | undefined
  // Pieces of a large packet, which are joined once, when it is whole.
  let pieces: Array<Buffer> = []
  let missing = 0
  return (piece) => {
    if (missing > piece.length) {
      pieces.push(piece)
      missing -= piece.length
      return
    }
    let chunk = piece
    if (rest !== undefined) {
      chunk = Buffer.concat([rest, ...pieces, piece])
      rest = undefined
      pieces = []
      missing = 0
    }
    let at = 0
    while (at < chunk.length) {
      let length = 0
      let body = at + 1
      let shift = 0
      let byte = 128
      while (byte >= 128 && body < chunk.length) {
        byte = chunk[body++]!
        length |= (byte & 127) << shift
        shift += 7
      }
      if (byte >= 128 || body + length > chunk.length) {
        rest = chunk.subarray(at)
        missing = byte >= 128 ? 0 : body + length - chunk.length
        return
      }
      onPacket(chunk, at, body, body + length)
      at = body + length
    }
  }
}

/** Opens a socket and waits for CONNACK, which is taken to be alone in its read. */
export const connect = async (
  { ca, clientId, port, protocolVersion }: Pick<WireOptions, "ca" | "clientId" | "port" | "protocolVersion">
): Promise<net.Socket> => {
  const to = { port, host: "127.0.0.1" }
  const socket = ca === undefined ? net.connect(to) : tls.connect({ ...to, ca, servername: "localhost" })
  await once(socket, ca === undefined ? "connect" : "secureConnect")
  socket.setNoDelay(true)
  const header = [0, 4, 0x4d, 0x51, 0x54, 0x54, protocolVersion, 2, 0, 0]
  // Receive Maximum 1024, as sessions have it by default.
  const properties = protocolVersion === 5 ? [3, 0x21, 4, 0] : []
  socket.write(packet(0x10, Buffer.concat([Buffer.from([...header, ...properties]), text(clientId)])))
  await once(socket, "data")
  return socket
}

export class WireClient {
  /** PUBLISH packets that arrived, were handed to the socket, and were acknowledged to the end. */
  received = 0
  sent = 0
  settled = 0
  /** Called after each read. */
  onRead: () => void = () => {}
  readonly #socket: net.Socket
  readonly #options: WireOptions
  readonly #ring: Buffer
  readonly #packets: number
  readonly #packetBytes: number
  #next = 0
  #replies = Buffer.allocUnsafe(65_536)
  #used = 0
  #granted: () => void = () => {}

  private constructor(socket: net.Socket, options: WireOptions) {
    this.#socket = socket
    this.#options = options
    const one = (index: number): Buffer => {
      const { payloadBytes, protocolVersion, qos, topics } = options
      const identifier = qos === 0 ? [] : [(index + 1) >> 8, (index + 1) & 255]
      const properties = protocolVersion === 5 ? [0] : []
      const body = Buffer.concat([
        text(topics[index % topics.length]!),
        Buffer.from([...identifier, ...properties]),
        Buffer.alloc(payloadBytes, 0x61)
      ])
      return packet(0x30 | (qos << 1), body)
    }
    this.#packetBytes = one(0).length
    const wanted = Math.min(
      options.qos === 0 ? Math.max(1, Math.floor(writeBytes / this.#packetBytes)) : ringPackets,
      Math.max(1, Math.floor(ringBytes / this.#packetBytes))
    )
    this.#packets = wanted < options.topics.length ? wanted : wanted - wanted % options.topics.length
    this.#ring = Buffer.concat(Array.from({ length: this.#packets }, (_, index) => one(index)))
    const read = frames((chunk, at, body) => this.#onPacket(chunk, at, body))
    socket.on("data", (chunk: Buffer) => {
      read(chunk)
      if (this.#used > 0) {
        socket.write(this.#replies.subarray(0, this.#used))
        // The socket may still need these bytes.
        this.#replies = Buffer.allocUnsafe(65_536)
        this.#used = 0
      }
      this.onRead()
    })
    socket.on("error", (error) => {
      console.error(error)
      process.exit(1)
    })
  }

  static async open(options: WireOptions): Promise<WireClient> {
    return new WireClient(await connect(options), options)
  }

  async subscribe(filter: string): Promise<void> {
    const granted = new Promise<void>((resolve) => {
      this.#granted = resolve
    })
    this.#socket.write(subscribePacket(this.#options.protocolVersion, filter, this.#options.qos))
    await granted
  }

  /** Hands the next `count` PUBLISH packets to the socket. */
  send(count: number): void {
    let left = count
    while (left > 0) {
      const batch = Math.min(left, this.#packets - this.#next)
      const from = this.#next * this.#packetBytes
      this.#socket.write(this.#ring.subarray(from, from + batch * this.#packetBytes))
      this.#next = (this.#next + batch) % this.#packets
      left -= batch
    }
    this.sent += count
  }

  /** Packets of one write of `send` that goes through the whole ring. */
  get ringSize(): number {
    return this.#packets
  }

  /** Resolves when the socket wants more. */
  async drained(): Promise<void> {
    if (this.#socket.writableNeedDrain) await once(this.#socket, "drain")
    else await new Promise((resolve) => setImmediate(resolve))
  }

  get pendingBytes(): number {
    return this.#socket.writableLength
  }

  #onPacket(chunk: Buffer, at: number, body: number): void {
    const first = chunk[at]!
    switch (first >> 4) {
      case 3: {
        this.received++
        const qos = (first >> 1) & 3
        if (qos > 0) this.#reply(qos === 1 ? 0x40 : 0x50, chunk, body + 2 + ((chunk[body]! << 8) | chunk[body + 1]!))
        return
      }
      case 4:
      case 7:
        this.settled++
        return
      case 5:
        return this.#reply(0x62, chunk, body)
      case 6:
        return this.#reply(0x70, chunk, body)
      case 9:
        return this.#granted()
    }
  }

  #reply(first: number, chunk: Buffer, identifier: number): void {
    if (this.#used + 4 > this.#replies.length) {
      this.#replies = Buffer.concat([this.#replies, Buffer.allocUnsafe(this.#replies.length)])
    }
    const replies = this.#replies
    replies[this.#used++] = first
    replies[this.#used++] = 2
    replies[this.#used++] = chunk[identifier]!
    replies[this.#used++] = chunk[identifier + 1]!
  }
}
