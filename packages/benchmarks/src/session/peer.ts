/**
 * The far side of the session benchmark: a scripted server that does just enough of MQTT to be faster than any client,
 * and counts.
 *
 * It shares no code with the library, so that it is an independent referee. One write answers all that one read
 * brought.
 */
import * as net from "node:net"
import { performance } from "node:perf_hooks"
import {
  filter,
  type PeerReply,
  type PeerRequest,
  type PeerSample,
  sharedFilter,
  startFilter,
  topics
} from "./contract.ts"

/** PUBLISH packets that a QoS 1 flood keeps unacknowledged, where the client's Receive Maximum allows it. */
const floodWindow = 1000

/** Bytes of one write of a QoS 0 flood. */
const floodBytes = 65_536

/** A PUBLISH at QoS 0 that is larger is counted when its last byte has come, and not collected. */
const largeBytes = 65_536

const payloadBytes = Number(process.argv[2] ?? "64")
/** Subscriptions get nothing. */
const idle = process.argv[3] === "idle"

let received = 0
let sent = 0
let acknowledged = 0
let fault = ""
let flooding = true

const pingresp = Buffer.from([0xd0, 0])

/** The properties whose value has a fixed length, of those that CONNECT and SUBSCRIBE may carry (MQTT 2.2.2.2). */
const fixedLengths: Record<number, number> = { 0x11: 4, 0x17: 1, 0x19: 1, 0x21: 2, 0x22: 2, 0x27: 4 }

class Connection {
  readonly #socket: net.Socket
  #rest: Buffer | undefined
  #version = 4
  #receiveMaximum = 65_535
  #acks: Buffer = Buffer.allocUnsafe(65_536)
  #ring: Ring | undefined
  #expected = 1
  #owed = 0
  /** What the last subscription to the shared filter asked for. */
  #shared: { readonly qos: number; readonly identifier: Buffer | undefined } | undefined
  /** Bytes of a large PUBLISH at QoS 0 that are still to come. */
  #skip = 0

