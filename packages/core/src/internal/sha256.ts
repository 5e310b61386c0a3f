/**
 * HMAC (FIPS 198-1) with SHA-256 (FIPS 180-4), for callers that need a synchronous result: `crypto.subtle` is
 * asynchronous, and absent outside of secure contexts.
 *
 * It is a pure function of its bytes. Nothing here compares, stores or generates secrets.
 */
const constants = new Int32Array(64)
const start = new Int32Array(8)

const fraction = (root: number): number => ((root - Math.floor(root)) * 0x1_0000_0000) | 0
for (let candidate = 2, found = 0; found < 64; candidate++) {
  let prime = true
  for (let divisor = 2; divisor * divisor <= candidate; divisor++) prime &&= candidate % divisor !== 0
  if (!prime) continue
  if (found < 8) start[found] = fraction(Math.sqrt(candidate))
  constants[found++] = fraction(Math.cbrt(candidate))
}

const blockBytes = 64

/** Shared by all computations: only one runs at a time, from start to end. */
const words = new Int32Array(64)

// Plain loops over typed arrays, because this runs for each message of a forwarder with a secret.
const compress = (state: Int32Array, bytes: Uint8Array, offset: number): void => {
  for (let i = 0, at = offset; i < 16; i++, at += 4) {
    words[i] = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!
  }
  for (let i = 16; i < 64; i++) {
    const x = words[i - 15]!
    const y = words[i - 2]!
    words[i] = words[i - 16]! + words[i - 7]! +
      (((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)) +
      (((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10))
  }
  let a = state[0]!
  let b = state[1]!
  let c = state[2]!
  let d = state[3]!
  let e = state[4]!
  let f = state[5]!
  let g = state[6]!
  let h = state[7]!
  for (let i = 0; i < 64; i++) {
    const one = (h + (((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))) +
      ((e & f) ^ (~e & g)) + constants[i]! + words[i]!) | 0
    const two = ((((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))) +
      ((a & b) ^ (a & c) ^ (b & c))) | 0
    h = g
    g = f
    f = e
    e = (d + one) | 0
    d = c
    c = b
    b = a
    a = (one + two) | 0
  }
  state[0]! += a
  state[1]! += b
  state[2]! += c
  state[3]! += d
  state[4]! += e
  state[5]! += f
  state[6]! += g
  state[7]! += h
}

/** The digest of bytes that are added in parts. */
class Digest {
  readonly #state: Int32Array
  readonly #block = new Uint8Array(blockBytes)
  #filled = 0
  #length: number

  /** Continues from a state after `length` bytes, which are whole blocks. */
  constructor(state: Int32Array, length: number) {
    this.#state = state.slice()
    this.#length = length
  }

  update(bytes: Uint8Array): this {
    this.#length += bytes.length
    let offset = 0
    if (this.#filled > 0) {
      offset = Math.min(blockBytes - this.#filled, bytes.length)
      this.#block.set(bytes.subarray(0, offset), this.#filled)
      this.#filled += offset
      if (this.#filled < blockBytes) return this
      compress(this.#state, this.#block, 0)
    }
    for (; offset + blockBytes <= bytes.length; offset += blockBytes) compress(this.#state, bytes, offset)
    this.#block.set(bytes.subarray(offset))
    this.#filled = bytes.length - offset
    return this
  }

  get state(): Int32Array {
    return this.#state
  }

  finish(): Uint8Array {
    const length = this.#length
    const padding = new Uint8Array((this.#filled < 56 ? 64 : 128) - this.#filled)
    padding[0] = 0x80
    const view = new DataView(padding.buffer)
    view.setUint32(padding.length - 8, Math.floor(length / 0x2000_0000))
    view.setUint32(padding.length - 4, length << 3)
    this.update(padding)
    const digest = new Uint8Array(32)
    const words = new DataView(digest.buffer)
    for (let i = 0; i < 8; i++) words.setInt32(4 * i, this.#state[i]!)
    return digest
  }
}

/** Bytes as hexadecimal digits. */
export const hex = (bytes: Uint8Array): string => {
  let digits = ""
  for (let i = 0; i < bytes.length; i++) digits += bytes[i]!.toString(16).padStart(2, "0")
  return digits
}

/**
 * HMAC with SHA-256 under one key.
 */
export class Hmac {
  readonly #inner: Int32Array
  readonly #outer: Int32Array

  constructor(key: Uint8Array) {
    const block = new Uint8Array(blockBytes)
    block.set(key.length > blockBytes ? new Digest(start, 0).update(key).finish() : key)
    this.#inner = new Digest(start, 0).update(block.map((byte) => byte ^ 0x36)).state
    this.#outer = new Digest(start, 0).update(block.map((byte) => byte ^ 0x5c)).state
  }

  /** The 32 bytes of the signature of a message in parts. */
  sign(...parts: ReadonlyArray<Uint8Array>): Uint8Array {
    const inner = new Digest(this.#inner, blockBytes)
    for (const part of parts) inner.update(part)
    return new Digest(this.#outer, blockBytes).update(inner.finish()).finish()
  }
}
