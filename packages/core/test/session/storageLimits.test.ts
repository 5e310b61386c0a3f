/**
 * What no packet can hold is in no store either: it is refused when it is published, with or without a connection.
 */
import { type Properties } from "@effect-mqttx/core"
import { SessionStore } from "@effect-mqttx/core/SessionStore"
import * as SessionStoreKvs from "@effect-mqttx/store-kvs/SessionStoreKvs"
import { Fault } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { KeyValueStore } from "effect/persistence"
import { makeBroker, makeSession, reasonOf } from "./support.ts"

/** The fixed header, a topic of one byte, the packet identifier and no properties leave so much for the payload. */
const largest = 268_435_455 - 3 - 2 - 1

const storing = Effect.provide(SessionStoreKvs.make(), Layer.fresh(KeyValueStore.layerMemory))

describe("a message that no packet can hold", () => {
  for (const protocolVersion of [4, 5] as const) {
    it.live(
      `is refused without a connection, and nothing behind it waits, version ${protocolVersion}`,
      () =>
        Effect.gen(function*() {
          const broker = yield* makeBroker("memory")
          yield* broker.inject(Fault.discard({ direction: "received", packet: "Connect" }))
          const session = yield* Effect.provideService(
            makeSession(broker, { name: "plant", persistence: "durable", protocolVersion, drainTimeout: "50 millis" }),
            SessionStore,
            yield* storing
          )
          const bytes = new Uint8Array(300_000_000)
          for (const size of [largest + 1, bytes.length]) {
            const reason = yield* reasonOf(session.enqueue("a", bytes.subarray(0, size), { qos: 1 }))
            assert.strictEqual(reason._tag, "PacketTooLarge")
            assert.strictEqual(
              (yield* reasonOf(session.publish("a", bytes.subarray(0, size), { qos: 1 })))._tag,
              "PacketTooLarge"
            )
          }
          yield* session.enqueue("a", "small", { qos: 1 })
          assert.isUndefined((yield* session.status).storage?.failure)
        }),
      180_000
    )
  }

  it.live("is one by its properties as well", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      yield* broker.inject(Fault.discard({ direction: "received", packet: "Connect" }))
      const session = yield* Effect.provideService(
        makeSession(broker, { name: "plant", persistence: "durable", drainTimeout: "50 millis" }),
        SessionStore,
        yield* storing
      )
      const text = "x".repeat(65_535)
      const properties: Properties.MessageProperties = {
        userProperties: Array.from({ length: 2050 }, () => [text, text] as const)
      }
      assert.strictEqual((yield* reasonOf(session.enqueue("a", "", { qos: 1, properties })))._tag, "PacketTooLarge")
      yield* session.enqueue("a", "small", { qos: 1 })
    }), 180_000)
})
