/**
 * The embedded broker in a process of its own, which keeps no record of packets.
 */
import { ScriptedBroker } from "@effect-mqttx/testing"
import { Effect } from "effect"

process.on("disconnect", () => process.exit(0))
Effect.runFork(Effect.scoped(
  Effect.gen(function*() {
    const broker = yield* ScriptedBroker.make({ record: false })
    process.send!({ _tag: "Listening", port: broker.ports.tcp })
    return yield* Effect.never
  })
))
