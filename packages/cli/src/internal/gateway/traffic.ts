/**
 * Watches the traffic of a gateway, whose memory stays small until there is some. `run.ts` calls it.
 */
import type * as ForwarderManager from "@effect-mqttx/core/ForwarderManager"
import * as Effect from "effect/Effect"
import { growHeap } from "../heap.ts"

const seconds = 5
const messagesPerSecond = 50

/** Lets the heap grow once there are more messages than a gateway at rest has. */
export const growWithTraffic = (
  { allMetrics }: ForwarderManager.ForwarderManager["Service"]
): Effect.Effect<void> => {
  const received = Effect.map(
    allMetrics,
    (all) => Array.from(all.values()).reduce((sum, each) => sum + each.received, 0)
  )
  return Effect.gen(function*() {
    let before = yield* received
    while (true) {
      yield* Effect.sleep(`${seconds} seconds`)
      const now = yield* received
      if (now - before > seconds * messagesPerSecond) return growHeap()
      before = now
    }
  })
}
