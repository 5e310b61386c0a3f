/**
 * The first program that a reader meets does what it says, every time: in the README, and in the docstring of
 * `MqttSession`.
 */
import { ScriptedBroker } from "@effect-mqttx/testing"
import * as AedesBroker from "@effect-mqttx/testing/AedesBroker"
import { assert, describe, it } from "@effect/vitest"
import { Console, Effect, type Layer } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { examplesOf } from "./support/examples.ts"
import { fencesOf } from "./support/fences.ts"
import { root } from "./support/repository.ts"

const read = (path: string): string => Fs.readFileSync(Path.join(root, path), "utf8")

const first = fencesOf("README.md", read("README.md"))[0]!.code

const docstring = examplesOf("MqttSession.ts", read("packages/core/src/MqttSession.ts"))[0]!.code

const directory = Path.join(root, "build/readme")

/** A program as a module whose promise one can await, and whose log goes to lines. */
const load = (name: string, code: string, url: string) =>
  Effect.promise(async () => {
    const edited = code
      .replace("mqtt://localhost:1883", url)
      .replace("program.pipe(\n  Effect.scoped,", "export const run = (lines) => program.pipe(\n  Effect.scoped,")
      .replace("Effect.runPromise", "lines")
    assert.include(edited, url)
    assert.include(edited, "export const run")
    Fs.mkdirSync(directory, { recursive: true })
    const file = Path.join(directory, `${name}.ts`)
    Fs.writeFileSync(file, `// @ts-nocheck\n${edited}`)
    return await import(/* @vite-ignore */ file) as {
      readonly run: <A>(end: (program: Effect.Effect<void>) => A) => A
    }
  })

const once = (program: { readonly run: <A>(end: (program: Effect.Effect<void>) => A) => A }) =>
  Effect.gen(function*() {
    const lines: Array<string> = []
    const console: Console.Console = { ...globalThis.console, log: (...words) => lines.push(words.join(" ")) }
    yield* program.run((effect) => Effect.provideService(effect, Console.Console, console))
    return lines
  })

describe.each([["README", first], ["docstring", docstring]])("the first program of the %s", (name, code) => {
  it.live.each(
    [
      ["an embedded aedes", AedesBroker.layer(), AedesBroker.AedesBroker],
      ["the scripted broker", ScriptedBroker.layer(), ScriptedBroker.ScriptedBroker]
    ] as const
  )(
    "prints its message, 96 times of 96 and eight at a time, with %s",
    ([broker, layer, tag]) =>
      Effect.gen(function*() {
        const { url } = yield* tag as typeof AedesBroker.AedesBroker
        const program = yield* load(`${name}-${broker.replaceAll(" ", "-")}`, code, url)
        const runs = yield* Effect.forEach(Array.from({ length: 96 }), () => once(program), { concurrency: 8 })
        for (const lines of runs) {
          assert.lengthOf(lines, 1)
          assert.include(lines[0], "sensors/room1/temperature 23.5")
        }
      }).pipe(Effect.provide(layer as Layer.Layer<AedesBroker.AedesBroker>)),
    180_000
  )
})
