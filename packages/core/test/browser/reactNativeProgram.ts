/**
 * What `reactNative.test.ts` bundles for React Native: a session that publishes, and tells the outcomes.
 */
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import { Effect } from "effect"

declare const server: string
declare const done: (outcomes: unknown) => void

const program = Effect.gen(function*() {
  const session = yield* MqttSession.make({ name: "phone", servers: server, clientId: "phone" })
  const { reasonCode } = yield* session.publish("a", "from a phone", { qos: 1 })
  const tcp = yield* MqttSession.make({ name: "tcp", servers: "mqtt://localhost" })
  const { reason } = yield* Effect.flip(tcp.awaitReady)
  return { reasonCode, refused: reason._tag }
})

Effect.runPromise(Effect.scoped(program)).then(done, (error) => done(String(error)))
