/**
 * The first programs of docs/guides/from-mqttjs.md and docs/guides/from-go-mqttx.md, run as they stand there.
 */
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fencesOf } from "./support/fences.ts"
import { root } from "./support/repository.ts"
import { bundle, start } from "./support/walkthrough.ts"

const directory = Path.join(root, "build/migration")

describe("the shortest program", () => {
  it.live.each([["from-mqttjs", "mqtt://localhost:1883"], ["from-go-mqttx", "localhost:1883"]])(
    "of docs/guides/%s.md prints its message",
    ([page, address]) =>
      Effect.gen(function*() {
        const path = `docs/guides/${page}.md`
        const fence = fencesOf(path, Fs.readFileSync(Path.join(root, path), "utf8")).find(({ code }) =>
          code.includes("Effect.runPromise")
        )
        const broker = yield* ScriptedBroker.make()
        assert.include(fence?.code, address)
        Fs.mkdirSync(directory, { recursive: true })
        Fs.writeFileSync(Path.join(directory, `${page}.ts`), fence!.code.replaceAll(address, broker.url))
        const program = yield* start(directory, process.execPath, [yield* bundle(directory, `${page}.ts`)])
        yield* program.prints("sensors/room1/temperature 23.5")
        yield* broker.awaitPacket({ direction: "received", packet: "Puback" })
      }).pipe(Effect.scoped),
    180_000
  )
})
