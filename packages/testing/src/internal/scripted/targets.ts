/**
 * Helpers that the methods of the broker share: waiting for a condition, and acting on one connection.
 */
import * as Effect from "effect/Effect"
import { checked } from "./checked.ts"
import type { HubConnection } from "./connection.ts"
import type { Target } from "./contract.ts"
import type { RunningHub } from "./runningHub.ts"

export const awaitUntil = ({ hub }: RunningHub, check: () => boolean): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    const stop = hub.waiters.when(check, () => resume(Effect.void))
    if (stop === undefined) return resume(Effect.void)
    return Effect.sync(stop)
  })

export const findConnection = ({ hub }: RunningHub, target: Target): Effect.Effect<HubConnection> =>
  checked("connection", { target }, () => {
    const connection = hub.table.find(target, hub.core)
    return connection === undefined
      ? Effect.die(new Error(`no connection of ${target} is open`))
      : Effect.succeed(connection)
  })

/** Runs an action, and carries out its outputs. */
export const command = ({ hub }: RunningHub, act: () => void): Effect.Effect<void> =>
  Effect.sync(() => {
    act()
    hub.settle()
  })

export const onConnection = (
  running: RunningHub,
  target: Target,
  act: (connection: HubConnection) => void
): Effect.Effect<void> =>
  Effect.flatMap(findConnection(running, target), (connection) => command(running, () => act(connection)))
