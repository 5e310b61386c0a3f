/**
 * A program that must not lose a reading: it knows sessions, and nothing of networks, brokers or stores.
 */
import { MqttSession } from "@effect-mqttx/core"
import { Effect } from "effect"

/** Succeeds when every reading is accepted: safe in the store, whether there is a network or not. */
export const record = Effect.fnUntraced(function*(readings: ReadonlyArray<number>) {
  const session = yield* MqttSession.MqttSession
  yield* Effect.forEach(
    readings,
    (reading) => session.enqueue("meter/energy", String(reading), { qos: 1 }),
    { discard: true }
  )
  return (yield* session.status).storage
})

/** Succeeds when the server has everything that was ever recorded. */
export const deliver = Effect.gen(function*() {
  const session = yield* MqttSession.MqttSession
  yield* session.awaitReady
  // A later message of the topic is acknowledged after all earlier ones.
  yield* session.publish("meter/energy", "end of report", { qos: 1 })
})
