/**
 * Exports the figures of many idle sessions in the text format of Prometheus, in a process of its own.
 */
import { SessionManager } from "@effect-mqttx/core"
import * as MqttMetrics from "@effect-mqttx/metrics/MqttMetrics"
import { Effect, Scope } from "effect"
import { answerWith } from "../harness/child.ts"
import { median } from "../harness/median.ts"
import type { ScrapeRequest, ScrapeResult } from "./contract.ts"

/** Exports that are measured; the first ones make the series and compile the code. */
const warmUps = 2
const exports = 5

const measure = ({ perSessionSeries, port, sessions }: ScrapeRequest): Promise<ScrapeResult> => {
  const program = Effect.gen(function*() {
    const manager = yield* SessionManager.make()
    const names = Array.from({ length: sessions }, (_, index) => `idle-${index}`)
    yield* Effect.forEach(
      names,
      (name) => Effect.andThen(manager.add({ name, servers: [`mqtt://127.0.0.1:${port}`] }), manager.awaitReady(name)),
      { concurrency: 100, discard: true }
    )
    const { prometheus } = yield* MqttMetrics.make({ manager }, { perSessionSeries })
    const millis: Array<number> = []
    let bytes = 0
    for (let run = 0; run < warmUps + exports; run++) {
      const begin = performance.now()
      bytes = (yield* prometheus).length
      if (run >= warmUps) millis.push(performance.now() - begin)
    }
    return { millis: median(millis), bytes }
  })
  return Effect.runPromise(Scope.provide(program, Scope.makeUnsafe()))
}

answerWith(measure)
