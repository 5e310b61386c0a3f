/**
 * Records of outbound messages for tests of stores, and what these read of the answers. Tests of stores that several
 * processes share use it.
 */
import { type MqttError, type SessionStore, StoreRecord } from "@effect-mqttx/core"
import { assert } from "@effect/vitest"
import { Effect } from "effect"

export const outbound = (sequence: number, rest?: Partial<StoreRecord.OutboundRecord>): StoreRecord.OutboundRecord => ({
  _tag: "Outbound",
  sequence,
  state: "queued",
  packetIdentifier: 0,
  topic: "a/b",
  payload: new TextEncoder().encode(`message ${sequence}`),
  qos: 1,
  retain: false,
  properties: {},
  acceptedAt: 0,
  expiresAt: undefined,
  ...rest
})

export const put = (record: StoreRecord.StoreRecord): StoreRecord.StoreChange => ({ _tag: "Put", record })
export const drop = (sequence: number): StoreRecord.StoreChange => ({
  _tag: "Delete",
  key: StoreRecord.outboundKey(sequence)
})

export const sequencesOf = (loaded: SessionStore.LoadedRecords): ReadonlyArray<number> =>
  loaded.records.map((record) => record._tag === "Outbound" ? record.sequence : -1)

/** The kind of the failure that an effect must end with. */
export const kindOf = <A, R>(
  effect: Effect.Effect<A, MqttError.MqttError, R>
): Effect.Effect<MqttError.StorageFailed["kind"], A, R> =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.strictEqual(error.reason._tag, "StorageFailed")
    return (error.reason as MqttError.StorageFailed).kind
  })
