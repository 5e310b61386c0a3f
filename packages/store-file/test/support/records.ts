import { StoreRecord, StoreRecordCodec } from "@effect-mqttx/core"

const textEncoder = new TextEncoder()

export const outbound = (sequence: number, payload: string | Uint8Array = `payload ${sequence}`) =>
  ({
    _tag: "Outbound",
    sequence,
    state: "queued",
    packetIdentifier: 0,
    topic: "a/b",
    payload: typeof payload === "string" ? textEncoder.encode(payload) : payload,
    qos: 1,
    retain: false,
    properties: {},
    acceptedAt: 1_700_000_000_000,
    expiresAt: undefined
  }) satisfies StoreRecord.StoreRecord

export const put = (record: StoreRecord.StoreRecord): StoreRecord.StoreChange => ({ _tag: "Put", record })

export const remove = (sequence: number): StoreRecord.StoreChange => ({
  _tag: "Delete",
  key: StoreRecord.outboundKey(sequence)
})

/** Two records are the same when their bytes are. */
export const same = (a: StoreRecord.StoreRecord, b: StoreRecord.StoreRecord): boolean =>
  Buffer.compare(StoreRecordCodec.encode(a), StoreRecordCodec.encode(b)) === 0

export const sequences = (records: ReadonlyArray<StoreRecord.StoreRecord>): ReadonlyArray<number> =>
  records.flatMap((record) => record._tag === "Outbound" ? [record.sequence] : [])
