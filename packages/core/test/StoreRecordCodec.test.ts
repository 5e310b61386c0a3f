import { StoreRecord, StoreRecordCodec } from "@effect-mqttx/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result, Schema } from "effect"
import { reference } from "../../../test/support/crc32.ts"
import { makeQueuedRecords } from "../src/internal/engine/outboundMessage.ts"
import { QueuedMessages, type QueuedRecords } from "../src/internal/store/queuedRecords.ts"
import { recordsOf } from "./storedRecords.ts"

const { decode, encode } = StoreRecordCodec

const records: ReadonlyArray<StoreRecord.StoreRecord> = [
  {
    _tag: "Outbound",
    sequence: Number.MAX_SAFE_INTEGER,
    state: "publishing",
    packetIdentifier: 65_535,
    topic: "sensors/\u{1f321}/temperature",
    payload: new Uint8Array(70_000).map((_, i) => i),
    qos: 2,
    retain: true,
    properties: {
      payloadFormatIndicator: 1,
      messageExpiryInterval: 4_294_967_295,
      contentType: "application/json",
      responseTopic: "answers/1",
      correlationData: new Uint8Array([0, 255]),
      userProperties: [["a", "1"], ["a", "1"], ["", "\ufeff"]]
    },
    acceptedAt: 1_790_000_000_000.25,
    expiresAt: 1_790_000_060_000
  },
  {
    _tag: "Outbound",
    sequence: 1,
    state: "queued",
    packetIdentifier: 0,
    topic: "t",
    payload: new Uint8Array(0),
    qos: 0,
    retain: false,
    properties: {},
    acceptedAt: 0,
    expiresAt: undefined
  },
  { _tag: "Inbound", packetIdentifier: 1, acknowledged: true, use: "", finished: [] },
  { _tag: "Inbound", packetIdentifier: 65_535, acknowledged: false, use: "life.z", finished: ["billing", "\ud800/"] },
  { _tag: "Consumer", name: "billing\udfff", filters: ["orders/#", "ä"], qos: 2 },
  {
    _tag: "Subscription",
    granted: true,
    filter: "$share/g/a/+/#",
    qos: 1,
    noLocal: false,
    retainAsPublished: true,
    subscriptionIdentifier: 268_435_455
  },
  {
    _tag: "Identity",
    format: 1,
    protocolVersion: 5,
    clientId: "k\u0000\ud7ff",
    incarnation: "k@1",
    sessionExpiryInterval: 0xffffffff
  },
  {
    _tag: "Identity",
    format: 1,
    protocolVersion: 4,
    clientId: "",
    incarnation: "",
    sessionExpiryInterval: undefined
  },
  { _tag: "Origin", origin: { forwarder: "up/\ud800", session: "../Süd/1\ud800", packetIdentifier: 7, use: "l.1" } }
]

