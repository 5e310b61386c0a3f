/**
 * Accepted messages a second of a session on each durable store, compared with the engine under that store doing
 * the same writes.
 */
import * as Effect from "effect/Effect"
import { resultOf } from "../harness/child.ts"
import type { Measurement, Row, Source } from "../harness/model.ts"
import { crowds, type Setup, setups, type SideRequest, type SideResult } from "./contract.ts"
import { flatRows, openRows } from "./openRows.ts"
import { placeOf } from "./places.ts"

const sidePath = new URL("./side.js", import.meta.url)

const measure = (request: Omit<SideRequest, "place">): Promise<SideResult> =>
  Effect.runPromise(Effect.scoped(Effect.gen(function*() {
    const place = yield* placeOf(request.setup)
    return yield* Effect.tryPromise(() => resultOf<SideResult>(sidePath, { ...request, place }))
  })))

/** The engine writes as many records at once as the session does on average. */
const sourceOf = (setup: Setup, size: number): Source => ({
  name: `${setup}, ${size} publishers`,
  measure: async ({ seconds }) => {
    const millis = seconds * 1000
    const session = await measure({ setup, side: "session", size, millis })
    const batch = Math.max(1, Math.round(session.batch))
    const engine = await measure({ setup, side: "engine", size: batch, millis })
    const fastest = await measure({ setup, side: "fastest", size: batch, millis })
    return { session: partOf(session), engine: partOf(engine), fastest: partOf(fastest) }
  }
})

const partOf = ({ cpu, rate }: SideResult): Measurement => ({ value: rate, cpu })

const acceptanceRows: ReadonlyArray<Row> = (Object.keys(setups) as ReadonlyArray<Setup>).flatMap((setup) =>
  crowds.map((size): Row => {
    const source = sourceOf(setup, size)
    return {
      id: `storage.${setup.replaceAll(/[^a-z]+/gi, "-")}.${size}`,
      title: `${setup}, ${size} ${size === 1 ? "publisher" : "publishers"}`,
      unit: "msg/s",
      better: "higher",
      promise: { atLeast: 0.5 },
      sides: [
        { role: "ours", name: "session", source, part: "session" },
        { role: "other", name: "its engine", source, part: "engine" },
        { role: "limit", name: "its engine in its fastest way", source, part: "fastest" }
      ]
    }
  })
)

export const rows: ReadonlyArray<Row> = [...acceptanceRows, ...openRows, ...flatRows]
