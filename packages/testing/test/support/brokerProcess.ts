// A scripted broker with a journal in a file, in a process of its own: prints its port, and runs until it is killed.
import * as FileJournal from "@effect-mqttx/testing/FileJournal"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { Effect } from "effect"

const program = Effect.gen(function*() {
  const journal = yield* FileJournal.make(process.argv[2]!)
  const broker = yield* ScriptedBroker.make({ journal, record: false })
  process.stdout.write(`${broker.ports.tcp}\n`)
  return yield* Effect.never
})

Effect.runFork(Effect.scoped(program))
