/**
 * Both servers are stopped in turns while messages flow: mosquitto in an orderly way, with its persistence, and the
 * scripted broker by a kill, with its journal. FORWARDER_CHAOS_SECONDS=60 runs it for a minute, with a stop every five
 * seconds.
 */
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import * as Journal from "@effect-mqttx/testing/Journal"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import { makeMemory } from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { assertSum, netOf, until } from "../../../../test/support/forwarders.ts"
import { impatient } from "../../../../test/support/managers.ts"
import { realServer } from "../../../../test/support/servers.ts"
import { timed } from "../../../../test/support/within.ts"
import { Ledger } from "../session/support.ts"

const seconds = Number(process.env["FORWARDER_CHAOS_SECONDS"] ?? 10)
const pause = seconds >= 60 ? 5000 : 2000
const topics = ["t/1", "t/2", "t/3", "t/4"]

describe.skipIf(realServer("mosquitto") === undefined)("Forwarder: servers that stop in turns", () => {
  it.live(
    "loses nothing, keeps the order of each topic, and has no backlog ten seconds after the last restart",
    () =>
      Effect.gen(function*() {
        const source = yield* MosquittoBroker.make({ persistence: true })
        const target = yield* makeMemory({ record: true, journal: Journal.makeMemory() })
        const net = yield* netOf({ b: target })
        // mosquitto keeps sessions over a restart only if they were not begun clean.
        const atSource = {
          servers: [source.url],
          reconnect: impatient,
          drainTimeout: "1 second"
        }
        yield* net.manager.addDurable({ name: "a", ...atSource })
        yield* net.manager.addDurable({ name: "publisher", ...atSource, queue: { messages: 1_000_000 } })
        yield* net.ready("b")
        yield* net.manager.awaitAllReady()
        const forwarder = yield* net.forward({ filters: ["t/#"] })
        yield* forwarder.active

        const publisher = yield* net.manager.get("publisher")
        let numbers = 0
        const flow = { isOn: true }
        yield* Effect.forkScoped(Effect.gen(function*() {
          while (flow.isOn) {
            numbers++
            for (const topic of topics) yield* publisher.enqueue(topic, String(numbers), { qos: 1 })
            yield* Effect.sleep("2 millis")
            assertSum(yield* forwarder.metrics)
          }
        }))
        const rounds = Math.max(2, Math.round(seconds * 1000 / pause))
        for (let round = 0; round < rounds; round++) {
          yield* Effect.sleep(pause - 500)
          if (round % 2 === 0) {
            yield* source.stop
            yield* Effect.sleep("500 millis")
            yield* source.start
          } else {
            yield* target.crash
            yield* Effect.sleep("500 millis")
            yield* target.start
          }
        }
        flow.isOn = false
        const ledger = new Ledger()
        const note = Effect.gen(function*() {
          let noted = 0
          while (ledger.missing(topics, numbers).length > 0) {
            for (const { payload, topic } of target.published.slice(noted)) {
              ledger.note(topic, Number(new TextDecoder().decode(payload)))
              noted++
            }
            yield* Effect.sleep("20 millis")
          }
        })
        // Without its end the assertions below say what is missing.
        const [backlog] = yield* timed(Effect.timeoutOption(note, "60 seconds"))
        const metrics = yield* until(forwarder, ({ inFlight }) => inFlight === 0)
        assertSum(metrics)
        assert.deepStrictEqual(ledger.missing(topics, numbers), [])
        assert.deepStrictEqual(ledger.misordered, [])
        assert.isBelow(backlog, 10_000)
        yield* Effect.logWarning(
          `${rounds} stops: ${numbers * topics.length} published, 0 lost, ${ledger.duplicates} duplicates, ` +
            `order kept, backlog gone after ${backlog} ms; ${
              JSON.stringify({ ...metrics, lastError: String(metrics.lastError) })
            }`
        )
      }).pipe(Effect.provide(SessionStore.layerMemory)),
    seconds * 1000 + 90_000
  )
})
