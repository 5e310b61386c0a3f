/**
 * Changes things while messages go through them, and counts what is lost:
 * `npm run drill -- reload --every 2s --seconds 60 --rate 5000 --qos 1|2 --kill-after N --store file`, and
 * `npm run drill -- rpc --cuts 200 --seed 1`.
 *
 * `reload`: the file of a gateway between two mosquittos changes every `--every`. The forwarder is replaced each time,
 * and one of the two sessions every second time. With `--kill-after N` the gateway is killed with kill -9 after each N
 * reloads, and started again; `--store memory` is the control, which loses by that. `--bridge mosquitto` is the
 * contrast: a mosquitto with two bridges in the place of the gateway. The exit code is 1 when anything is lost or out
 * of order, or comes twice at QoS 2.
 *
 * `rpc`: connections are cut at random while calls and streams run. The exit code is 1 when a call has neither an
 * answer nor a typed failure, has a wrong answer, ran twice, or left its handler running, and when a stream is not
 * complete and in order.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { parseArgs } from "node:util"
import { drill, type DrillOptions } from "./reload.ts"
import { drillRpc, type RpcDrill } from "./rpc.ts"

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    every: { type: "string", default: "2s" },
    seconds: { type: "string", default: "60" },
    rate: { type: "string", default: "5000" },
    qos: { type: "string", default: "2" },
    store: { type: "string", default: "file" },
    "kill-after": { type: "string", default: "0" },
    cuts: { type: "string", default: "200" },
    seed: { type: "string", default: "1" },
    bridge: { type: "string", default: "gateway" }
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
  const { bridge } = values
  if (store !== "file" && store !== "memory") return undefined
  if (bridge !== "gateway" && bridge !== "mosquitto") return undefined
  const isValid = positionals.join(" ") === "reload" && every > 0 && Number.isInteger(seconds) && seconds! > 0 &&
    rate! >= 1 && (qos === 1 || qos === 2) && Number.isInteger(killAfter) && killAfter! >= 0
  return isValid ? { every, seconds: seconds!, rate: rate!, qos, killAfter: killAfter!, store, bridge } : undefined
}

const readRpc = (): RpcDrill | undefined => {
  const [cuts, seed] = [Number(values.cuts), Number(values.seed)]
  return positionals.join(" ") === "rpc" && Number.isInteger(cuts) && cuts > 0 && Number.isInteger(seed)
    ? { cuts, seed }
    : undefined
}

const runReload = async (options: DrillOptions): Promise<boolean> => {
  const outcome = await Effect.runPromise(Effect.scoped(drill(options)))
  for (const [name, value] of Object.entries(outcome)) console.log(name.padEnd(12) + String(value).padStart(10))
  const { disordered, duplicates, lost } = outcome
  return lost + disordered === 0 && (options.qos === 1 || duplicates === 0)
}

const rpc = readRpc()
const reload = readOptions()
if (rpc === undefined && reload === undefined) {
  console.error(
    "npm run drill -- reload --every 2s --seconds 60 --rate 5000 --qos 1|2 --kill-after 0 --store file|memory --bridge gateway|mosquitto\n" +
      "npm run drill -- rpc --cuts 200 --seed 1"
  )
  process.exit(2)
}
const held = rpc === undefined
  ? await runReload(reload!)
  : await Effect.runPromise(Random.withSeed(drillRpc(rpc), rpc.seed))
process.exitCode = held ? 0 : 1
