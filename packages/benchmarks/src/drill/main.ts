/**
 * Changes things while messages go through them, and counts what is lost:
 * `npm run drill -- reload --every 2s --seconds 60 --rate 5000 --qos 1|2 --kill-after N --store file`.
 *
 * `reload`: the file of a gateway between two mosquittos changes every `--every`. The forwarder is replaced each time,
 * and one of the two sessions every second time. With `--kill-after N` the gateway is killed with kill -9 after each N
 * reloads, and started again; `--store memory` is the control, which loses by that. The exit code is 1 when anything is lost or out of order, or comes twice at QoS 2.
 */
import * as Effect from "effect/Effect"
import { parseArgs } from "node:util"
import { drill, type DrillOptions } from "./reload.ts"

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    every: { type: "string", default: "2s" },
    seconds: { type: "string", default: "60" },
    rate: { type: "string", default: "5000" },
    qos: { type: "string", default: "2" },
    store: { type: "string", default: "file" },
    "kill-after": { type: "string", default: "0" }
  }
})

const millisOf = (text: string): number => {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s)$/.exec(text) ?? []
  return Number(number) * (unit === "s" ? 1000 : 1)
}

const readOptions = (): DrillOptions | undefined => {
  const every = millisOf(values.every)
  const [seconds, rate, qos, killAfter] = [values.seconds, values.rate, values.qos, values["kill-after"]].map(Number)
  const { store } = values
  if (store !== "file" && store !== "memory") return undefined
  const isValid = positionals.join(" ") === "reload" && every > 0 && Number.isInteger(seconds) && seconds! > 0 &&
    rate! >= 1 && (qos === 1 || qos === 2) && Number.isInteger(killAfter) && killAfter! >= 0
  return isValid ? { every, seconds: seconds!, rate: rate!, qos, killAfter: killAfter!, store } : undefined
}

const options = readOptions()
if (options === undefined) {
  console.error(
    "npm run drill -- reload --every 2s --seconds 60 --rate 5000 --qos 1|2 --kill-after 0 --store file|memory"
  )
  process.exit(2)
}
const outcome = await Effect.runPromise(Effect.scoped(drill(options)))
for (const [name, value] of Object.entries(outcome)) console.log(name.padEnd(12) + String(value).padStart(10))
const { disordered, duplicates, lost } = outcome
process.exitCode = lost + disordered > 0 || (options.qos === 2 && duplicates > 0) ? 1 : 0
