/**
 * The forwarder of the bench, in a process of its own.
 */
import { Forwarder, SessionManager } from "@effect-mqttx/core"
import { FileStore } from "@effect-mqttx/store-file"
import { Effect, Layer } from "effect"
import type { ForwarderRequest } from "./contract.ts"

const { directory, maxInFlight, protocolVersion, qos, source, target } = JSON.parse(
  process.argv[2]!
) as ForwarderRequest

const session = (name: string, port: number) => ({
  name,
  servers: [`mqtt://127.0.0.1:${port}`],
  protocolVersion
})

const program = Effect.gen(function*() {
  const manager = yield* SessionManager.SessionManager
  const forwarder = yield* Forwarder.make({
    name: "benchmark",
    sources: ["source"],
    filters: ["plant/#"],
    target: "target",
    subscribeQoS: qos,
    maxInFlight
  })
  yield* manager.awaitAllReady()
  yield* forwarder.active
  process.send!({ _tag: "Ready" })
  process.on("message", () => {
    const { system, user } = process.cpuUsage()
    Effect.runFork(Effect.map(forwarder.metrics, (metrics) => {
      process.send!({
        _tag: "Sample",
        forwarded: metrics.forwarded,
        cpu: user + system
      })
    }))
  })
  return yield* Effect.never
})

const sessions = [session("source", source), session("target", target)]
const Sessions = directory === undefined
  ? SessionManager.layer({ sessions })
  : SessionManager.layerDurable({ sessions }).pipe(Layer.provide(FileStore.layer({ directory })))

Effect.runFork(program.pipe(Effect.scoped, Effect.provide(Sessions)))
process.on("disconnect", () => process.exit(0))
