/**
 * The origin of a published message: stored with the message, and deleted with it when it is taken back.
 */
import { MqttSession, SessionStore, StoreRecord } from "@effect-mqttx/core"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Result } from "effect"

const origin: StoreRecord.OriginKey = { forwarder: "outbox", session: "7", packetIdentifier: 1, use: "7" }
const key = StoreRecord.originKey(origin)

/** A store that holds each commit until it is told, and the tags and keys of the changes. */
const observed = Effect.gen(function*() {
  const commits: Array<ReadonlyArray<string>> = []
  const { open } = yield* SessionStore.SessionStore
  const store: SessionStore.SessionStore["Service"] = {
    open: (session) =>
      Effect.map(open(session), (handle) => ({
        ...handle,
        commit: (changes) =>
          Effect.suspend(() => {
            commits.push(
              changes.map((change) =>
                `${change._tag} ${change._tag === "Put" ? StoreRecord.keyOf(change.record) : change.key}`
              )
            )
            return handle.commit(changes)
          })
      }))
  }
  return { commits, store }
})

describe("the origin of a message", () => {
  it.live("is in the commit that stores the message, and its deletion in the one that takes it back", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.ScriptedBroker
      const { commits, store } = yield* observed
      const session = yield* Effect.provideService(
        MqttSession.makeDurable({ name: "plant", servers: [ScriptedBroker.memoryUrl], reconnect: { initialDelay: 1 } }),
        SessionStore.SessionStore,
        store
      )
      yield* session.awaitReady
      yield* broker.refuseNetwork
      yield* broker.cut(1)
      yield* Effect.repeat(session.status, { until: ({ state }) => state !== "connected" })
      yield* session.enqueue("a", "kept", { qos: 1, origin })
      const last = commits.at(-1)!
      assert.include(last, `Put ${key}`)
      assert.isTrue(last.some((change) => change.startsWith("Put outbound/")))
      const publishing = yield* Effect.forkChild(
        session.publish("a", "withdrawn", { qos: 1, origin }),
        { startImmediately: true }
      )
      yield* Effect.repeat(Effect.sync(() => commits.length), { until: (count) => count > commits.indexOf(last) + 1 })
      publishing.interruptUnsafe()
      yield* Effect.repeat(Effect.sync(() => commits.at(-1)!), {
        until: (changes) =>
          changes.includes(`Delete ${key}`) && changes.some((change) => change.startsWith("Delete outbound/"))
      })
    }).pipe(Effect.scoped, Effect.provide([ScriptedBroker.layerMemory(), SessionStore.layerMemory])))

  it.live("that is invalid is refused", () =>
    Effect.gen(function*() {
      const session = yield* Effect.provide(
        MqttSession.make({ name: "plant", servers: [ScriptedBroker.memoryUrl] }),
        ScriptedBroker.layerMemory()
      )
      for (const wrong of [null, "7", {}, { ...origin, packetIdentifier: -1 }, { ...origin, use: 7 }]) {
        const exit = yield* Effect.exit(session.enqueue("a", "b", { origin: wrong as never }))
        assert.isTrue(Exit.isFailure(exit))
      }
    }).pipe(Effect.scoped))
})

describe("a message that is checked", () => {
  it("is what would be published, or the reason why not", () => {
    assert.deepStrictEqual(
      Result.getOrThrow(
        MqttSession.checkPublish("a/b", "é", { qos: 1, expiresAfter: "2 seconds", properties: { contentType: "t" } })
      ),
      {
        topic: "a/b",
        payload: Uint8Array.of(0xc3, 0xa9),
        qos: 1,
        retain: false,
        properties: { contentType: "t" },
        expiresAfter: 2000
      }
    )
    const refusal = (...given: Parameters<typeof MqttSession.checkPublish>) => {
      const result = MqttSession.checkPublish(...given)
      return Result.isFailure(result) ? result.failure._tag : undefined
    }
    assert.strictEqual(refusal("a/#", ""), "InvalidTopic")
    assert.strictEqual(refusal("a", 5 as never), "InvalidPayload")
    assert.strictEqual(refusal("a", "", { qos: 3 as never }), "InvalidOptions")
    assert.strictEqual(refusal("a".repeat(10), new Uint8Array(268_435_456)), "PacketTooLarge")
  })
})