describe("StoreRecordCodec", () => {
  it("gives every record back as it was", () => {
    for (const record of records) {
      assert.deepStrictEqual(Result.getOrThrow(decode(StoreRecord.keyOf(record), encode(record))), record)
    }
  })

  it.prop("gives any message back as it was", {
    payload: Schema.Uint8Array,
    sequence: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })),
    userProperty: Schema.String.check(Schema.isMaxLength(100))
  }, ({ payload, sequence, userProperty }) => {
    // What is no string of MQTT never reaches a store.
    if (/\0|\p{Surrogate}/u.test(userProperty)) return
    const record = { ...records[0] as StoreRecord.OutboundRecord, payload, sequence }
    const written = { ...record, properties: { userProperties: [["a", userProperty] as const] } }
    assert.deepStrictEqual(Result.getOrThrow(decode(StoreRecord.keyOf(written), encode(written))), written)
  })

  it("finds every changed bit of a record, and every truncation and extension", () => {
    for (const record of records) {
      const key = StoreRecord.keyOf(record)
      const bytes = encode(record)
      for (let i = 0; i < Math.min(bytes.length, 300); i++) {
        for (let bit = 0; bit < 8; bit++) {
          const changed = bytes.slice()
          changed[i]! ^= 1 << bit
          assert.strictEqual(Result.isFailure(decode(key, changed)), true, `${record._tag}, byte ${i}, bit ${bit}`)
        }
        assert.isTrue(Result.isFailure(decode(key, bytes.subarray(0, i))))
      }
      assert.isTrue(Result.isFailure(decode(key, new Uint8Array([...bytes, 0]))))
    }
  })

  it("finds a record that is stored under the key of another one", () => {
    const [a, b] = [records[2]!, records[3]!]
    assert.strictEqual(
      Result.getOrThrow(Result.flip(decode(StoreRecord.keyOf(a), encode(b))))._tag,
      "Damaged"
    )
  })

  it("refuses a message that is not one whole PUBLISH packet, under a right checksum", () => {
    const record = { ...records[1] as StoreRecord.OutboundRecord, payload: new Uint8Array([1, 2, 3]), qos: 1 as const }
    const key = StoreRecord.keyOf(record)
    const whole = encode(record)
    // Format, type, sequence, state, packet identifier, two times.
    const start = 29
    const withPacket = (packet: ReadonlyArray<number>): Uint8Array => {
      const bytes = new Uint8Array([...whole.subarray(0, start), ...packet, 0, 0, 0, 0])
      const end = bytes.length - 4
      new DataView(bytes.buffer).setUint32(end, reference(new TextEncoder().encode(key), bytes.subarray(0, end)))
      return bytes
    }
    const packet = Array.from(whole.subarray(start, -4))
    assert.deepStrictEqual(Result.getOrThrow(decode(key, withPacket(packet))), record)
    const wrong: Record<string, ReadonlyArray<number>> = {
      "nothing": [],
      "only a first byte": [0x32],
      "another packet": [0xc0, 0],
      "QoS 3": [0x36, ...packet.slice(1)],
      "no packet identifier": [...packet.slice(0, 5), 0, 0, ...packet.slice(7)],
      "a wildcard in the topic": [...packet.slice(0, 4), 0x23, ...packet.slice(5)],
      "a remaining length that is too short": [0x32, packet[1]! - 1, ...packet.slice(2)],
      "a remaining length that is too long": [0x32, packet[1]! + 1, ...packet.slice(2)],
      "a remaining length with more bytes than needed": [0x32, packet[1]! | 0x80, 0, ...packet.slice(2)],
      "a remaining length without an end": [0x32, 0x80, 0x80, 0x80, 0x80, 1, ...packet.slice(2)],
      "two packets": [...packet, ...packet]
    }
    for (const [what, bytes] of Object.entries(wrong)) {
      assert.strictEqual(Result.getOrThrow(Result.flip(decode(key, withPacket(bytes))))._tag, "Damaged", what)
    }
    // A refused one leaves nothing behind for the next one.
    assert.deepStrictEqual(Result.getOrThrow(decode(key, withPacket(packet))), record)
  })

  it("keeps no more of the bytes that a store has read than the record", () => {
    const small = { ...records[1] as StoreRecord.OutboundRecord, payload: new Uint8Array([1, 2, 3]) }
    const large = { ...small, payload: new Uint8Array(5000).fill(7) }
    for (const record of [small, large]) {
      const page = new Uint8Array(1_000_000)
      const bytes = encode(record)
      page.set(bytes, 1000)
      const decoded = Result.getOrThrow(
        decode(StoreRecord.keyOf(record), page.subarray(1000, 1000 + bytes.length))
      ) as StoreRecord.OutboundRecord
      page.fill(0)
      assert.deepStrictEqual(decoded, record)
      assert.isAtMost(decoded.payload.buffer.byteLength, 16_384)
    }
  })

  it("reads format 1, which had neither uses of identifiers nor names", () => {
    const inFormat1 = (key: string, typeAndFields: Uint8Array): Uint8Array => {
      const bytes = new Uint8Array([1, ...typeAndFields, 0, 0, 0, 0])
      const end = bytes.length - 4
      new DataView(bytes.buffer).setUint32(
        end,
        reference(new TextEncoder().encode(key), bytes.subarray(0, end))
      )
      return bytes
    }
    for (const record of records.filter(({ _tag }) => ["Outbound", "Subscription", "Identity"].includes(_tag))) {
      const key = StoreRecord.keyOf(record)
      const old = inFormat1(key, encode(record).subarray(1, -4))
      assert.deepStrictEqual(Result.getOrThrow(decode(key, old)), record)
    }
    const inbound = { _tag: "Inbound", packetIdentifier: 7, acknowledged: false, use: "", finished: [] } as const
    const key = StoreRecord.keyOf(inbound)
    assert.deepStrictEqual(Result.getOrThrow(decode(key, inFormat1(key, new Uint8Array([2, 0, 7, 0])))), inbound)
  })

  it("has a checksum over the UTF-8 of the key, also of one that is not ASCII or not well-formed", () => {
    for (const name of ["plain", "caf\u00e9", "\u{1f321}", "\u007f\u0080", "a\ud800"]) {
      const record = { _tag: "Consumer", name, filters: ["a"], qos: 1 } as const
      const key = StoreRecord.keyOf(record)
      const bytes = encode(record)
      const end = bytes.length - 4
      assert.strictEqual(
        new DataView(bytes.buffer).getUint32(end),
        reference(new TextEncoder().encode(key), bytes.subarray(0, end)),
        key
      )
      assert.deepStrictEqual(Result.getOrThrow(decode(key, bytes)), record)
    }
  })

  it("distinguishes a later format from damage, by the checksum that every format has", () => {
    const bytes = new Uint8Array([3, 99, 1, 2, 3, 0, 0, 0, 0])
    new DataView(bytes.buffer).setUint32(5, reference(new TextEncoder().encode("key"), bytes.subarray(0, 5)))
    assert.deepStrictEqual(decode("key", bytes), Result.fail({ _tag: "NewerFormat" as const, format: 3 }))
    bytes[3]! ^= 1
    assert.strictEqual(Result.getOrThrow(Result.flip(decode("key", bytes)))._tag, "Damaged")
  })
})

