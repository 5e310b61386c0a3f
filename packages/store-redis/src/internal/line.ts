/**
 * Calls to Redis that are bounded in time and in number.
 *
 * A driver without a connection keeps commands, and sends them when it has one again: a call that is given up may still happen. So calls
 * stand in a line, in which each waits for the one before it on the same connection, even when that was given up: a driver never keeps
 * more than one of them. A call whose connection proves useless is made again on the other one, see `connections.ts`, while the
 * first may still arrive late: everything that is called can happen twice, and behind what came later.
 */
import { StorageFailed } from "@effect-mqttx/core/MqttError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Redis from "effect/persistence/Redis"
import * as Result from "effect/Result"
import { isConnectionUseless, isNoScript, toReason } from "./classification.ts"
import type { Connection, Connections } from "./connections.ts"
import { oddReply, type Reader } from "./replies.ts"
import type { Script } from "./scripts.ts"

export interface Line {
  /** Sends a command and reads the reply; `patience` is added to the time limit. */
  readonly send: <A>(
    read: Reader<A>,
    command: ReadonlyArray<string>,
    patience?: Duration.Duration
  ) => Effect.Effect<A, StorageFailed>
  /** EVALSHA, or EVAL when the server does not know the script. A second for each megabyte is added to the time limit. */
  readonly run: <A>(
    script: Script,
    read: Reader<A>,
    keys: ReadonlyArray<string>,
    args: ReadonlyArray<string>
  ) => Effect.Effect<A, StorageFailed>
  /** Whether a call has timed out and is still on its way on the connection in use. */
  readonly isStalled: () => boolean
}

type Call = (send: Connection["send"]) => Effect.Effect<unknown, Redis.RedisError>

/** How a call ended on one connection. */
type Attempt<A> = Result.Result<A, { readonly reason: StorageFailed; readonly isUseless: boolean }>

const megabyte = 1_048_576

/**
 * A line for one user at a time.
 */
export const makeLine = (connections: Connections, timeout: Duration.Duration): Line => {
  const pending = new WeakMap<Connection, Fiber.Fiber<unknown, Redis.RedisError>>()
  const timedOut = new WeakMap<Connection, Fiber.Fiber<unknown, Redis.RedisError>>()
  const isPending = (
    fiber: Fiber.Fiber<unknown, Redis.RedisError> | undefined
  ): fiber is Fiber.Fiber<unknown, Redis.RedisError> => fiber !== undefined && fiber.pollUnsafe() === undefined

  // Nobody's child: whoever gives a call up cannot take it back from the driver.
  const start = (connection: Connection, call: Call): Effect.Effect<unknown, Redis.RedisError> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.forkDetach(call(connection.send), { startImmediately: true }), (fiber) => {
        pending.set(connection, fiber)
        return restore(Fiber.join(fiber))
      })
    )

  const inTurn = (connection: Connection, call: Call): Effect.Effect<unknown, Redis.RedisError> =>
    Effect.suspend(() => {
      const before = pending.get(connection)
      return isPending(before)
        ? Effect.flatMap(Fiber.await(before), () => start(connection, call))
        : start(connection, call)
    })

  /** One attempt. A reply that makes no sense may be meant for somebody else who shares the connection: another one may do better. */
  const attempt = <A>(
    connection: Connection,
    call: Call,
    read: Reader<A>,
    limit: Duration.Duration
  ): Effect.Effect<Attempt<A>> =>
    Effect.suspend(() => inTurn(connection, call)).pipe(
      Effect.map((reply): Attempt<A> => {
        const value = read(reply)
        if (value === undefined) {
          return Result.fail({ reason: oddReply(reply, connection.isOwn), isUseless: !connection.isOwn })
        }
        connections.prove(connection)
        return Result.succeed(value)
      }),
      Effect.catch((error) =>
        Effect.succeed<Attempt<A>>(
          Result.fail({ reason: toReason(error.cause), isUseless: isConnectionUseless(error.cause) })
        )
      ),
      Effect.timeoutOrElse({
        duration: limit,
        orElse: () =>
          Effect.sync((): Attempt<A> => {
            const fiber = pending.get(connection)
            if (isPending(fiber)) timedOut.set(connection, fiber)
            const detail = `Redis has not answered within ${Duration.format(limit)}`
            return Result.fail({ reason: new StorageFailed({ detail }), isUseless: true })
          })
      })
    )

  /** Goes on with another connection, as long as there is one that was not tried yet. */
  const elsewhere = <A>(
    first: Connection,
    failure: StorageFailed,
    again: (connection: Connection) => Effect.Effect<Attempt<A>>
  ): Effect.Effect<A, StorageFailed> =>
    Effect.gen(function*() {
      const tried = new Set([first])
      let useless = first
      let reason = failure
      for (;;) {
        const departure = yield* connections.leave(useless, tried)
        // Why there is no other connection says more than that there was no answer.
        if (departure._tag === "Stayed") return yield* failure.cause === undefined ? departure.reason ?? reason : reason
        const result = yield* again(departure.to)
        if (Result.isSuccess(result)) return result.success
        reason = result.failure.reason
        if (!result.failure.isUseless) return yield* reason
        useless = departure.to
        tried.add(useless)
      }
    })

  const call = <A>(use: Call, read: Reader<A>, limit: Duration.Duration): Effect.Effect<A, StorageFailed> =>
    Effect.suspend(() => {
      const first = connections.current()
      return Effect.flatMap(attempt(first, use, read, limit), (result) => {
        if (Result.isSuccess(result)) return Effect.succeed(result.success)
        const { isUseless, reason } = result.failure
        if (!isUseless) return Effect.fail(reason)
        return elsewhere(first, reason, (connection) => attempt(connection, use, read, limit)).pipe(
          Effect.timeoutOrElse({ duration: limit, orElse: () => Effect.fail(reason) })
        )
      })
    })

  return {
    send: (read, [command, ...args], patience) =>
      call(
        (send) => send(command!, ...args),
        read,
        patience === undefined ? timeout : Duration.sum(timeout, patience)
      ),
    run: ({ lua, sha }, read, keys, args) => {
      const count = keys.length.toString()
      let size = 0
      for (const arg of args) size += arg.length
      const limit = Duration.sum(timeout, Duration.seconds(Math.floor(size / megabyte)))
      return call(
        (send) =>
          Effect.catchIf(
            send("EVALSHA", sha, count, ...keys, ...args),
            (error) => isNoScript(error.cause),
            () => send("EVAL", lua, count, ...keys, ...args)
          ),
        read,
        limit
      )
    },
    isStalled: () => isPending(timedOut.get(connections.current()))
  }
}
