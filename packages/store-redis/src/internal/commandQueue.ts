/**
 * Sends commands to Redis with a time limit, over a connection that is replaced when it proves useless.
 *
 * A command that has timed out may still arrive late, after newer ones, and a command that is repeated over another
 * connection may run twice. The scripts are written for that. Scripts do not run through `Redis.eval`, because it loads
 * them over the driver's shared connection, which after a failover may be at another server than the reserved one, or
 * down.
 */
import { StorageFailed } from "@effect-mqttx/core/MqttError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Redis from "effect/persistence/Redis"
import * as Result from "effect/Result"
import { isConnectionUseless, isNoScript, isReply, toReason } from "./classification.ts"
import type { Connection, Connections } from "./connections.ts"
import { type Reader, unexpectedReply } from "./replies.ts"
import type { Script } from "./scripts.ts"

export interface CommandQueue {
  /** Sends a command and reads the reply; `extraTime` is added to the time limit. */
  readonly send: <A>(
    read: Reader<A>,
    command: ReadonlyArray<string>,
    extraTime?: Duration.Duration
  ) => Effect.Effect<A, StorageFailed>
  /**
   * Runs EVALSHA, or EVAL when the server does not know the script. A second for each megabyte is added to the time
   * limit.
   */
  readonly run: <A>(
    script: Script,
    read: Reader<A>,
    keys: ReadonlyArray<string>,
    args: ReadonlyArray<string>
  ) => Effect.Effect<A, StorageFailed>
}

type Call = (send: Connection["send"]) => Effect.Effect<unknown, Redis.RedisError>

interface Failure {
  readonly reason: StorageFailed
  /** Another connection may work better. This one is of no use at all when it is broken. */
  readonly isUseless: boolean
  readonly isBroken: boolean
  readonly isUnexpected?: true
}

/** The outcome of a command on one connection. */
type Attempt<A> = Result.Result<A, Failure>

const megabyte = 1_048_576
/**
 * The number of connections on which a command is tried. The driver may reserve an idle connection that is as old as
 * the first one.
 */
const connectionsTried = 4

/**
 * The command queue of a store.
 */
export const makeCommandQueue = (connections: Connections, timeout: Duration.Duration): CommandQueue => {
  const noAnswer = (limit: Duration.Duration): StorageFailed =>
    new StorageFailed({ detail: `Redis has not answered within ${Duration.format(limit)}` })

  const attempt = <A>(
    connection: Connection,
    call: Call,
    read: Reader<A>,
    limit: Duration.Duration
  ): Effect.Effect<Attempt<A>> =>
    call(connection.send).pipe(
      Effect.map((reply): Attempt<A> => {
        const value = read(reply)
        if (value === undefined) {
          return Result.fail({ reason: unexpectedReply(reply), isUseless: true, isBroken: false, isUnexpected: true })
        }
        connections.confirm(connection)
        return Result.succeed(value)
      }),
      Effect.catch((error) =>
        Effect.succeed<Attempt<A>>(Result.fail({
          reason: toReason(error.cause),
          isUseless: isConnectionUseless(error.cause),
          isBroken: !isReply(error.cause)
        }))
      ),
      Effect.timeoutOrElse({
        duration: limit,
        orElse: () =>
          Effect.succeed<Attempt<A>>(Result.fail({ reason: noAnswer(limit), isUseless: true, isBroken: true }))
      })
    )

  /** A connection, as soon as there is one. The failure to connect says more than a timeout. */
  const connected = (limit: Duration.Duration): Effect.Effect<Connection, StorageFailed> =>
    connections.get.pipe(
      // The attempts have pauses of their own. A refusal is permanent.
      Effect.retry({ while: ({ kind }) => kind !== "refused" }),
      Effect.timeoutOrElse({
        duration: limit,
        orElse: () => Effect.fail(connections.failure() ?? new StorageFailed({ detail: noConnection(limit) }))
      })
    )

  /** Retries over other connections. An invalid reply is final when more than one connection gives one. */
  const retryElsewhere = <A>(
    first: Connection,
    failure: Failure,
    again: (connection: Connection) => Effect.Effect<Attempt<A>>
  ): Effect.Effect<A, StorageFailed> =>
    Effect.gen(function*() {
      let useless = first
      let last = failure
      let unexpected = failure.isUnexpected === true ? 1 : 0
      for (let tried = 1; last.isUseless && tried < connectionsTried; tried++) {
        if (!(yield* connections.abandon(useless, last.isBroken))) break
        const next = yield* Effect.result(connections.get)
        if (Result.isFailure(next)) return yield* last.reason.cause === undefined ? next.failure : last.reason
        const result = yield* again(next.success)
        if (Result.isSuccess(result)) return result.success
        useless = next.success
        last = result.failure
        if (last.isUnexpected === true) unexpected++
      }
      return yield* unexpected > 1 ? new StorageFailed({ ...last.reason, kind: "corrupt" }) : last.reason
    })

  const callOn = <A>(
    first: Connection,
    use: Call,
    read: Reader<A>,
    limit: Duration.Duration
  ): Effect.Effect<A, StorageFailed> =>
    Effect.flatMap(attempt(first, use, read, limit), (result) => {
      if (Result.isSuccess(result)) return Effect.succeed(result.success)
      const { isUseless, reason } = result.failure
      if (!isUseless) return Effect.fail(reason)
      return retryElsewhere(first, result.failure, (connection) => attempt(connection, use, read, limit)).pipe(
        Effect.timeoutOrElse({ duration: limit, orElse: () => Effect.fail(reason) })
      )
    })

  const call = <A>(use: Call, read: Reader<A>, limit: Duration.Duration): Effect.Effect<A, StorageFailed> =>
    Effect.suspend(() => {
      const connection = connections.current()
      // A time limit costs two fibers: only waiting for a connection gets one of its own.
      return connection === undefined
        ? Effect.flatMap(connected(limit), (first) => callOn(first, use, read, limit))
        : callOn(connection, use, read, limit)
    })

  return {
    send: (read, [command, ...args], extraTime) =>
      call(
        (send) => send(command!, ...args),
        read,
        extraTime === undefined ? timeout : Duration.sum(timeout, extraTime)
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
    }
  }
}

const noConnection = (limit: Duration.Duration): string =>
  `the driver of Redis has given no connection within ${
    Duration.format(limit)
  }: it cannot connect, or has none to spare (maxConnections)`
