/**
 * Enhanced authentication of MQTT 5: `tsc -b examples && node examples/dist/authentication.js`.
 *
 * The session proves by SCRAM that it knows the password, without sending it, and accepts only a server that proves
 * the same. Later it authenticates again on the open connection, while messages flow. A session with a wrong password
 * gets a typed error. The broker is embedded and checks the proofs as the specification of SCRAM says (RFC 5802).
 */
import { MqttSession } from "@effect-mqttx/core"
import { Scram } from "@effect-mqttx/credentials"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Redacted } from "effect"
import { scramServer } from "./authentication/scramServer.ts"

const main = Effect.gen(function*() {
  const broker = yield* ScriptedBroker.make({ authenticateEnhanced: scramServer("pencil") })

  const session = yield* MqttSession.make({
    name: "plant",
    servers: [broker.url],
    authentication: Scram.sha256({ username: "plant", password: Redacted.make("pencil") })
  })
  yield* session.awaitReady
  yield* Effect.log("connected: each side knows that the other has the password")

  yield* Effect.all([
    session.refreshCredentials,
    Effect.forEach([1, 2, 3], (n) => session.publish("readings", `${n}`, { qos: 1 }))
  ], { concurrency: "unbounded" })
  const connects = broker.received("Connect").length
  yield* Effect.log(`authenticated again on the same connection (${connects} CONNECT), and published meanwhile`)
  if (connects !== 1 || broker.published.length !== 3) yield* Effect.die("the renewal cost a connection or a message")

  const stranger = yield* MqttSession.make({
    name: "stranger",
    servers: [broker.url],
    authentication: Scram.sha256({ username: "plant", password: Redacted.make("pen") })
  })
  const { reason } = yield* Effect.flip(stranger.awaitReady)
  yield* Effect.log(`a wrong password: ${reason._tag}, ${reason.message}`)
  if (reason._tag !== "NotAuthorized") yield* Effect.die("the wrong password was accepted")
}).pipe(Effect.timeout("30 seconds"), Effect.scoped)

NodeRuntime.runMain(main)
