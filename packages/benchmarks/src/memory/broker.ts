/**
 * The embedded broker for idle sessions, in a process of its own.
 */
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { Child } from "../harness/child.ts"
import type { Fixtures } from "../harness/fixtures.ts"

const brokerPath = new URL("./brokerSide.js", import.meta.url)

/** The port of the broker. */
export const brokerOf = (fixtures: Fixtures): Promise<{ readonly port: number }> =>
  fixtures.get(
    "memory",
    Effect.gen(function*() {
      const child = yield* Effect.acquireRelease(
        Effect.sync(() => new Child<never, { readonly _tag: "Listening"; readonly port: number }>(brokerPath)),
        (child) => Effect.promise(() => child.end())
      )
      return yield* Effect.tryPromise(() => child.next("Listening"))
    })
  )

/** Descriptors that a process has besides its connections. */
const otherDescriptors = 200

/** Node takes all descriptors that the system allows; Infinity where the system does not tell. */
const descriptors = (): number => {
  try {
    const limits = readFileSync("/proc/self/limits", "utf8")
    return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Infinity)
  } catch {
    return Infinity
  }
}

/** Fails where the system does not allow a process so many connections. */
export const requireDescriptors = (connections: number): void => {
  const needed = connections + otherDescriptors
  if (descriptors() < needed) {
    throw new Error(`needs ${needed} open files, and the system allows ${descriptors()}: ulimit -n ${needed}`)
  }
}
