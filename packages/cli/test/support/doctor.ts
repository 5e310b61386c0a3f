/**
 * `effect-mqttx doctor --json` as a process, and what it reports.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "./program.ts"

interface Check {
  readonly name: string
  readonly status: string
  readonly detail: string
  readonly advice?: string
}

/** What `doctor` says of a server that can do everything. */
export const abilities = {
  limits: "ok",
  qos0: "ok",
  qos1: "ok",
  qos2: "ok",
  retained: "ok",
  wildcard: "ok",
  shared: "ok",
  identifiers: "ok"
}

/** The exit code and the report of `doctor --json`. */
export const examine = (...args: ReadonlyArray<string>) =>
  Effect.map(run(["doctor", ...args, "--json"]), ({ code, stderr, stdout }) => {
    assert.strictEqual(stderr, "")
    const report = JSON.parse(stdout) as { readonly checks: ReadonlyArray<Check>; readonly limits?: object }
    return {
      code,
      ...report,
      statuses: Object.fromEntries(report.checks.map(({ name, status }) => [name, status])),
      of: (name: string) => report.checks.find((check) => check.name === name)!
    }
  })
