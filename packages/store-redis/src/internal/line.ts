/**
 * Calls to Redis that are bounded in time and in number.
 *
 * A driver without a connection keeps commands, and sends them when it has one again: a call that is given up may still happen. So calls
 * stand in a line, in which each waits for the one before it, even when that was given up: Redis sees them in their order, and a driver
 * never keeps more than one of them.
 */
import { StorageFailed } from "@effect-mqttx/core/MqttError"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redis from "effect/persistence/Redis"
import { isNoScript, toReason } from "./classification.ts"
import type { Script } from "./scripts.ts"

export interface Line {
  readonly send: (command: string, ...args: ReadonlyArray<string>) => Effect.Effect<unknown, StorageFailed>
  /** EVALSHA, or EVAL when the server does not know the script. */
  readonly run: (
    script: Script,
    keys: ReadonlyArray<string>,
    args: ReadonlyArray<string>
  ) => Effect.Effect<unknown, StorageFailed>
  /** Whether a call has timed out and is still on its way. */
  readonly isStalled: () => boolean
}

// How long asking for the reason of a timeout may take.
const diagnosis = Duration.seconds(1)

/**
 * A line for one user at a time.
 */
export const makeLine = (redis: Redis.Redis["Service"], timeout: Duration.Duration): Line => {
  let pending: Fiber.Fiber<unknown, Redis.RedisError> | undefined
  let timedOut: typeof pending
  const isPending = (fiber: typeof pending): fiber is Fiber.Fiber<unknown, Redis.RedisError> =>
    fiber !== undefined && fiber.pollUnsafe() === undefined

  const noAnswer = new StorageFailed({ detail: `Redis has not answered within ${Duration.format(timeout)}` })

  // A driver that connects again and again keeps the reason to itself; a connection of our own fails with it: refused, wrong password.
  const whyNoAnswer: Effect.Effect<StorageFailed> = Effect.scoped(redis.reserve).pipe(
    Effect.as(noAnswer),
    Effect.catchCause((cause) => {
      const error = Cause.squash(cause)
      return Effect.succeed(error instanceof Redis.RedisError ? toReason(error.cause) : noAnswer)
    }),
    Effect.timeoutOrElse({ duration: Duration.min(timeout, diagnosis), orElse: () => Effect.succeed(noAnswer) })
  )

  // Nobody's child: whoever gives a call up cannot take it back from the driver.
  const start = (command: Effect.Effect<unknown, Redis.RedisError>): Effect.Effect<unknown, Redis.RedisError> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.forkDetach(command, { startImmediately: true }), (fiber) => {
        pending = fiber
        return restore(Fiber.join(fiber))
      })
    )

  const enqueue = (command: Effect.Effect<unknown, Redis.RedisError>): Effect.Effect<unknown, StorageFailed> =>
    Effect.suspend(() =>
      isPending(pending) ? Effect.flatMap(Fiber.await(pending), () => start(command)) : start(command)
    ).pipe(
      Effect.mapError((error) => toReason(error.cause)),
      Effect.timeoutOrElse({
        duration: timeout,
        orElse: () => {
          timedOut = pending
          return Effect.flatMap(whyNoAnswer, Effect.fail)
        }
      })
    )

  return {
    send: (command, ...args) => enqueue(redis.send(command, ...args)),
    run: ({ lua, sha }, keys, args) => {
      const count = keys.length.toString()
      return enqueue(Effect.catchIf(
        redis.send("EVALSHA", sha, count, ...keys, ...args),
        (error) => isNoScript(error.cause),
        () => redis.send("EVAL", lua, count, ...keys, ...args)
      ))
    },
    isStalled: () => isPending(timedOut)
  }
}
