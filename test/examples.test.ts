/**
 * The examples of docstrings: every one compiles, and those that end by themselves run.
 *
 * An example runs when it exports an effect `program`, or compares a value (`expression // => value`). Programs may
 * need the services that an application has: here these are a session, a manager with the sessions `plant-a`,
 * `plant-b` and `storage`, their forwarders, their metrics and a store, all on a scripted broker in memory.
 */
import {
  ForwarderManager,
  MqttSession,
  SessionManager,
  type SessionOptions,
  SessionStore,
  Transport
} from "@effect-mqttx/core"
import { MqttMetrics } from "@effect-mqttx/metrics"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger } from "effect"
import * as Path from "node:path"
import { examplesOf, isExecutable, isProgram, unfencedExamples, writeExample } from "./support/examples.ts"
import { fenceViolations } from "./support/fences.ts"
import { filesBelow, packages, root } from "./support/repository.ts"

const sources = packages().flatMap((name) =>
  Array.from(
    filesBelow(`packages/${name}/src`, ".ts"),
    ([path, text]) => [`packages/${name}/src/${path}`, text] as const
  )
)
const examples = sources.flatMap(([file, text]) => examplesOf(file, text))

const session = (name: string): SessionOptions.SessionOptionsInput<never> => ({
  name,
  servers: ["mqtt://broker.example"]
})

/** No example can reach a real server. */
const services = Layer.mergeAll(MqttMetrics.layer(), ForwarderManager.layer()).pipe(
  Layer.provideMerge(Layer.mergeAll(
    MqttSession.layer(session("plant")),
    SessionManager.layer({ sessions: ["plant-a", "plant-b", "storage"].map(session) }),
    SessionStore.layerMemory,
    Logger.layer([])
  )),
  Layer.provideMerge(ScriptedBroker.layerMemory()),
  Layer.provideMerge(Transport.layerForbidden)
)

const run = (file: string) =>
  Effect.gen(function*() {
    const module = yield* Effect.promise(() => import(/* @vite-ignore */ file) as Promise<object>)
    if ("program" in module) {
      yield* (module.program as Effect.Effect<unknown>).pipe(
        Effect.scoped,
        Effect.timeout("10 seconds"),
        Effect.provide(services)
      )
    }
  })

describe("examples of docstrings", () => {
  it("are fenced blocks", () => {
    assert.deepStrictEqual(sources.flatMap(([file, text]) => unfencedExamples(file, text)), [])
    assert.deepStrictEqual(unfencedExamples("a.ts", "/**\n * @example\n * a()\n */"), ["a.ts:2"])
  })

  it("compile", () => {
    assert.isAbove(examples.length, 50)
    assert.deepStrictEqual(fenceViolations(root, Path.join(root, "build/examples"), examples), [])
  }, 60_000)

  it("that do not compile are found at their lines", () => {
    const bad = examplesOf("a.ts", "/**\n * **Example** (A)\n *\n * ```ts\n * const a: string = 1\n * ```\n */")
    assert.deepStrictEqual(fenceViolations(root, Path.join(root, "build/examples-checked"), bad), [
      "a.ts:5: error TS2322: Type 'number' is not assignable to type 'string'."
    ])
  }, 60_000)

  const directory = Path.join(root, "build/examples-run")
  const executable = examples.filter(isExecutable)

  it.live.each(executable.map((example, index) => [`${example.file}:${example.line}`, example, index] as const))(
    "%s runs",
    ([, example, index]) => run(writeExample(directory, `example${index}`, example))
  )

  it.live("that compare a wrong value, or whose program fails, are found", () =>
    Effect.gen(function*() {
      const wrong = examplesOf("a.ts", " * ```ts\n * 1 + 1 // => 3\n * ```")[0]!
      assert.isTrue(isExecutable(wrong))
      assert.isTrue((yield* Effect.exit(run(writeExample(directory, "wrong", wrong))))._tag === "Failure")
      const failing = " * ```ts\n * import { Effect } from \"effect\"\n * export const program = Effect.fail(1)\n * ```"
      const [failed] = examplesOf("a.ts", failing)
      assert.isTrue((yield* Effect.exit(run(writeExample(directory, "failing", failed!))))._tag === "Failure")
    }))

  it("run by their docstring, a test of their own or a test runner, or are declarations only", () => {
    // The tests of cli run the program of `Cli` as a process, readme.test.ts runs the first one of `MqttSession`, and
    // the tests of the stores run the cases of a store.
    assert.deepStrictEqual(examples.filter(isProgram).map(({ file }) => file), [
      "packages/cli/src/Cli.ts",
      "packages/core/src/MqttSession.ts",
      "packages/testing/src/SessionStoreSuite.ts"
    ])
  })
})
