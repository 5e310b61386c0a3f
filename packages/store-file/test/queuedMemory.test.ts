/**
 * What a session keeps in memory of the queued messages that its store has.
 */
import { ConnectionRefused, MqttError } from "@effect-mqttx/core/MqttError"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import { SessionStore } from "@effect-mqttx/core/SessionStore"
import { Transport } from "@effect-mqttx/core/Transport"
import { FileStore } from "@effect-mqttx/store-file"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as process from "node:process"
import * as v8 from "node:v8"
import * as vm from "node:vm"
import { temporaryDirectory } from "./support/directories.ts"
import { outbound } from "./support/records.ts"

v8.setFlagsFromString("--expose-gc")
const collect = vm.runInNewContext("gc") as () => void

const held = (): number => {
  for (let i = 0; i < 3; i++) collect()
  const { arrayBuffers, heapUsed } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const nowhere: Transport = {
  open: () => Effect.fail(new MqttError({ reason: new ConnectionRefused({ code: "ECONNREFUSED" }) }))
}

const count = 50_000
const portion = 5000

describe("queued messages of a store", () => {
  it.live("take less than 250 bytes each in a session, with 64 bytes of payload", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const layer = FileStore.layer({ directory, durability: "os" })
      yield* Effect.scoped(Effect.gen(function*() {
        const handle = yield* (yield* SessionStore).open("plant")
        for (let first = 1; first <= count; first += portion) {
          yield* handle.commit(Array.from({ length: portion }, (_, index) => ({
            _tag: "Put",
            record: { ...outbound(first + index), topic: "meter/energy", payload: new Uint8Array(64) }
          })))
        }
      })).pipe(Effect.provide(layer))
      const store = Context.get(yield* Layer.build(layer), SessionStore)
      const before = held()
      const session = yield* MqttSession.makeDurable({
        name: "plant",
        servers: "nowhere.invalid",
        drainTimeout: "10 millis",
        queue: { messages: 1_000_000, bytes: 1_000_000_000 }
      }).pipe(Effect.provideService(SessionStore, store), Effect.provideService(Transport, nowhere))
      assert.strictEqual((yield* session.metrics).queuedMessages, count)
      const each = (held() - before) / count
      assert.isBelow(each, 250)
    }), 60_000)
})
