/**
 * The attacker's side of one connection: the handshakes of WebSocket and MQTT, and writing with the eyes open.
 */
import { createHash } from "node:crypto"
import type * as net from "node:net"
import { connack, frameHead, packet } from "./wire.ts"

/** So long without progress, and the other side has stopped reading. */
const stuckMillis = 2000

export interface ConnectionOptions {
  readonly version: 4 | 5
  readonly transport: "tcp" | "ws"
  /** Leaves CONNECT unanswered: the attack does it. */
  readonly answersConnect: boolean
  /** False: nothing is read once the attack begins. */
  readonly reads: boolean
  /** The moment to attack has come. */
  readonly when: "connect" | "connected" | "subscribed" | "published"
  readonly onReady: (connection: Connection) => void
}

export class Connection {
  readonly socket: net.Socket
  readonly #options: ConnectionOptions
  #bytes: Buffer = Buffer.alloc(0)
  #upgraded = false
  #isReady = false
  closed = false
  written = 0
  /** PUBLISH packets that arrived, by identifier. */
  readonly published: Array<number> = []

  constructor(socket: net.Socket, options: ConnectionOptions) {
    this.socket = socket
    this.#options = options
    socket.setNoDelay(true)
    socket.on("data", (chunk) => this.#read(chunk))
    socket.on("error", () => {})
    socket.on("close", () => {
      this.closed = true
    })
  }

  /** MQTT bytes, in a frame of their own on a WebSocket. False: the other side takes no more. */
  async send(bytes: Uint8Array): Promise<boolean> {
    return this.raw(
      this.#options.transport === "ws" ? Buffer.concat([frameHead(2, true, bytes.length), bytes]) : bytes
    )
  }

  /** Bytes of the network. False: the other side takes no more. */
  async raw(bytes: Uint8Array): Promise<boolean> {
    if (this.closed) return false
    this.written += bytes.length
    if (this.socket.write(bytes)) {
      // Whoever only writes never sees that the other side has left.
      await new Promise((resolve) => setImmediate(resolve))
      return !this.closed
    }
    return new Promise((resolve) => {
      let waiting = this.socket.writableLength
      const done = (goes: boolean): void => {
        clearInterval(timer)
        this.socket.off("drain", drained)
        this.socket.off("close", closed)
        resolve(goes)
      }
      const drained = (): void => done(true)
      const closed = (): void => done(false)
      const timer = setInterval(() => {
        if (this.socket.writableLength === waiting) done(false)
        waiting = this.socket.writableLength
      }, stuckMillis)
      this.socket.on("drain", drained)
      this.socket.on("close", closed)
    })
  }

  #ready(when: ConnectionOptions["when"]): void {
    if (this.#isReady || this.#options.when !== when) return
    this.#isReady = true
    if (!this.#options.reads) this.socket.pause()
    this.#options.onReady(this)
  }

  #read(chunk: Buffer): void {
    if (this.#options.transport === "ws" && !this.#upgraded) return this.#upgrade(chunk)
    this.#bytes = Buffer.concat([this.#bytes, this.#options.transport === "ws" ? unmask(chunk) : chunk])
    while (true) {
      const bytes = this.#bytes
      let length = 0
      let shift = 0
      let at = 1
      while (true) {
        if (at >= bytes.length) return
        const byte = bytes[at++]!
        length |= (byte & 0x7f) << shift
        shift += 7
        if (byte < 0x80) break
      }
      if (at + length > bytes.length) return
      this.#bytes = bytes.subarray(at + length)
      this.#packet(bytes[0]!, bytes.subarray(at, at + length))
    }
  }

  #packet(first: number, body: Buffer): void {
    const { version } = this.#options
    switch (first >> 4) {
      case 1:
        if (this.#options.answersConnect) void this.send(connack(version))
        this.#ready("connect")
        this.#ready("connected")
        break
      case 3:
        if ((first & 6) !== 0) {
          const at = 2 + body.readUInt16BE(0)
          this.published.push(body.readUInt16BE(at))
          this.#ready("published")
        }
        break
      case 8:
        void this.send(packet(0x90, body.subarray(0, 2), Buffer.from(version === 5 ? [0, 2] : [2])))
        this.#ready("subscribed")
        break
      case 12:
        void this.send(Buffer.from([0xd0, 0]))
        break
    }
  }

  #upgrade(chunk: Buffer): void {
    this.#upgraded = true
    const key = /sec-websocket-key: (.*)\r\n/i.exec(chunk.toString("latin1"))?.[1] ?? ""
    const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")
    this.socket.write(
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
        `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n`
    )
  }
}

/**
 * The payloads of the masked frames of a chunk. Those that the attacked session sends before an attack are small and
 * whole.
 */
const unmask = (chunk: Buffer): Buffer => {
  const payloads: Array<Buffer> = []
  let at = 0
  while (at + 6 <= chunk.length) {
    const short = chunk[at + 1]! & 0x7f
    const length = short === 126 ? chunk.readUInt16BE(at + 2) : short
    const mask = at + (short === 126 ? 4 : 2)
    const payload = Buffer.from(chunk.subarray(mask + 4, mask + 4 + length))
    for (let i = 0; i < payload.length; i++) payload[i] = payload[i]! ^ chunk[mask + (i & 3)]!
    if ((chunk[at]! & 15) === 2) payloads.push(payload)
    at = mask + 4 + length
  }
  return Buffer.concat(payloads)
}