describe("a collector", () => {
  const { RecordCollector } = StoreRecordCodec

  const addAll = (collector: StoreRecordCodec.RecordCollector, all: Iterable<StoreRecord.StoreRecord>): void => {
    for (const record of all) assert.isUndefined(collector.add(StoreRecord.keyOf(record), encode(record)))
  }

  const forSession = (queued: QueuedRecords) => RecordCollector.make.pipe(Effect.provideService(QueuedMessages, queued))

  const isQueued = (record: StoreRecord.StoreRecord): record is StoreRecord.OutboundRecord =>
    record._tag === "Outbound" && record.state === "queued"

  it.effect("has all records, in the order in which they were added", () =>
    Effect.gen(function*() {
      const collector = yield* RecordCollector.make
      addAll(collector, records)
      assert.deepStrictEqual(collector.records, records)
    }))

  it.effect("gives queued messages to the session that loads, and each message is the same", () =>
    Effect.gen(function*() {
      const queued = makeQueuedRecords()
      const collector = yield* forSession(queued)
      addAll(collector, records)
      assert.isTrue(records.some(isQueued))
      assert.deepStrictEqual(collector.records, records.filter((record) => !isQueued(record)))
      assert.deepStrictEqual(recordsOf(queued), records.filter(isQueued))
    }))

  it.effect("begins from nothing when the session loads again", () =>
    Effect.gen(function*() {
      const queued = makeQueuedRecords()
      addAll(yield* forSession(queued), records)
      const again = yield* forSession(queued)
      assert.strictEqual(queued.size, 0)
      addAll(again, records)
      assert.deepStrictEqual(recordsOf(queued), records.filter(isQueued))
    }))

  it.effect("adds nothing that is damaged, of a later format or under another key", () =>
    Effect.gen(function*() {
      const queued = makeQueuedRecords()
      const collector = yield* forSession(queued)
      const record = records.find(isQueued)!
      const bytes = encode(record)
      const damaged = Uint8Array.from(bytes, (byte, index) => index === 20 ? byte ^ 1 : byte)
      assert.strictEqual(collector.add(StoreRecord.keyOf(record), damaged)?._tag, "Damaged")
      assert.strictEqual(collector.add(StoreRecord.outboundKey(77), bytes)?._tag, "Damaged")
      assert.strictEqual(collector.add(StoreRecord.keyOf(record), new Uint8Array(3))?._tag, "Damaged")
      const later = new Uint8Array([3, 1, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0])
      new DataView(later.buffer).setUint32(10, reference(new TextEncoder().encode("key"), later.subarray(0, 10)))
      assert.deepStrictEqual(collector.add("key", later), { _tag: "NewerFormat", format: 3 })
      assert.deepStrictEqual([collector.records.length, queued.size], [0, 0])
    }))

  it.effect("keeps no bytes of the store, which may use them again", () =>
    Effect.gen(function*() {
      const queued = makeQueuedRecords()
      const collector = yield* forSession(queued)
      const record = records.find(isQueued)!
      const bytes = encode(record)
      collector.add(StoreRecord.keyOf(record), bytes)
      bytes.fill(0)
      assert.deepStrictEqual(recordsOf(queued), [record])
    }))
})
