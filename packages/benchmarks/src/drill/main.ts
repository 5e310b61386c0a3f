/**
 * Changes things while messages go through them, and counts what is lost:
 * `npm run drill -- reload --every 2s --seconds 60 --rate 5000 --qos 1|2 --kill-after N --store file`,
 * `npm run drill -- rpc --cuts 200 --seed 1`, and
 * `npm run drill -- failover --kills 100 --sessions 12 --seed 1`.
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
 *
 * `failover`: three processes own sessions together, and one after the other is killed, paused or cut off from the
 * database. The exit code is 1 when a message is lost or comes twice, or when a session had two owners.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { parseArgs } from "node:util"
import { drillFailover, type FailoverDrill, type FailoverOutcome } from "./failover.ts"
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
    kills: { type: "string", default: "100" },
    sessions: { type: "string", default: "12" },
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

const readFailover = (): FailoverDrill | undefined => {
  const [kills, sessions, seed] = [Number(values.kills), Number(values.sessions), Number(values.seed)]
  const isValid = positionals.join(" ") === "failover" &&
    [kills, sessions].every((n) => Number.isInteger(n) && n > 0) &&
    Number.isInteger(seed)
  return isValid ? { kills, sessions, seed, rate: 4 } : undefined
}

const runReload = async (options: DrillOptions): Promise<boolean> => {
  const outcome = await Effect.runPromise(Effect.scoped(drill(options)))
  for (const [name, value] of Object.entries(outcome)) console.log(name.padEnd(12) + String(value).padStart(10))
  const { disordered, duplicates, lost } = outcome
  return lost + disordered === 0 && (options.qos === 1 || duplicates === 0)
}

const tableOf = ({ faults, gaps }: FailoverOutcome): ReadonlyArray<ReadonlyArray<string>> => {
  const row = (name: string, count: number, all: ReadonlyArray<number>): ReadonlyArray<string> => {
    const sorted = [...all].sort((a, b) => a - b)
    const at = (part: number): string => `${Math.round(sorted[Math.ceil(part * sorted.length) - 1] ?? 0)} ms`
    return [name, String(count), String(all.length), at(0.5), at(0.99), at(1)]
  }
  return [
    ["fault", "faults", "sessions", "p50", "p99", "max"],
    row("kill -9", faults.kill, gaps.kill),
    row("paused", faults.pause, gaps.pause),
    row("cut off", faults.cut, gaps.cut),
    row("all", faults.kill + faults.pause + faults.cut, [...gaps.kill, ...gaps.pause, ...gaps.cut])
  ]
}

const runFailover = async (options: FailoverDrill): Promise<boolean> => {
  const outcome = await Effect.runPromise(Random.withSeed(drillFailover(options), options.seed))
  for (const cells of tableOf(outcome)) console.log(cells.map((cell) => cell.padStart(10)).join(""))
  const { doubled, lost, published, secondOwners } = outcome
  console.log(`published ${published}, lost ${lost}, doubled ${doubled}, second owners ${secondOwners}`)
  return lost + doubled + secondOwners === 0
}

const runRpc = (options: RpcDrill): Promise<boolean> =>
  Effect.runPromise(Random.withSeed(drillRpc(options), options.seed))

const rpc = readRpc()
const reload = readOptions()
const failover = readFailover()
const run = rpc !== undefined
  ? runRpc(rpc)
  : reload !== undefined
  ? runReload(reload)
  : failover !== undefined
  ? runFailover(failover)
  : undefined
if (run === undefined) {
  console.error(
    "npm run drill -- reload --every 2s --seconds 60 --rate 5000 --qos 1|2 --kill-after 0 --store file|memory --bridge gateway|mosquitto\n" +
      "npm run drill -- rpc --cuts 200 --seed 1\n" +
      "npm run drill -- failover --kills 100 --sessions 12 --seed 1"
  )
  process.exit(2)
}
process.exitCode = (await run) ? 0 : 1
