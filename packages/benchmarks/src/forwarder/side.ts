/**
 * The forwarder of the benchmark, in a process of its own. Arguments: the two ports, the protocol version, the quality
 * of service, and `maxInFlight`.
 */
import { Forwarder, SessionManager } from "@effect-mqttx/core"
import { Effect } from "effect"

const [source, target, version, qos, maxInFlight] = process.argv.slice(2).map(Number) as [
  number,
  number,
  4 | 5,
  0 | 1,
  number
]

const session = (name: string, port: number) => ({
  name,
  servers: [`mqtt://127.0.0.1:${port}`],
  protocolVersion: version
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
        dropped: metrics.dropped.overflow,
        cpu: user + system
      })
    }))
  })
  return yield* Effect.never
})

Effect.runFork(program.pipe(
  Effect.scoped,
  Effect.provide(SessionManager.layer({ sessions: [session("source", source), session("target", target)] }))
))
process.on("disconnect", () => process.exit(0))
