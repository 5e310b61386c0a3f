/**
 * The half of a side that both clients share: it answers the orchestrator.
 */
import { performance } from "node:perf_hooks"
import type { Conditions, Side, SideReply, SideRequest } from "./contract.ts"

export interface Running {
  /** Messages received or settled so far. */
  readonly count: () => number
  /** Ends publishing, and succeeds when everything is settled. */
  readonly finish: () => Promise<void>
  /** What a reader should know about this run. */
  readonly note: () => string
}

/** Payloads above this size need options other than the defaults: a session takes packets up to 1 MiB. */
export const largePayload = 900_000

export type Start = (side: Side, conditions: Conditions) => Promise<Running>

/** Runs a side in this process, which was forked with the side and the conditions as its arguments. */
export const serve = (start: Start): void => {
  const side = JSON.parse(process.argv[2]!) as Side
  const conditions = JSON.parse(process.argv[3]!) as Conditions
  const reply = (message: SideReply): void => {
    process.send!(message)
  }
  process.on("disconnect", () => process.exit(0))
  start(side, conditions).then((running) => {
    process.on("message", (request: SideRequest) => {
      switch (request._tag) {
        case "Sample": {
          const { system, user } = process.cpuUsage()
          return reply({ _tag: "Sample", count: running.count(), at: performance.now(), cpu: user + system })
        }
        case "Stop":
          stop(running, request.expected).then(() =>
            reply({ _tag: "Stopped", count: running.count(), note: running.note() })
          )
          return
        case "Exit":
          return process.exit(0)
      }
    })
    reply({ _tag: "Ready" })
  })
}

/** Waits until everything is settled and `expected` messages are counted, or nothing has moved for a second. */
const stop = async (running: Running, expected: number): Promise<void> => {
  await running.finish()
  let last = -1
  let quiet = 0
  while (running.count() < expected && quiet < 20) {
    quiet = running.count() === last ? quiet + 1 : 0
    last = running.count()
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
