/**
 * What `doctor` finds out, and how it prints it.
 */
import * as PeerText from "@effect-mqttx/core/PeerText"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** One thing that `doctor` looked at. */
export interface Check {
  /** What it is about: `dns`, `tcp`, `tls`, `connect`, `qos0` and so on. */
  readonly name: string
  /** `ok`; `no`: the server does not offer it; `failed`: it does not work. */
  readonly status: "ok" | "no" | "failed"
  /** What was found. */
  readonly detail: string
  /** What to do about it. */
  readonly advice?: string | undefined
  /** Milliseconds that it took. */
  readonly millis?: number
}

export const check = (
  name: string,
  status: Check["status"],
  detail: string,
  advice?: string
): Check => ({ name, status, detail, ...(advice !== undefined && { advice }) })

/** Adds the time that a check took. */
export const timed = <E, R>(effect: Effect.Effect<Check, E, R>): Effect.Effect<Check, E, R> =>
  Effect.gen(function*() {
    const from = yield* Clock.currentTimeMillis
    const found = yield* effect
    return { ...found, millis: (yield* Clock.currentTimeMillis) - from }
  })

const marks = { ok: "ok    ", no: "no    ", failed: "FAILED" } as const

/** A check as lines for people. The server's words in it are clean. */
export const linesOf = ({ advice, detail, millis, name, status }: Check): string => {
  const time = millis === undefined ? "" : ` (${millis} ms)`
  const first = `${marks[status]}  ${name.padEnd(12)} ${PeerText.clean(detail, 1000)}${time}\n`
  return advice === undefined ? first : `${first}${" ".repeat(21)}${advice}\n`
}
