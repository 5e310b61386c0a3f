/**
 * The program `effect-mqttx`: its command, its exit codes, and the effect that runs it.
 *
 * `npx effect-mqttx --help` is all that most users need of it. The command is here for programs that put it into their
 * own command line. It uses Effect's module `effect/cli`, which is unstable, and so is this module.
 *
 * **Example** (The commands in a program of one's own)
 *
 * ```ts
 * import { Cli } from "@effect-mqttx/cli"
 * import { NodeRuntime, NodeServices } from "@effect/platform-node"
 * import { Effect } from "effect"
 *
 * export const main = () => NodeRuntime.runMain(Effect.provide(Cli.run, NodeServices.layer))
 * ```
 */
import * as CliConfig from "effect/cli/CliConfig"
import * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import { fileURLToPath } from "node:url"
import { bench } from "./internal/bench/bench.ts"
import { doctor } from "./internal/doctor/doctor.ts"
import { CommandFailed, exitCodes as codes } from "./internal/failure.ts"
import { adviceFor } from "./internal/foreignFlags.ts"
import { gateway } from "./internal/gateway/gateway.ts"
import { pub } from "./internal/pub.ts"
import { record } from "./internal/recording/record.ts"
import { replay } from "./internal/recording/replay.ts"
import { request } from "./internal/request.ts"
import { simulate } from "./internal/simulate/simulate.ts"
import { store } from "./internal/store/store.ts"
import { sub } from "./internal/sub.ts"

/**
 * What the program ends with: `done` 0, `failed` 1 (the work failed after the server had accepted the connection),
 * `usage` 2 (a flag, a value, a file or a variable is wrong), `unreachable` 3 (no connection), `refused` 4 (by the
 * server), `timeout` 27 (the time of `-W` is over), and `interrupted` 130 (SIGINT or SIGTERM).
 *
 * @stability unstable
 * @category constants
 * @since 0.1.0
 */
export const exitCodes: {
  readonly done: 0
  readonly failed: 1
  readonly usage: 2
  readonly unreachable: 3
  readonly refused: 4
  readonly timeout: 27
  readonly interrupted: 130
} = codes

/**
 * The command with its subcommands. It has no `-h` for help and no `-v` for the version: these letters mean the host
 * and the topics, as in mosquitto_pub and mosquitto_sub.
 *
 * @stability unstable
 * @category constants
 * @since 0.1.0
 */
export const command: Command.Command<"effect-mqttx", {}, {}, CommandFailed, Command.Environment> = Command.make(
  "effect-mqttx"
).pipe(
  Command.withDescription("MQTT from the command line. MQTT_... variables set what flags do not"),
  Command.withSubcommands([pub, sub, request, record, replay, bench, simulate, doctor, store, gateway])
)

// `-h` is the host and `-v` prints topics.
const builtIns = [
  {
    ...GlobalFlag.Help,
    flag: Flag.Boolean("help").pipe(Flag.withDescription("Shows this help"), Flag.withDefault(false))
  },
  {
    ...GlobalFlag.Version,
    flag: Flag.Boolean("version").pipe(Flag.withDescription("Shows the version"), Flag.withDefault(false))
  },
  GlobalFlag.Completions,
  GlobalFlag.LogLevel
]

// The standard output belongs to messages.
const surroundings = Layer.mergeAll(
  CliConfig.layer({ builtIns }),
  Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)])
)

const version: Effect.Effect<string, never, FileSystem.FileSystem> = Effect.flatMap(
  FileSystem.FileSystem,
  (files) => files.readFileString(fileURLToPath(new URL("../package.json", import.meta.url)))
).pipe(
  Effect.map((text) => (JSON.parse(text) as { readonly version: string }).version),
  Effect.orDie
)

/**
 * Runs the command with the arguments of the process. A failure is printed on the standard error, and has its exit code
 * for `NodeRuntime.runMain`.
 *
 * @stability unstable
 * @category constants
 * @since 0.1.0
 */
export const run: Effect.Effect<void, CommandFailed | CliError.CliError, Command.Environment> = Effect.flatMap(
  version,
  (version) => Command.run(command, { version })
).pipe(
  Effect.catchIf(
    (error) => error instanceof CliError.ShowHelp && error.errors.length > 0,
    // Effect has printed it, and would end with 1.
    (error) =>
      Effect.andThen(
        Effect.forEach(adviceFor((error as CliError.ShowHelp).errors), (advice) => Console.error(`\n  ${advice}`)),
        Effect.fail(new CommandFailed({ what: "", advice: undefined, exitCode: codes.usage }))
      )
  ),
  Effect.tapError((error) =>
    error instanceof CommandFailed && error.what !== "" ? Console.error(`effect-mqttx: ${error.message}`) : Effect.void
  ),
  Effect.provide(surroundings)
)
