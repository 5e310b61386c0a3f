/**
 * The commands by which a test makes the broker refuse.
 */
import * as Effect from "effect/Effect"
import { checked } from "./checked.ts"
import { refusalChecks, timesChecks } from "./checks.ts"
import type { Service } from "./contract.ts"
import type { RunningHub } from "./runningHub.ts"

/** These members of `Service`. */
export const refusingMembers = (
  running: RunningHub
): Pick<Service, "refuseConnect" | "refusePublish" | "refuseSubscribe" | "clearRefusals"> => {
  const { refusals } = running
  return {
    refuseConnect: (reasonCode, options) =>
      checked(
        "refuseConnect",
        { reasonCode },
        () => Effect.sync(() => refusals.refuseConnect(reasonCode, options?.clientId, options?.times ?? Infinity)),
        options,
        refusalChecks
      ),
    refusePublish: (filter, reasonCode, options) =>
      checked(
        "refusePublish",
        { filter, reasonCode },
        () => Effect.sync(() => refusals.refusePublish(filter, reasonCode, options?.times ?? Infinity)),
        options,
        timesChecks
      ),
    refuseSubscribe: (filter, reasonCode, options) =>
      checked(
        "refuseSubscribe",
        { filter, reasonCode },
        () => Effect.sync(() => refusals.refuseSubscribe(filter, reasonCode, options?.times ?? Infinity)),
        options,
        timesChecks
      ),
    clearRefusals: Effect.sync(() => refusals.clear())
  }
}
