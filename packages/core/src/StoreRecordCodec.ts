/**
 * Encodes records of a session store to bytes and decodes them, for stores that keep bytes.
 *
 * A record is one byte of format, one of type, its fields in the encodings of MQTT (an outbound message is an MQTT 5
 * PUBLISH packet), and four bytes of checksum over key and record. Format 1, from before 0.1, can be read; fields that
 * it lacks are empty. Every later format keeps the first byte and the checksum, so that an older program can tell a
 * newer record from a damaged one.
 *
 * **Example** (Keeping a record as bytes)
 *
 * ```ts
 * import { StoreRecord, StoreRecordCodec } from "@effect-mqttx/core"
 *
 * const record: StoreRecord.StoreRecord = {
 *   _tag: "Consumer",
 *   name: "billing",
 *   filters: ["orders/#"],
 *   qos: 1
 * }
 * const key = StoreRecord.keyOf(record)
 * const bytes = StoreRecordCodec.encode(record)
 *
 * StoreRecordCodec.decode(key, bytes)._tag // => "Success"
 * ```
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { readStoredPublish } from "./internal/codec/decodePublish.ts"
import { measureFor } from "./internal/codec/measure.ts"
import { fixedHeaderSize, writePacket } from "./internal/codec/writePacket.ts"
import { crc32, crc32OfText } from "./internal/crc32.ts"
import { QueuedMessages, type QueuedRecords } from "./internal/store/queuedRecords.ts"
import type { Publish } from "./Packet.ts"
import { isQoS, type QoS } from "./QoS.ts"
import { keyOf, type OriginKey, type OutboundRecord, type StoreRecord } from "./StoreRecord.ts"

/**
 * The checksum CRC-32 (ISO 3309) of the first `end` bytes; default: all. `previous` is the checksum of the bytes before
 * them, for stores that keep several records in one value.
 *
 * @stability stable
 * @category encoding
 * @since 0.1.0
 */
export const checksum = (bytes: Uint8Array, end: number = bytes.length, previous: number = 0): number =>
  crc32(bytes, Math.min(end, bytes.length), previous)

/**
 * The format that `encode` writes, and the newest that `decode` reads.
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const format = 2

/**
 * Why bytes cannot be decoded: a later version of the library wrote them, or they are not the bytes written under this
 * key.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type DecodeFailure =
  | { readonly _tag: "NewerFormat"; readonly format: number }
  | { readonly _tag: "Damaged"; readonly detail: string }

const types = { Outbound: 1, Inbound: 2, Subscription: 3, Identity: 4, Origin: 5, Consumer: 6 } as const
const states = ["queued", "publishing", "releasing", "quarantined"] as const

const textEncoder = new TextEncoder()
const textDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Format, type and checksum. */
const frame = 6

/** A larger buffer is not kept for the next record. */
const keptSize = 65_536

class Writer {
  bytes = new Uint8Array(1024)
  view = new DataView(this.bytes.buffer)
  position = 0

  reserve(size: number): number {
    const position = this.position
    this.position = position + size
    if (this.position > this.bytes.length) {
      const bytes = new Uint8Array(Math.max(this.position, this.bytes.length * 2))
      bytes.set(this.bytes)
      this.bytes = bytes
      this.view = new DataView(bytes.buffer)
    }
    return position
  }

  byte(value: number): void {
    const position = this.reserve(1)
    this.view.setUint8(position, value)
  }
  twoBytes(value: number): void {
    const position = this.reserve(2)
    this.view.setUint16(position, value)
  }
  fourBytes(value: number): void {
    const position = this.reserve(4)
    this.view.setUint32(position, value)
  }
  double(value: number): void {
    const position = this.reserve(8)
    this.view.setFloat64(position, value)
  }
  raw(bytes: Uint8Array): void {
    const position = this.reserve(bytes.length)
    this.bytes.set(bytes, position)
  }
  /** Writes a name that need not be well-formed. */
  codeUnits(value: string): void {
    this.fourBytes(value.length)
    for (let i = 0; i < value.length; i++) this.twoBytes(value.charCodeAt(i))
  }
  text(value: string): void {
    const bytes = textEncoder.encode(value)
    this.fourBytes(bytes.length)
    this.raw(bytes)
  }
}

