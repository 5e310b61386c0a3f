/**
 * The packets of RPC over MQTT, each the payload of one message, to bytes and back.
 *
 * A packet begins with the version of the format, its kind, and the instance that sent it. What the sides of a call say
 * to each other are frames. A frame is cut into parts, and the parts of one side of a call are numbered from 0. Numbers
 * are base 128, low digits first. The decoder takes any bytes and never throws.
 */

/** What a frame is. `notice` is a message from a server that belongs to no call. */
export type FrameKind = "request" | "ack" | "response" | "notice"

/** Why a server does not carry out a call, or does not go on with it. */
export type Refusal = "overloaded" | "malformed" | "tooLarge" | "closing" | "lost" | "responseTooLarge"

/** One part of a frame. */
export interface Part {
  readonly _tag: "Part"
  readonly kind: FrameKind
  readonly sender: string
  readonly call: number
  readonly sequence: number
  readonly isLast: boolean
  readonly body: Uint8Array
}

/** The calls that the sender has with the receiver, and how many parts it has sent in each. */
export interface Heartbeat {
  readonly _tag: "Heartbeat"
  readonly sender: string
  readonly calls: ReadonlyArray<readonly [call: number, sent: number]>
}

export type Packet =
  | Part
  | Heartbeat
  /** The client does not wait for the call any more. */
  | { readonly _tag: "Cancel"; readonly sender: string; readonly call: number }
  /** A server has the first part of a call, and takes the others under its own topic. */
  | { readonly _tag: "Accepted"; readonly sender: string; readonly call: number }
  | { readonly _tag: "Refused"; readonly sender: string; readonly call: number; readonly refusal: Refusal }
  /** The instance has ended. */
  | { readonly _tag: "Bye"; readonly sender: string }

const version = 1
const frameKinds: ReadonlyArray<FrameKind> = ["request", "ack", "response", "notice"]
const refusals: ReadonlyArray<Refusal> = [
  "overloaded",
  "malformed",
  "tooLarge",
  "closing",
  "lost",
  "responseTooLarge"
]
const heartbeat = 16
const accepted = 17
const refused = 18
const bye = 19
const cancel = 20

/** The bytes of a number are at most this many. */
const longestNumber = 8
const longestSender = 1024
const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** At most this many bytes stand before the body of a part of this sender. */
export const overheadOf = (sender: string): number => 5 + encoder.encode(sender).length + 2 * longestNumber

class Writer {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(size: number) {
    this.#bytes = new Uint8Array(size)
  }

  byte(value: number): this {
    this.#bytes[this.#at++] = value
    return this
  }

  number(value: number): this {
    let rest = value
    while (rest >= 128) {
      this.byte((rest % 128) | 128)
      rest = Math.floor(rest / 128)
    }
    return this.byte(rest)
  }

  bytes(bytes: Uint8Array): this {
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
    return this
  }

  end(): Uint8Array {
    return this.#bytes.subarray(0, this.#at)
  }
}

const begin = (kind: number, sender: string, more: number): Writer => {
  const name = encoder.encode(sender)
  return new Writer(4 + name.length + more).byte(version).byte(kind).number(name.length).bytes(name)
}

export const encode = (packet: Packet): Uint8Array => {
  const { sender } = packet
  switch (packet._tag) {
    case "Part":
      return begin(frameKinds.indexOf(packet.kind), sender, 1 + 2 * longestNumber + packet.body.length)
        .number(packet.call).number(packet.sequence).byte(packet.isLast ? 1 : 0).bytes(packet.body).end()
    case "Heartbeat": {
      const writer = begin(heartbeat, sender, packet.calls.length * 2 * longestNumber)
      for (const [call, sent] of packet.calls) writer.number(call).number(sent)
      return writer.end()
    }
    case "Cancel":
      return begin(cancel, sender, longestNumber).number(packet.call).end()
    case "Accepted":
      return begin(accepted, sender, longestNumber).number(packet.call).end()
    case "Refused":
      return begin(refused, sender, longestNumber + 1).number(packet.call).byte(refusals.indexOf(packet.refusal)).end()
    case "Bye":
      return begin(bye, sender, 0).end()
  }
}

/** Reads numbers and bytes. After a mistake `isWrong` is true and all values are 0 or empty. */
class Reader {
  readonly #bytes: Uint8Array
  #at = 0
  isWrong = false

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.isWrong ? 0 : this.#bytes.length - this.#at
  }

  byte(): number {
    if (this.left === 0) {
      this.isWrong = true
      return 0
    }
    return this.#bytes[this.#at++]!
  }

  number(): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < longestNumber; i++) {
      const byte = this.byte()
      value += (byte & 127) * scale
      if (byte < 128) {
        if (value > Number.MAX_SAFE_INTEGER) this.isWrong = true
        return value
      }
      scale *= 128
    }
    this.isWrong = true
    return 0
  }

  bytes(length: number): Uint8Array {
    if (length > this.left) {
      this.isWrong = true
      return new Uint8Array(0)
    }
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }
}

const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

const readCalls = (reader: Reader): ReadonlyArray<readonly [number, number]> => {
  const calls: Array<readonly [number, number]> = []
  while (reader.left > 0) calls.push([reader.number(), reader.number()])
  return calls
}

/** The packet of these bytes; undefined: they are none. */
export const decode = (bytes: Uint8Array): Packet | undefined => {
  const reader = new Reader(bytes)
  if (reader.byte() !== version) return undefined
  const kind = reader.byte()
  const length = reader.number()
  if (length === 0 || length > longestSender) return undefined
  const sender = textOf(reader.bytes(length))
  if (reader.isWrong || sender === undefined) return undefined
  const packet = readBody(reader, kind, sender)
  return reader.isWrong || reader.left > 0 ? undefined : packet
}

const readBody = (reader: Reader, kind: number, sender: string): Packet | undefined => {
  switch (kind) {
    case heartbeat:
      return { _tag: "Heartbeat", sender, calls: readCalls(reader) }
    case cancel:
      return { _tag: "Cancel", sender, call: reader.number() }
    case accepted:
      return { _tag: "Accepted", sender, call: reader.number() }
    case refused: {
      const call = reader.number()
      const refusal = refusals[reader.byte()]
      return refusal === undefined ? undefined : { _tag: "Refused", sender, call, refusal }
    }
    case bye:
      return { _tag: "Bye", sender }
  }
  const frameKind = frameKinds[kind]
  if (frameKind === undefined) return undefined
  const [call, sequence, last] = [reader.number(), reader.number(), reader.byte()]
  if (last > 1) return undefined
  return { _tag: "Part", kind: frameKind, sender, call, sequence, isLast: last === 1, body: reader.bytes(reader.left) }
}

/** The bodies of the parts of a frame: at least one, each of at most `size` bytes. */
export const cut = (body: Uint8Array, size: number): ReadonlyArray<Uint8Array> => {
  if (body.length <= size) return [body]
  const bodies: Array<Uint8Array> = []
  for (let at = 0; at < body.length; at += size) bodies.push(body.subarray(at, at + size))
  return bodies
}