  constructor(socket: net.Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on("data", (chunk) => this.#read(chunk))
    socket.on("error", () => {})
  }

  #read(read: Buffer): void {
    let chunk = read
    if (this.#skip > 0) {
      if (chunk.length < this.#skip) {
        this.#skip -= chunk.length
        return
      }
      received++
      chunk = chunk.subarray(this.#skip)
      this.#skip = 0
    }
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    const end = bytes.length
    let acks = 0
    let pubacks = 0
    let at = 0
    while (at + 2 <= end) {
      let length = 0
      let shift = 0
      let body = at + 1
      let complete = false
      while (body < end) {
        const byte = bytes[body++]!
        length |= (byte & 0x7f) << shift
        shift += 7
        if (byte < 0x80) {
          complete = true
          break
        }
      }
      const first = bytes[at]!
      if (!complete || body + length > end) {
        if (complete && length > largeBytes && first >> 4 === 3 && (first & 6) === 0) {
          this.#skip = body + length - end
          at = end
        }
        break
      }
      switch (first >> 4) {
        case 3: {
          received++
          if ((first & 6) !== 0) {
            if ((first & 6) !== 2) return this.#fail("PUBLISH with another QoS than 0 and 1")
            const id = body + 2 + ((bytes[body]! << 8) | bytes[body + 1]!)
            if (acks + 4 > this.#acks.length) this.#acks = Buffer.concat([this.#acks, Buffer.allocUnsafe(65_536)])
            this.#acks[acks] = 0x40
            this.#acks[acks + 1] = 2
            this.#acks[acks + 2] = bytes[id]!
            this.#acks[acks + 3] = bytes[id + 1]!
            acks += 4
          }
          break
        }
        case 4: {
          const id = (bytes[body]! << 8) | bytes[body + 1]!
          if (id !== this.#expected) return this.#fail(`PUBACK ${id} where ${this.#expected} was due`)
          this.#expected = this.#expected === this.#ring?.packets ? 1 : this.#expected + 1
          pubacks++
          break
        }
        case 1:
          this.#connect(bytes.subarray(body, body + length))
          break
        case 8:
          this.#subscribe(bytes.subarray(body, body + length))
          break
        case 10:
          this.#unsubscribe(bytes.subarray(body, body + length))
          break
        case 12:
          this.#socket.write(pingresp)
          break
        case 14:
          this.#socket.end()
          return
        default:
          return this.#fail(`packet type ${first >> 4}`)
      }
      at = body + length
    }
    this.#rest = at === end ? undefined : bytes.subarray(at)
    if (acks > 0) {
      this.#socket.write(this.#acks.subarray(0, acks))
      this.#acks = this.#socket.writableLength === 0 ? this.#acks : Buffer.allocUnsafe(this.#acks.length)
    }
    if (pubacks > 0) {
      acknowledged += pubacks
      this.#owed += pubacks
      this.#refill()
    }
  }

  #connect(body: Buffer): void {
    this.#version = body[6]!
    let at = 10
    if (this.#version === 5) {
      const [length, start] = varint(body, at)
      at = start
      while (at < start + length) {
        const identifier = body[at++]!
        if (identifier === 0x21) this.#receiveMaximum = body.readUInt16BE(at)
        at += propertyLength(identifier, body, at)
      }
    }
    this.#socket.write(Buffer.from(this.#version === 5 ? [0x20, 3, 0, 0, 0] : [0x20, 2, 0, 0]))
  }

  #subscribe(body: Buffer): void {
    let at = 2
    let identifier: Buffer | undefined
    if (this.#version === 5) {
      const [length, start] = varint(body, at)
      at = start
      while (at < start + length) {
        const property = body[at++]!
        const skip = propertyLength(property, body, at)
        if (property === 0x0b) identifier = Buffer.from(body.subarray(at, at + skip))
        at += skip
      }
    }
    const codes: Array<number> = []
    const first = body.toString("utf8", at + 2, at + 2 + body.readUInt16BE(at))
    while (at < body.length) {
      at += 2 + body.readUInt16BE(at)
      codes.push(body[at++]! & 3)
    }
    const properties = this.#version === 5 ? [0] : []
    const length = encodeVarint(2 + properties.length + codes.length)
    this.#socket.write(Buffer.from([0x90, ...length, body[0]!, body[1]!, ...properties, ...codes]))
    if (idle || this.#ring !== undefined) return
    if (first === sharedFilter) this.#shared = { qos: codes[0]!, identifier }
    else if (first === startFilter) this.#flood(this.#shared!.qos, this.#shared!.identifier)
    else if (first === filter) this.#flood(codes[0]!, identifier)
  }

  #unsubscribe(body: Buffer): void {
    let at = 2
    if (this.#version === 5) {
      const [length, start] = varint(body, at)
      at = start + length
    }
    const codes: Array<number> = []
    while (at < body.length) {
      at += 2 + body.readUInt16BE(at)
      if (this.#version === 5) codes.push(0)
    }
    const properties = this.#version === 5 ? [0] : []
    this.#socket.write(
      Buffer.from([0xb0, 2 + properties.length + codes.length, body[0]!, body[1]!, ...properties, ...codes])
    )
  }

  /** Sends at full speed what the subscription asked for, until the orchestrator says stop. */
  #flood(qos: number, subscriptionIdentifier: Buffer | undefined): void {
    const window = qos === 0 ? 0 : Math.min(floodWindow, this.#receiveMaximum)
    this.#ring = new Ring(qos, this.#version, subscriptionIdentifier, window)
    if (qos === 1) {
      this.#owed = window
      return this.#refill()
    }
    const { buffer, packets } = this.#ring
    const more = (): void => {
      // A few writes a turn, so that the orchestrator's questions are heard.
      for (let turn = 0; turn < 8; turn++) {
        if (!flooding || this.#socket.destroyed) return
        sent += packets
        if (!this.#socket.write(buffer)) {
          this.#socket.once("drain", more)
          return
        }
      }
      setImmediate(more)
    }
    more()
  }

  /** As many packets as were acknowledged, in one or two writes out of the ring. */
  #refill(): void {
    const ring = this.#ring
    if (ring === undefined || !flooding) return
    while (this.#owed > 0) {
      const count = Math.min(this.#owed, ring.packets - ring.next)
      this.#socket.write(ring.buffer.subarray(ring.next * ring.packetBytes, (ring.next + count) * ring.packetBytes))
      ring.next = (ring.next + count) % ring.packets
      this.#owed -= count
      sent += count
    }
  }

  #fail(detail: string): void {
    fault = detail
    this.#socket.destroy()
  }
}

/**
 * Ready-made PUBLISH packets. Those of QoS 1 carry the identifiers 1 to `packets`, which come back in turn: as the
 * client acknowledges in order, an identifier is free when its turn comes.
 */
class Ring {
  readonly buffer: Buffer
  readonly packets: number
  readonly packetBytes: number
  next = 0