// Shared, because records are made one after the other, each in the same buffer, and then copied.
let shared = new Writer()
const packetMeasure = measureFor(5)

class Damage extends Error {}

class Reader {
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly end: number
  position = 1

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.end = bytes.length - 4
  }

  take(size: number): number {
    const position = this.position
    this.position = position + size
    if (this.position > this.end) throw new Damage("it ends too early")
    return position
  }

  byte(): number {
    return this.view.getUint8(this.take(1))
  }
  twoBytes(): number {
    return this.view.getUint16(this.take(2))
  }
  fourBytes(): number {
    return this.view.getUint32(this.take(4))
  }
  double(): number {
    return this.view.getFloat64(this.take(8))
  }
  text(): string {
    const size = this.fourBytes()
    const position = this.take(size)
    return textDecoder.decode(this.bytes.subarray(position, position + size))
  }
  codeUnits(): string {
    let text = ""
    for (let left = this.fourBytes(); left > 0; left--) text += String.fromCharCode(this.twoBytes())
    return text
  }
  list<A>(read: () => A): ReadonlyArray<A> {
    const items: Array<A> = []
    for (let left = this.fourBytes(); left > 0; left--) items.push(read())
    return items
  }
  rest(): Uint8Array {
    const position = this.position
    this.position = this.end
    return this.bytes.subarray(position, this.end)
  }
}

/**
 * Encodes a record. Throws a `RangeError` for a message that a PUBLISH packet cannot hold or whose texts are invalid in
 * MQTT: sessions refuse such messages, and stores fail with the kind `invalid`. Throws a `TypeError` for a value that
 * is not a record.
 *
 * @stability stable
 * @category encoding
 * @since 0.1.0
 */
export const encode = (record: StoreRecord): Uint8Array => {
  const type: number | undefined = types[record._tag]
  if (type === undefined) throw new TypeError("what is to be encoded is no record of a session")
  const writer = shared
  writer.position = 0
  writer.byte(format)
  writer.byte(type)
  switch (record._tag) {
    case "Outbound":
      writeOutbound(writer, record)
      break
    case "Inbound":
      writer.twoBytes(record.packetIdentifier)
      writer.byte(record.acknowledged ? 1 : 0)
      writer.text(record.use)
      writer.fourBytes(record.finished.length)
      for (const name of record.finished) writer.codeUnits(name)
      break
    case "Subscription":
      writer.byte(
        record.qos | (record.noLocal ? 4 : 0) | (record.retainAsPublished ? 8 : 0) | (record.granted ? 0 : 16)
      )
      writer.fourBytes(record.subscriptionIdentifier)
      writer.text(record.filter)
      break
    case "Consumer":
      writer.byte(record.qos)
      writer.codeUnits(record.name)
      writer.fourBytes(record.filters.length)
      for (const filter of record.filters) writer.text(filter)
      break
    case "Identity":
      writer.byte(record.protocolVersion)
      // MQTT has no infinite number of seconds: its largest interval, 0xffffffff, stands for it.
      writer.double(record.sessionExpiryInterval ?? NaN)
      writer.text(record.clientId)
      writer.text(record.incarnation)
      break
    case "Origin":
      writer.twoBytes(record.origin.packetIdentifier)
      writer.codeUnits(record.origin.forwarder)
      writer.codeUnits(record.origin.session)
      writer.text(record.origin.use)
      break
  }
  writer.fourBytes(recordChecksum(keyOf(record), writer.bytes, writer.position))
  const bytes = writer.bytes.slice(0, writer.position)
  if (writer.bytes.length > keptSize) shared = new Writer()
  return bytes
}

