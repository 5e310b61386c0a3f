/**
 * When a gateway reads its file again: on SIGHUP, and when the file or a file that it names has changed. It looks at
 * the files at intervals, because the ways to be told of changes differ between platforms and fail on network mounts.
 * A file that is still being written is not applied: two looks have to find the same.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Path from "effect/Path"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { Reloaded } from "./adminApi.ts"
import type { Configuration } from "./configuration.ts"
import { load, type Loaded, lookAgain } from "./load.ts"
import { formatMistake } from "./mistake.ts"

/** The file is not applied, and nothing has changed. */
export class NotApplied extends Data.TaggedError("NotApplied")<{ readonly mistakes: ReadonlyArray<string> }> {}

/** One element for each SIGHUP; several before one is taken count as one. */
export const hangups: Effect.Effect<Queue.Dequeue<void>, never, Scope.Scope> = Effect.gen(function*() {
  const queue = yield* Queue.sliding<void>(1)
  const onSignal = (): void => {
    Queue.offerUnsafe(queue, undefined)
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => process.on("SIGHUP", onSignal)),
    () => Effect.sync(() => process.off("SIGHUP", onSignal))
  )
  return queue
})

export interface ReloadOptions {
  readonly file: string
  readonly environment: Readonly<Record<string, string | undefined>>
  /** What was read when the gateway started. */
  readonly loaded: Loaded
  /** The settings that are applied now. */
  readonly settings: () => Configuration["settings"]["reload"]
  readonly apply: (next: Configuration) => Effect.Effect<Reloaded, NotApplied>
}

/** Logs what is wrong with a file that is not applied. */
export const refuse = (mistakes: ReadonlyArray<string>): Effect.Effect<never, NotApplied> =>
  Effect.andThen(
    Effect.annotateLogs(
      Effect.logError("the file has mistakes and is not applied; the gateway goes on with the earlier one"),
      { mistakes: mistakes.join("; ") }
    ),
    Effect.fail(new NotApplied({ mistakes }))
  )

/** Reads the file again and again, and applies it when it has changed and is valid. */
export class Reload {
  readonly #options: ReloadOptions
  /** What was applied or refused last. */
  #loaded: Loaded

  constructor(options: ReloadOptions) {
    this.#options = options
    this.#loaded = options.loaded
  }

  /** Reads and applies the file, whether it has changed or not. */
  get now(): Effect.Effect<Reloaded, NotApplied, FileSystem.FileSystem | Path.Path> {
    return Effect.gen({ self: this }, function*() {
      const { apply, environment, file } = this.#options
      this.#loaded = yield* load(file, environment)
      const { outcome } = this.#loaded
      return yield* Result.isSuccess(outcome)
        ? apply(outcome.success)
        : refuse(outcome.failure.map((mistake) => formatMistake(file, mistake)))
    })
  }

  /** Waits for SIGHUP and for changes. */
  run(signals: Queue.Dequeue<void>): Effect.Effect<never, never, FileSystem.FileSystem | Path.Path> {
    const { environment, file, settings } = this.#options
    return Effect.gen({ self: this }, function*() {
      let seen = this.#loaded
      while (true) {
        const { interval, watch } = settings()
        const signal = yield* watch
          ? Effect.timeoutOption(Queue.take(signals), interval)
          : Effect.asSome(Queue.take(signals))
        if (signal._tag === "Some") {
          yield* Effect.ignore(this.now)
          seen = this.#loaded
          continue
        }
        const found = yield* lookAgain(file, environment, seen)
        if (found.contents !== this.#loaded.contents && found.contents === seen.contents) yield* Effect.ignore(this.now)
        seen = found
      }
    })
  }
}
