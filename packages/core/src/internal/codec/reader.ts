/**
 * A cursor over the body of one packet. The first failure is kept and moves the cursor to the end. So a decoder reads
 * field after field and checks for a failure once, at the end.
 */
import { TextCache } from "./textCache.ts"
import { decodeAscii, decodeUtf8 } from "./utf8.ts"
import { type CodecViolation, makeViolation, type ViolationKind } from "./violation.ts"

const noBytes = new Uint8Array(0)

// Shared by all decoders of the process: strings are immutable, and sessions of one application see the same topics.
const topicNames = new TextCache()
const texts = new TextCache()

export class Reader {
  /** Bytes that the decoder owns: views of them may be handed out. */
  bytes: Uint8Array = noBytes
  // Read once from the typed array and not for each view, because the access is a call into the host.
  #buffer: ArrayBufferLike = noBytes.buffer
  #offset = 0
  #dataView: DataView | undefined = undefined
  position = 0
  end = 0
  /** The start of the packet, for offsets in details. */
  start = 0
  /** The packet's name, for details. */
  name = ""
  violation: CodecViolation | undefined = undefined

  /** Sets the bytes of the next packets, and a DataView of them, if there is one. */
  attach(bytes: Uint8Array, dataView: DataView | undefined): void {
    this.bytes = bytes
    this.#buffer = bytes.buffer
    this.#offset = bytes.byteOffset
    this.#dataView = dataView
  }

  begin(start: number, position: number, end: number, name: string): void {
    this.start = start
    this.position = position
    this.end = end
    this.name = name
  }

  /** Drops the reference to the bytes, which would keep them alive while the connection is idle. */
  release(): void {
    this.bytes = noBytes
    this.#buffer = noBytes.buffer
    this.#dataView = undefined
  }

  get #words(): DataView {
    return this.#dataView ??= new DataView(this.#buffer, this.#offset, this.bytes.length)
  }

  fail(kind: ViolationKind, detail: string): void {
    if (this.violation === undefined) {
      this.violation = makeViolation(kind, `${this.name}: ${detail}`)
    }
    this.position = this.end
  }

  #truncated(what: string): void {
    this.fail("truncated", `ends inside ${what} at offset ${this.end - this.start}`)
  }

  byte(what: string): number {
    if (this.position >= this.end) {
      this.#truncated(what)
      return 0
    }
    return this.bytes[this.position++]
  }

  twoBytes(what: string): number {
    const position = this.position
    if (position + 2 > this.end) {
      this.#truncated(what)
      return 0
    }
    this.position = position + 2
    return (this.bytes[position] << 8) | this.bytes[position + 1]
  }

  fourBytes(what: string): number {
    const position = this.position
    const bytes = this.bytes
    if (position + 4 > this.end) {
      this.#truncated(what)
      return 0
    }
    this.position = position + 4
    return ((bytes[position] << 24) | (bytes[position + 1] << 16) | (bytes[position + 2] << 8) |
      bytes[position + 3]) >>> 0
  }

  /** MQTT 1.5.5: one to four bytes, and no more than needed. */
  variableByteInteger(what: string): number {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.byte(what)
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) {
          this.fail("variable-byte-integer", `${what} is encoded in more bytes than needed`)
          return 0
        }
        return value
      }
    }
    this.fail("variable-byte-integer", `${what} is longer than four bytes`)
    return 0
  }

  packetIdentifier(): number {
    const identifier = this.twoBytes("the packet identifier")
    if (identifier === 0) {
      this.fail("packet-identifier", "packet identifier 0")
    }
    return identifier
  }

  /** A view, not a copy. */
  binary(what: string): Uint8Array {
    const length = this.twoBytes(what)
    const position = this.position
    if (position + length > this.end) {
      this.#truncated(what)
      return noBytes
    }
    this.position = position + length
    return this.view(position, position + length)
  }

  view(start: number, end: number): Uint8Array {
    return start === end ? noBytes : new Uint8Array(this.#buffer, this.#offset + start, end - start)
  }

  text(what: string): string {
    const start = this.#textStart(what)
    return start < 0 ? "" : this.#decode(what, start, this.position)
  }

  /** A string that probably repeats. */
  cachedText(what: string): string {
    const start = this.#textStart(what)
    if (start < 0) {
      return ""
    }
    const end = this.position
    const known = texts.get(this.#words, start, end)
    if (known !== undefined) {
      return known
    }
    const text = this.#decode(what, start, end)
    if (this.violation === undefined) {
      texts.add(this.#words, start, end, text)
    }
    return text
  }

  /** Validates a string without decoding it. */
  skipText(what: string): void {
    const start = this.#textStart(what)
    if (start >= 0) {
      const end = this.position
      if (this.#bitsOf(what, start, end) >= 0x80) {
        this.#decodeUtf8(what, start, end)
      }
    }
  }

  /**
   * A topic name of a PUBLISH, a will or a response topic, without wildcards. It may be empty; the caller checks that.
   */
  topicName(what: string, wildcardKind: ViolationKind): string {
    const start = this.#textStart(what)
    if (start < 0) {
      return ""
    }
    const end = this.position
    const known = topicNames.get(this.#words, start, end)
    if (known !== undefined) {
      return known
    }
    const text = this.#decode(what, start, end)
    if (this.violation !== undefined) {
      return ""
    }
    const bytes = this.bytes
    for (let i = start; i < end; i++) {
      if (bytes[i] === 0x23 || bytes[i] === 0x2b) {
        this.fail(wildcardKind, `${what} holds a wildcard at offset ${i - this.start}`)
        return ""
      }
    }
    topicNames.add(this.#words, start, end, text)
    return text
  }

  /** The packet must end here. */
  finish(): void {
    if (this.position < this.end) {
      this.fail("trailing-bytes", `${this.end - this.position} bytes too many`)
    }
  }

  #textStart(what: string): number {
    const length = this.twoBytes(what)
    const start = this.position
    if (this.violation !== undefined) {
      return -1
    }
    if (start + length > this.end) {
      this.#truncated(what)
      return -1
    }
    this.position = start + length
    return start
  }

  #decode(what: string, start: number, end: number): string {
    const all = this.#bitsOf(what, start, end)
    if (all < 0x80) {
      return all <= 0 ? "" : decodeAscii(this.bytes, start, end)
    }
    return this.#decodeUtf8(what, start, end)
  }

  #decodeUtf8(what: string, start: number, end: number): string {
    const text = decodeUtf8(this.bytes, start, end)
    if (text === undefined) {
      this.fail("utf8", `${what} at offset ${start - this.start} is not well-formed UTF-8`)
      return ""
    }
    return text
  }

  /** The bitwise OR of all bytes: 0 for none, below 0x80 for ASCII; -1 with a violation where a byte is U+0000. */
  #bitsOf(what: string, start: number, end: number): number {
    const bytes = this.bytes
    let all = 0
    for (let i = start; i < end; i++) {
      const byte = bytes[i]
      if (byte === 0) {
        this.fail("utf8-nul", `${what} holds U+0000 at offset ${i - this.start}`)
        return -1
      }
      all |= byte
    }
    return all
  }
}
