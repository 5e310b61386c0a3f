/**
 * The attacked process: one session with its default options. `node victim.js TARGET`
 */
import { MqttSession } from "@effect-mqttx/core"
import { Effect, Stream } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { type Target, topic, type VictimReply } from "./contract.ts"

const { behaviour, port, protocolVersion, qos, transport } = JSON.parse(process.argv[2]!) as Target

const reply = (message: VictimReply): void => {
  process.send!(message)
}

/** Bytes: the highest resident memory since it was reset; since the process began where the system cannot reset it. */
const highest = (): number => {
  try {
    const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8"))![1]
    return Number(kibibytes) * 1024
  } catch {
    return process.resourceUsage().maxRSS * 1024
  }
}

const resetHighest = (): void => {
  try {
    writeFileSync("/proc/self/clear_refs", "5")
  } catch {
    // Then the figure includes the start of the process.
  }
}

const resolution = 10
const delay = monitorEventLoopDelay({ resolution })

const main = Effect.gen(function*() {
  const session = yield* MqttSession.make({
    name: "attacked",
    servers: [`${transport === "ws" ? "ws" : "mqtt"}://127.0.0.1:${port}`],
    protocolVersion,
    reconnect: { initialDelay: "100 millis", maxDelay: "100 millis" }
  })
  let connects = 0
  yield* Effect.forkScoped(
    Stream.runForEach(session.events, (event) =>
      Effect.sync(() => {
        if (event._tag === "Connecting") connects++
      })),
    { startImmediately: true }
  )
  yield* Effect.sleep(200)
  yield* Effect.sync(() => {
    gc!()
    resetHighest()
    delay.enable()
    reply({ _tag: "Ready", resident: process.memoryUsage.rss() })
  })
  switch (behaviour) {
    case "stalledHandler":
      yield* Effect.forkScoped(session.consume(topic, () => Effect.never, { qos }))
      break
    case "stalledStream":
      yield* Effect.forkScoped(Stream.runForEach(session.subscribe(topic, { qos }), () => Effect.never))
      break
    case "publisher":
      yield* Effect.forkScoped(
        Effect.forEach(Array.from({ length: 1000 }), () => session.publish("out", "x", { qos: 2 }), {
          concurrency: "unbounded",
          discard: true
        })
      )
      break
    case "connecting":
      break
  }
  const sample = Effect.gen(function*() {
    const status = yield* session.status
    const { messagesReceived } = yield* session.metrics
    reply({
      _tag: "Sample",
      peak: highest(),
      stall: Math.max(0, delay.max / 1e6 - resolution),
      state: status.state,
      received: messagesReceived,
      connects
    })
  })
  yield* Effect.callback<never>(() => {
    process.on("message", () => Effect.runFork(sample))
  })
})

process.on("disconnect", () => process.exit(0))
Effect.runFork(Effect.scoped(main))