  constructor(qos: number, version: number, subscriptionIdentifier: Buffer | undefined, window: number) {
    const one = (index: number): Buffer => {
      const topic = Buffer.from(topics[index % topics.length]!)
      const id = qos === 0 ? [] : [(index + 1) >> 8, (index + 1) & 0xff]
      const properties = version === 4
        ? []
        : subscriptionIdentifier === undefined
        ? [0]
        : [1 + subscriptionIdentifier.length, 0x0b, ...subscriptionIdentifier]
      const body = Buffer.concat([
        Buffer.from([0, topic.length]),
        topic,
        Buffer.from([...id, ...properties]),
        Buffer.alloc(payloadBytes, 0x61)
      ])
      return Buffer.concat([Buffer.from([0x30 | (qos << 1), ...encodeVarint(body.length)]), body])
    }
    this.packetBytes = one(0).length
    const wanted = qos === 0 ? Math.floor(floodBytes / this.packetBytes) : Math.min(65_535, window * 8)
    this.packets = Math.max(topics.length, wanted - wanted % topics.length)
    this.buffer = Buffer.concat(Array.from({ length: this.packets }, (_, index) => one(index)))
  }
}

const varint = (bytes: Buffer, at: number): readonly [value: number, next: number] => {
  let value = 0
  let shift = 0
  while (true) {
    const byte = bytes[at++]!
    value |= (byte & 0x7f) << shift
    shift += 7
    if (byte < 0x80) return [value, at]
  }
}

const encodeVarint = (value: number): Array<number> => {
  const bytes: Array<number> = []
  do {
    const low = value & 0x7f
    value >>= 7
    bytes.push(value > 0 ? low | 0x80 : low)
  } while (value > 0)
  return bytes
}

const propertyLength = (identifier: number, bytes: Buffer, at: number): number => {
  if (identifier === 0x0b) return varint(bytes, at)[1] - at
  const fixed = fixedLengths[identifier]
  if (fixed !== undefined) return fixed
  const first = 2 + bytes.readUInt16BE(at)
  return identifier === 0x26 ? first + 2 + bytes.readUInt16BE(at + first) : first
}

const sample = (): PeerSample => {
  const { system, user } = process.cpuUsage()
  return { _tag: "Sample", received, sent, acknowledged, fault, at: performance.now(), cpu: user + system }
}

const reply = (message: PeerReply): void => {
  process.send!(message)
}

process.on("message", (request: PeerRequest) => {
  switch (request._tag) {
    case "Reset":
      received = sent = acknowledged = 0
      fault = ""
      flooding = true
      break
    case "StopFlood":
      flooding = false
      break
    case "Sample":
      break
  }
  reply(sample())
})
process.on("disconnect", () => process.exit(0))

const server = net.createServer((socket) => {
  void new Connection(socket)
})
server.listen(0, "127.0.0.1", () => reply({ _tag: "Listening", port: (server.address() as net.AddressInfo).port }))
