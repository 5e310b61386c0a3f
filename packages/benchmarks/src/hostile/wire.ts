/**
 * Bytes of MQTT and of WebSockets, written by hand: the attacker shares no code with the library.
 */

export const variable = (value: number): Buffer => {
  const bytes: Array<number> = []
  do {
    const low = value & 0x7f
    value = value >>> 7
    bytes.push(value > 0 ? low | 0x80 : low)
  } while (value > 0)
  return Buffer.from(bytes)
}

export const packet = (first: number, ...parts: ReadonlyArray<Uint8Array>): Buffer => {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  return Buffer.concat([Buffer.from([first]), variable(length), ...parts])
}

export const text = (value: string): Buffer => {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes])
}

export const number16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff])

export interface PublishParts {
  readonly version: 4 | 5
  readonly topic: string
  readonly qos: 0 | 1 | 2
  readonly identifier?: number
  readonly dup?: boolean
  readonly properties?: Uint8Array
  readonly payload?: Uint8Array
}

const nothing = Buffer.alloc(0)

export const publish = (parts: PublishParts): Buffer => {
  const { dup = false, identifier = 1, payload = nothing, properties = nothing, qos, topic, version } = parts
  return packet(
    0x30 | (dup ? 8 : 0) | (qos << 1),
    text(topic),
    qos === 0 ? nothing : number16(identifier),
    version === 5 ? Buffer.concat([variable(properties.length), properties]) : nothing,
    payload
  )
}

export const acknowledgement = (first: number, identifier: number): Buffer => packet(first, number16(identifier))

/** As many copies of a property as fit. */
export const repeated = (property: Uint8Array, bytes: number): Buffer =>
  Buffer.concat(Array.from({ length: Math.floor(bytes / property.length) }, () => property))

export const connack = (version: 4 | 5): Buffer => Buffer.from(version === 5 ? [0x20, 3, 0, 0, 0] : [0x20, 2, 0, 0])

/** The head of an unmasked WebSocket frame. */
export const frameHead = (opcode: number, final: boolean, length: number): Buffer => {
  const first = (final ? 0x80 : 0) | opcode
  if (length < 126) return Buffer.from([first, length])
  if (length < 65_536) return Buffer.from([first, 126, length >> 8, length & 0xff])
  const head = Buffer.alloc(10)
  head[0] = first
  head[1] = 127
  head.writeBigUInt64BE(BigInt(length), 2)
  return head
}
