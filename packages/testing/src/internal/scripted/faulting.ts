/**
 * The commands by which a test injects faults of packets and connections, and cuts.
 */
import * as Effect from "effect/Effect"
import { requiredOf } from "../checks.ts"
import { checked } from "./checked.ts"
import { cutChecks, cutterChecks, releaseChecks } from "./checks.ts"
import type { CutOptions, RunningCutter, Service } from "./contract.ts"
import { makeCutter } from "./cutter.ts"
import type { RunningHub } from "./runningHub.ts"
import { awaitUntil, findConnection, onConnection } from "./targets.ts"

/** These members of `Service`. */
export const faultingMembers = (
  running: RunningHub
): Pick<
  Service,
  "inject" | "clearFaults" | "cut" | "cutEvery" | "release" | "goSilent" | "stopReading" | "resumeReading"
> => {
  const { hub } = running
  return {
    inject: (fault) =>
      checked("inject", { fault: requiredOf(fault, "match", "action", "times") }, () =>
        Effect.sync(() => {
          const active = hub.inject(fault)
          return {
            hits: () => active.hits,
            awaitHits: (count = 1) =>
              checked("awaitHits", { count }, () => awaitUntil(running, () => active.hits >= count)),
            remove: Effect.sync(() => hub.faults.remove(active))
          }
        })),
    clearFaults: Effect.sync(() => {
      hub.faults.clear()
      hub.cutter = undefined
    }),
    cut: (target, options) =>
      checked(
        "cut",
        {},
        () => onConnection(running, target, (connection) => hub.cut(connection, options?.reset ?? false)),
        options,
        cutChecks
      ),
    cutEvery: (options) =>
      checked("cutEvery", {}, () => cutEvery(running, options), requiredOf(options, "packets", "seed"), cutterChecks),
    release: (target, options) =>
      checked(
        "release",
        {},
        () =>
          Effect.map(findConnection(running, target), (connection) => {
            const { count = Infinity, order = "original" } = options ?? {}
            const released = hub.release(connection, order, count, undefined)
            hub.settle()
            return released
          }),
        options,
        releaseChecks
      ),
    goSilent: (target) =>
      onConnection(running, target, (connection) => {
        connection.silent = true
      }),
    stopReading: (target) => onConnection(running, target, (connection) => connection.stream.pause()),
    resumeReading: (target) => onConnection(running, target, (connection) => connection.stream.resume())
  }
}

const cutEvery = (
  running: RunningHub,
  { clientId, handshake, limit, packets, seed }: CutOptions
): Effect.Effect<RunningCutter> =>
  Effect.sync(() => {
    const { hub } = running
    const [minimum, maximum] = packets
    const cutter = makeCutter({
      seed,
      minimum,
      maximum,
      limit: limit ?? Infinity,
      handshake: handshake ?? false,
      clientId
    })
    hub.cutter = cutter
    return {
      cuts: cutter.cuts,
      awaitCuts: (count) => checked("awaitCuts", { count }, () => awaitUntil(running, () => cutter.cuts() >= count)),
      stop: Effect.sync(() => {
        if (hub.cutter === cutter) hub.cutter = undefined
      })
    }
  })