/**
 * Decodes the record that was stored under this key. The payload of an outbound record is a copy if the record is
 * small, and may be a view of the bytes if it is large.
 *
 * @stability stable
 * @category decoding
 * @since 0.1.0
 */
export const decode = (key: string, bytes: Uint8Array): Result.Result<StoreRecord, DecodeFailure> =>
  decodeAs(key, bytes, false)

/** `isBrief`: the record is not used any more when the bytes are changed. */
const decodeAs = (key: string, bytes: Uint8Array, isBrief: boolean): Result.Result<StoreRecord, DecodeFailure> => {
  if (bytes.length < frame) return damaged(`${bytes.length} bytes are too few for a record`)
  const reader = new Reader(bytes)
  if (reader.view.getUint32(reader.end) !== recordChecksum(key, bytes, reader.end)) {
    return damaged("the checksum is wrong")
  }
  if (bytes[0]! > format) return Result.fail({ _tag: "NewerFormat", format: bytes[0]! })
  try {
    const record = read(reader, isBrief)
    if (reader.position !== reader.end) return damaged("it ends too late")
    return keyOf(record) === key ? Result.succeed(record) : damaged(`it is the record of ${keyOf(record)}`)
  } catch (cause) {
    // The checksum was right: another program wrote a record that breaks the rules.
    return damaged(cause instanceof Error ? cause.message : "it is not a record")
  }
}

/**
 * Collects the records of a session, for the `load` of stores that keep bytes. Where a session loads them, it gets the
 * queued messages as bytes, which takes a fraction of the memory and time. Elsewhere they are with the other records.
 *
 * @stability stable
 * @category decoding
 * @since 0.1.0
 */
export class RecordCollector {
  readonly #queued: QueuedRecords | undefined
  readonly #records: Array<StoreRecord> = []

  private constructor(queued: QueuedRecords | undefined) {
    this.#queued = queued
  }

  /**
   * A collector for one `load`. An attempt to load that begins again needs another one.
   *
   * @since 0.1.0
   */
  static readonly make: Effect.Effect<RecordCollector> = Effect.map(QueuedMessages, (queued) => {
    queued?.clear()
    return new RecordCollector(queued)
  })

  /**
   * The records that `LoadedRecords.records` has to hold, in the order in which they were added.
   *
   * @since 0.1.0
   */
  get records(): ReadonlyArray<StoreRecord> {
    return this.#records
  }

  /**
   * Adds the record that was stored under this key, in any order. Answers why it cannot be decoded; undefined: it was
   * added. The bytes may be changed afterwards as far as `decode` allows it.
   *
   * @since 0.1.0
   */
  add(key: string, bytes: Uint8Array): DecodeFailure | undefined {
    const queued = bytes[1] === types.Outbound && bytes[stateAt] === 0 ? this.#queued : undefined
    const decoded = decodeAs(key, bytes, queued !== undefined)
    if (Result.isFailure(decoded)) return decoded.failure
    const record = decoded.success
    if (queued === undefined || record._tag !== "Outbound") this.#records.push(record)
    else queued.add(record, bytes.subarray(publishAt, bytes.length - 4))
    return undefined
  }
}

const damaged = (detail: string): Result.Result<never, DecodeFailure> => Result.fail({ _tag: "Damaged", detail })

const recordChecksum = (key: string, bytes: Uint8Array, end: number): number => crc32(bytes, end, crc32OfText(key))

