/**
 * Reads and writes UTF-8. Most strings are short ASCII, which both directions handle separately. Which strings MQTT
 * allows is in utf8String.ts.
 */

// U+FEFF is an ordinary character in MQTT [MQTT5-1.5.4-3], so the decoder must not strip it.
const fatalDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const textEncoder = new TextEncoder()

type Latin1Slice = (this: Uint8Array, start: number, end: number) => string

// Node's native slice makes a string from ASCII bytes several times faster than TextDecoder. Where it is missing or
// does not accept a plain Uint8Array, TextDecoder is used.
const findLatin1Slice = (): Latin1Slice | undefined => {
  const host = globalThis as unknown as {
    readonly Buffer?: { readonly prototype?: { readonly latin1Slice?: unknown } }
  }
  const slice = host.Buffer?.prototype?.latin1Slice
  if (typeof slice !== "function") {
    return undefined
  }
  try {
    return slice.call(new Uint8Array([0x61, 0x62, 0x63, 0x64]), 1, 3) === "bc" ? slice as Latin1Slice : undefined
  } catch {
    return undefined
  }
}

const latin1Slice = findLatin1Slice()

/**
 * Decodes bytes that are known to be ASCII.
 */
export const decodeAscii = (bytes: Uint8Array, start: number, end: number): string =>
  latin1Slice === undefined ? fatalDecoder.decode(bytes.subarray(start, end)) : latin1Slice.call(bytes, start, end)

/**
 * Decodes any bytes. Undefined when they are not well-formed UTF-8, for example with encoded surrogates.
 */
export const decodeUtf8 = (bytes: Uint8Array, start: number, end: number): string | undefined => {
  try {
    return fatalDecoder.decode(bytes.subarray(start, end))
  } catch {
    return undefined
  }
}

/**
 * The number of bytes that TextEncoder would make, which replaces a lone surrogate by U+FFFD.
 */
export const measureLossy = (text: string): number => {
  const length = text.length
  let bytes = length
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) {
      continue
    }
    if (unit < 0x800) {
      bytes++
    } else {
      const next = i + 1 < length ? text.charCodeAt(i + 1) : 0
      if (unit >= 0xd800 && unit <= 0xdbff && next >= 0xdc00 && next <= 0xdfff) {
        i++
      }
      bytes += 2
    }
  }
  return bytes
}

/**
 * Writes a string of known size. Returns the position after it.
 */
export const writeUtf8 = (target: Uint8Array, position: number, text: string, byteLength: number): number => {
  const end = position + byteLength
  // For short ASCII a loop is faster than the call into the host.
  if (byteLength === text.length && byteLength <= 64) {
    for (let i = 0; position < end; i++, position++) {
      target[position] = text.charCodeAt(i)
    }
    return end
  }
  textEncoder.encodeInto(text, target.subarray(position, end))
  return end
}
