/**
 * `effect-mqttx simulate FILE`: a fleet of devices as a file describes it, each with a connection of its own. It runs
 * until its time is over or it is interrupted, and says at the end what the fleet has done.
 */
import type { SessionOptions } from "@effect-mqttx/core/SessionOptions"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as Stdio from "effect/Stdio"
import { type Connection, connectionFlags, optionsOf } from "../connection.ts"
import { endWith } from "../ending.ts"
import { type CommandFailed, exitCodes, usage } from "../failure.ts"
import { showProgress } from "../progress.ts"
import { type Counts, Device } from "./device.ts"
import { type Fleet, readFleet } from "./fleet.ts"

const config = {
  file: Argument.String("file").pipe(Argument.withDescription("The fleet: .toml, .yaml, .yml or .json")),
  ...connectionFlags,
  devices: Flag.Int("devices").pipe(
    Flag.filter((value) => value >= 1 && value <= 10_000, (value) => `expected 1 to 10000 devices, got ${value}`),
    Flag.withDescription("Number of devices; default: that of the file"),
    Flag.optional
  ),
  seconds: Flag.Finite("seconds").pipe(
    Flag.filter((seconds) => seconds > 0, (seconds) => `expected a number of seconds above 0, got ${seconds}`),
    Flag.withDescription("Ends after so many seconds; default: until it is interrupted"),
    Flag.optional
  ),
  check: Flag.Boolean("check").pipe(
    Flag.withDescription("Checks the file, and connects nothing"),
    Flag.withDefault(false)
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Prints the statistics as one JSON object"),
    Flag.withDefault(false)
  )
}

interface Input extends Connection {
  readonly file: string
  readonly devices: Option.Option<number>
  readonly seconds: Option.Option<number>
  readonly check: boolean
  readonly json: boolean
}

/** Connections that are opened at the same time. */
const opening = 32

const statisticsOf = (fleet: Fleet, counts: Counts, millis: number, asJson: boolean): string => {
  const { failed, published, reconnects } = counts
  const seconds = Math.round(millis) / 1000
  const perSecond = seconds === 0 ? 0 : Math.round(published / seconds * 10) / 10
  return asJson
    ? JSON.stringify({ devices: fleet.devices, seconds, published, failed, reconnects, perSecond })
    : `${fleet.devices} devices, ${seconds} s: ${published} messages (${perSecond} a second), ${failed} failures, ` +
      `${reconnects} reconnects`
}

const runFleet = (
  fleet: Fleet,
  options: SessionOptions,
  input: Input
): Effect.Effect<void, CommandFailed, Scope.Scope | Stdio.Stdio> =>
  Effect.gen(function*() {
    const counts: Counts = { connected: 0, published: 0, failed: 0, reconnects: 0 }
    const scope = yield* Effect.scope
    // It ends before the statistics are printed.
    const shown = yield* Scope.fork(scope)
    if (!input.json) {
      yield* Scope.provide(
        showProgress(() => `${counts.connected} of ${fleet.devices} devices, ${counts.published} messages`),
        shown
      )
    }
    const begin = yield* Clock.currentTimeMillis
    const ids = Array.from({ length: fleet.devices }, (_, index) => index + 1)
    const devices = yield* Effect.forEach(
      ids,
      (id) =>
        Effect.gen(function*() {
          const device = new Device(options, fleet, id, counts)
          const own = yield* Scope.fork(scope)
          const session = yield* Scope.provide(device.connect, own)
          return device.run(session, Scope.close(own, Exit.void))
        }),
      { concurrency: opening }
    )
    yield* Effect.logDebug(`${fleet.devices} devices are connected`)
    const running = Effect.all(devices, { concurrency: "unbounded", discard: true })
    const print = Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Console.log(statisticsOf(fleet, counts, now - begin, input.json)))
    const timed = Option.isNone(input.seconds)
      ? Effect.never
      : Effect.sleep(`${input.seconds.value} seconds`)
    yield* Effect.raceFirst(running, timed).pipe(
      // This is how most simulations end.
      Effect.onInterrupt(() =>
        Effect.sync(() => endWith(exitCodes.done))
      ),
      Effect.ensuring(Effect.andThen(Scope.close(shown, Exit.void), print))
    )
  })

const run = (input: Input): Effect.Effect<void, CommandFailed, FileSystem.FileSystem | Stdio.Stdio> =>
  Effect.gen(function*() {
    const described = yield* readFleet(input.file)
    if (Option.isSome(input.id)) {
      return yield* Effect.fail(usage("-i is for one client", "Write clientId, with {id}, into the file."))
    }
    const fleet = { ...described, devices: Option.getOrElse(input.devices, () => described.devices) }
    if (fleet.devices > 1 && !fleet.clientId.includes("{id}")) {
      return yield* Effect.fail(usage("clientId has no {id}", "Two devices cannot have one client identifier."))
    }
    if (input.check) return yield* Console.log(`${input.file} is valid: ${fleet.devices} devices`)
    yield* runFleet(fleet, yield* optionsOf(input, "simulate", true), input)
  }).pipe(Effect.scoped)

/** The command `simulate`. */
export const simulate: Command.Command<"simulate", Input, {}, CommandFailed, FileSystem.FileSystem | Stdio.Stdio> =
  Command.make("simulate", config, run).pipe(
    Command.withDescription("Runs a fleet of devices that a file describes"),
    Command.withExamples([{ command: "effect-mqttx simulate fleet.toml -h test.example --seconds 60" }])
  )