const read = (reader: Reader, isBrief: boolean): StoreRecord => {
  const isFormat1 = reader.bytes[0] === 1
  const type = reader.byte()
  switch (type) {
    case types.Outbound:
      return readOutbound(reader, isBrief)
    case types.Inbound:
      return {
        _tag: "Inbound",
        packetIdentifier: reader.twoBytes(),
        acknowledged: reader.byte() === 1,
        use: isFormat1 ? "" : reader.text(),
        finished: isFormat1 ? [] : reader.list(() => reader.codeUnits())
      }
    case types.Subscription: {
      const flags = reader.byte()
      const subscriptionIdentifier = reader.fourBytes()
      return {
        _tag: "Subscription",
        filter: reader.text(),
        qos: qosOf(flags & 3),
        noLocal: (flags & 4) !== 0,
        retainAsPublished: (flags & 8) !== 0,
        granted: (flags & 16) === 0,
        subscriptionIdentifier
      }
    }
    case types.Consumer:
      return {
        _tag: "Consumer",
        qos: qosOf(reader.byte()),
        name: reader.codeUnits(),
        filters: reader.list(() => reader.text())
      }
    case types.Identity: {
      const protocolVersion = reader.byte()
      if (protocolVersion !== 4 && protocolVersion !== 5) throw new Damage(`protocol version ${protocolVersion}`)
      const sessionExpiryInterval = reader.double()
      return {
        _tag: "Identity",
        format: 1,
        protocolVersion,
        clientId: reader.text(),
        incarnation: reader.text(),
        sessionExpiryInterval: Number.isNaN(sessionExpiryInterval) ? undefined : sessionExpiryInterval
      }
    }
    case types.Origin: {
      if (isFormat1) throw new Damage("it is the origin of a message in format 1, which named no forwarder")
      const packetIdentifier = reader.twoBytes()
      const origin: OriginKey = {
        packetIdentifier,
        forwarder: reader.codeUnits(),
        session: reader.codeUnits(),
        use: reader.text()
      }
      return { _tag: "Origin", origin }
    }
    default:
      throw new Damage(`unknown type ${type}`)
  }
}

const qosOf = (value: number): QoS => {
  if (!isQoS(value)) throw new Damage(`QoS ${value}`)
  return value
}

/** An outbound record has format, type, sequence, state, packet identifier, two times, and a PUBLISH packet. */
const stateAt = 2 + 8
const publishAt = stateAt + 1 + 2 + 8 + 8

const writeOutbound = (writer: Writer, record: OutboundRecord): void => {
  writer.double(record.sequence)
  writer.byte(states.indexOf(record.state))
  writer.twoBytes(record.packetIdentifier)
  writer.double(record.acceptedAt)
  writer.double(record.expiresAt ?? Infinity)
  const publish: Publish = {
    _tag: "Publish",
    topic: record.topic,
    payload: record.payload,
    qos: record.qos,
    retain: record.retain,
    dup: false,
    // A queued message has no packet identifier yet, but PUBLISH needs one.
    packetIdentifier: record.qos === 0 ? 0 : 1,
    properties: record.properties
  }
  // Into the bytes of the record: an encoder of packets would make chunks that have to be copied.
  const remaining = packetMeasure.begin(publish)
  const { failure } = packetMeasure
  if (failure === undefined) {
    const { payload } = record
    const position = writer.reserve(fixedHeaderSize(remaining) + remaining)
    writer.bytes.set(payload, writePacket(writer.bytes, position, publish, remaining, packetMeasure))
  }
  packetMeasure.end()
  if (failure !== undefined) throw new RangeError(`${publish._tag}: ${failure}`)
}

const readOutbound = (reader: Reader, isBrief: boolean): OutboundRecord => {
  const sequence = reader.double()
  const state = states[reader.byte()]
  const packetIdentifier = reader.twoBytes()
  const acceptedAt = reader.double()
  const expiresAt = reader.double()
  const publish = readStoredPublish(reader.rest(), isBrief)
  if (state === undefined) throw new Damage("it is no message")
  return {
    _tag: "Outbound",
    sequence,
    state,
    packetIdentifier,
    topic: publish.topic,
    payload: publish.payload,
    qos: publish.qos,
    retain: publish.retain,
    properties: publish.properties,
    acceptedAt,
    expiresAt: expiresAt === Infinity ? undefined : expiresAt
  }
}
