import { SessionStore, StoreRecord } from "@effect-mqttx/core"
import { SessionStoreSuite } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Scope } from "effect"

const outbound = (sequence: number): StoreRecord.OutboundRecord => ({
  _tag: "Outbound",
  sequence,
  state: "queued",
  packetIdentifier: 0,
  topic: "a/b",
  payload: new Uint8Array([120]),
  qos: 1,
  retain: false,
  properties: {},
  acceptedAt: 0,
  expiresAt: undefined
})

describe("StoreRecord", () => {
  it("gives outbound records keys that sort as their sequence does", () => {
    const sequences = [1, 9, 10, 99, 100, 2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER]
    const keys = sequences.map(StoreRecord.outboundKey)
    assert.deepStrictEqual(keys.toSorted(), keys)
  })

  it("gives every record a key of its own", () => {
    const records: ReadonlyArray<StoreRecord.StoreRecord> = [
      outbound(7),
      { _tag: "Inbound", packetIdentifier: 7, acknowledged: false, use: "life.1", finished: [] },
      {
        _tag: "Subscription",
        granted: true,
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
  for (const { name, run } of SessionStoreSuite.cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const scope = yield* Scope.fork(yield* Effect.scope)
        const context = yield* Scope.provide(Layer.build(Layer.fresh(SessionStore.layerMemory)), scope)
        yield* run({ ...Context.get(context, SessionStore.SessionStore), close: Scope.close(scope, Exit.void) })
      }))
  }

  it.effect("keeps records as long as its layer exists, and says that they survive no more", () =>
    Effect.gen(function*() {
      const store = yield* SessionStore.SessionStore
      assert.strictEqual((yield* store.open("plant")).durability, "session")
    }).pipe(Effect.provide(SessionStore.layerMemory)))
})
