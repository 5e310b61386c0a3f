/**
 * `effect-mqttx gateway FILE`: sessions and forwarders from a file. `--check` says what is wrong with the file, and
 * what the gateway would do; `--schema` prints the JSON Schema of the file.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import * as Result from "effect/Result"
import { CommandFailed, exitCodes, usage } from "../failure.ts"
import type { Configuration } from "./configuration.ts"
import { describe, describeJson } from "./description.ts"
import { load } from "./load.ts"
import { formatMistake, type Mistake } from "./mistake.ts"

const flags = {
  file: Argument.String("file").pipe(
    Argument.withDescription("The file of the gateway: .toml, .yaml, .yml or .json"),
    Argument.optional
  ),
  check: Flag.Boolean("check").pipe(
    Flag.withDescription("Checks the file, says what the gateway would do, and connects nothing"),
    Flag.withDefault(false)
  ),
  schema: Flag.Boolean("schema").pipe(
    Flag.withDescription("Prints the JSON Schema of the file, for editors"),
    Flag.withDefault(false)
  ),
  json: Flag.Boolean("json").pipe(Flag.withDescription("The output of --check as JSON"), Flag.withDefault(false))
}

interface Input {
  readonly file: Option.Option<string>
  readonly check: boolean
  readonly schema: boolean
  readonly json: boolean
}

const invalid = (mistakes: ReadonlyArray<Mistake>): CommandFailed =>
  new CommandFailed({
    what: `the file has ${mistakes.length === 1 ? "a mistake" : `${mistakes.length} mistakes`}`,
    advice: "docs/gateway.md lists all keys; `effect-mqttx gateway --schema` helps an editor to complete them.",
    exitCode: exitCodes.usage
  })

const check = (
  file: string,
  outcome: Result.Result<Configuration, ReadonlyArray<Mistake>>,
  asJson: boolean
): Effect.Effect<void, CommandFailed> =>
  Effect.gen(function*() {
    if (Result.isSuccess(outcome)) {
      yield* Console.log(
        asJson
          ? JSON.stringify({ valid: true, mistakes: [], ...describeJson(outcome.success) }, undefined, 2)
          : [`${file} is valid`, ...describe(outcome.success)].join("\n")
      )
      return
    }
    if (asJson) {
      const mistakes = outcome.failure.map(({ message, path, position }) => ({ path, message, ...position }))
      yield* Console.log(JSON.stringify({ valid: false, mistakes }, undefined, 2))
    } else {
      for (const mistake of outcome.failure) yield* Console.error(formatMistake(file, mistake))
    }
    return yield* Effect.fail(invalid(outcome.failure))
  })

const run = (input: Input): Effect.Effect<void, CommandFailed, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function*() {
    if (input.schema) {
      const { gatewayJsonSchemaText } = yield* Effect.promise(() => import("./jsonSchema.ts"))
      return yield* Console.log(gatewayJsonSchemaText().trimEnd())
    }
    if (Option.isNone(input.file)) {
      return yield* Effect.fail(usage("there is no file", "Give the file of the gateway: effect-mqttx gateway FILE."))
    }
    const file = input.file.value
    const loaded = yield* load(file, process.env)
    const { outcome } = loaded
    if (input.check || Result.isFailure(outcome)) return yield* check(file, outcome, input.json && input.check)
    // Loaded here: the other commands need no HTTP server.
    const { runGateway } = yield* Effect.promise(() => import("./run.ts"))
    yield* runGateway({ file, environment: process.env, configuration: outcome.success, loaded })
  })

/** The command `gateway`. */
export const gateway: Command.Command<"gateway", Input, {}, CommandFailed, FileSystem.FileSystem | Path.Path> = Command
  .make("gateway", flags, run)
  .pipe(
    Command.withDescription("Runs sessions and forwarders from a file"),
    Command.withExamples([
      { command: "effect-mqttx gateway gateway.toml --check" },
      { command: "effect-mqttx gateway gateway.toml" }
    ])
  )
