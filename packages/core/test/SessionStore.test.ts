import { SessionStore, StoreRecord } from "@effect-mqttx/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Scope } from "effect"

const outbound = (sequence: number, payload = "x"): StoreRecord.OutboundRecord => ({
  _tag: "Outbound",
  sequence,
  state: "queued",
  packetIdentifier: 0,
  topic: "a/b",
  payload: new TextEncoder().encode(payload),
  qos: 1,
  retain: false,
  properties: {},
  acceptedAt: 0,
  expiresAt: undefined
})
const put = (record: StoreRecord.StoreRecord): StoreRecord.StoreChange => ({ _tag: "Put", record })

describe("StoreRecord", () => {
  it("gives outbound records keys that sort as their sequence does", () => {
    const sequences = [1, 9, 10, 99, 100, 2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER]
    const keys = sequences.map(StoreRecord.outboundKey)
    assert.deepStrictEqual(keys.toSorted(), keys)
  })

  it("gives every record a key of its own", () => {
    const records: ReadonlyArray<StoreRecord.StoreRecord> = [
      outbound(7),
      { _tag: "Inbound", packetIdentifier: 7, acknowledged: false },
      {
        _tag: "Subscription",
        filter: "7",
        qos: 1,
        noLocal: false,
        retainAsPublished: false,
        subscriptionIdentifier: 0
      },
      {
        _tag: "Identity",
        format: 1,
        protocolVersion: 5,
        clientId: "7",
        incarnation: "7",
        sessionExpiryInterval: undefined
      }
    ]
    assert.strictEqual(new Set(records.map(StoreRecord.keyOf)).size, records.length)
  })
})

describe("SessionStore in memory", () => {
  it.effect("keeps what was committed after the session has ended, outbound records in their order", () =>
    Effect.gen(function*() {
      const store = yield* SessionStore.SessionStore
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* store.open("plant")
        assert.deepStrictEqual((yield* handle.load).records, [])
        yield* handle.commit([put(outbound(10)), put(outbound(9)), put(outbound(11))])
        yield* handle.commit([put(outbound(9, "y")), { _tag: "Delete", key: StoreRecord.outboundKey(11) }])
      }))
      const handle = yield* store.open("plant")
      assert.deepStrictEqual((yield* handle.load).records, [outbound(9, "y"), outbound(10)])
      yield* handle.clear
      assert.deepStrictEqual((yield* handle.load).records, [])
    }).pipe(Effect.provide(SessionStore.layerMemory)))

  it.effect("has one owner at a time for each session", () =>
    Effect.gen(function*() {
      const store = yield* SessionStore.SessionStore
      const scope = yield* Scope.make()
      yield* store.open("plant").pipe(Scope.provide(scope))
      const error = yield* Effect.flip(store.open("plant"))
      assert.strictEqual(error.reason._tag, "StorageFailed")
      assert.strictEqual(error.session, "plant")
      yield* store.open("cloud")
      yield* Scope.close(scope, yield* Effect.exit(Effect.void))
      yield* store.open("plant")
    }).pipe(Effect.provide(SessionStore.layerMemory)))

  it.effect("keeps sessions apart", () =>
    Effect.gen(function*() {
      const store = yield* SessionStore.SessionStore
      const plant = yield* store.open("plant")
      const cloud = yield* store.open("cloud")
      yield* plant.commit([put(outbound(1))])
      assert.deepStrictEqual((yield* cloud.load).records, [])
    }).pipe(Effect.provide(SessionStore.layerMemory)))
})
