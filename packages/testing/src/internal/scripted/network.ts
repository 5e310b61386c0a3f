/**
 * The commands for the network and the life of the broker: refuse, accept, crash, start.
 */
import * as Effect from "effect/Effect"
import { checked } from "./checked.ts"
import type { Service } from "./contract.ts"
import type { Listening } from "./listening.ts"
import type { RunningHub } from "./runningHub.ts"
import { command } from "./targets.ts"

/** These members of `Service`. */
export const networkMembers = (
  running: RunningHub,
  listening: Listening | undefined
): Pick<Service, "refuseNetwork" | "acceptNetwork" | "refuseNetworkFor" | "crash" | "start" | "restart"> => {
  const { hub, trackers } = running
  const refuseNetwork = Effect.andThen(
    Effect.sync(() => {
      running.isAccepting = false
    }),
    listening?.suspend ?? Effect.void
  )
  const acceptNetwork = Effect.andThen(
    Effect.sync(() => {
      running.isAccepting = true
    }),
    listening?.resume ?? Effect.void
  )
  const crash = Effect.andThen(
    refuseNetwork,
    command(running, () => {
      // Without a journal there is no state left that could deliver earlier publishes.
      if (hub.options.core.journal === undefined) {
        for (const tracker of trackers.values()) tracker.isSettled = true
        trackers.clear()
      }
      hub.crash()
    })
  )
  const start = Effect.andThen(command(running, () => hub.start()), acceptNetwork)
  return {
    refuseNetwork,
    acceptNetwork,
    refuseNetworkFor: (duration) =>
      checked(
        "refuseNetworkFor",
        { duration },
        () => Effect.andThen(refuseNetwork, Effect.andThen(Effect.sleep(duration), acceptNetwork))
      ),
    crash,
    start,
    restart: Effect.andThen(crash, start)
  }
}
