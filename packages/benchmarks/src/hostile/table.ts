/**
 * Attacks a session in a process of its own, one attack after the other, and prints its highest resident memory beside
 * the budget.
 */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { type Attack, attacks } from "./attacks.ts"
import type { PeerReply, Target, VictimReply } from "./contract.ts"

export interface HostilePlan {
  /** Mebibytes that a session may take for what its peers send. */
  readonly budget: number
  /** Mebibytes above it that the garbage collector and the network may hold for a moment. */
  readonly tolerance: number
  readonly seconds: number
  readonly rows: string
}

/** Mebibytes: the heap of the attacked process. */
const heap = 512
/** An attack that takes much longer than its time is the end of its process. */
const graceMillis = 20_000

const mebibytes = (bytes: number): number => Math.round(bytes / 1_048_576)

const next = async <A extends { readonly _tag: string }, T extends A["_tag"]>(
  child: ChildProcess,
  tag: T,
  millis: number
): Promise<Extract<A, { readonly _tag: T }>> => {
  const waiting = new AbortController()
  const signal = AbortSignal.any([waiting.signal, AbortSignal.timeout(millis)])
  const exit = once(child, "exit", { signal }).then(([code, reason]) => {
    throw new Error(`ended with ${code ?? reason}`)
  })
  exit.catch(() => {})
  try {
    while (true) {
      const [message] = await Promise.race([once(child, "message", { signal }), exit])
      if (message._tag === tag) return message
    }
  } finally {
    waiting.abort()
  }
}

interface Result {
  readonly growth: number | undefined
  readonly line: string
}

const run = async (attack: Attack, index: number, plan: HostilePlan): Promise<Result> => {
  const peer = fork(new URL("./peer.js", import.meta.url), [String(index), String(plan.seconds)])
  let victim: ChildProcess | undefined
  try {
    const { port } = await next<PeerReply, "Listening">(peer, "Listening", graceMillis)
    const target: Target = {
      port,
      protocolVersion: attack.version,
      transport: attack.transport ?? "tcp",
      behaviour: attack.behaviour,
      qos: attack.qos ?? 1
    }
    const done = next<PeerReply, "Done">(peer, "Done", plan.seconds * 1000 + graceMillis)
    done.catch(() => {})
    victim = fork(new URL("./victim.js", import.meta.url), [JSON.stringify(target)], {
      execArgv: [`--max-old-space-size=${heap}`, "--expose-gc"],
      stdio: ["ignore", "ignore", "ignore", "ipc"]
    })
    const { resident } = await next<VictimReply, "Ready">(victim, "Ready", graceMillis)
    const lost = once(victim, "exit").then(([code, signal]) => {
      throw new Error(`the session's process ended with ${code ?? signal}`)
    })
    lost.catch(() => {})
    const { bytes, connections, note } = await Promise.race([done, lost])
    await Promise.race([new Promise((resolve) => setTimeout(resolve, 500)), lost])
    const sample = next<VictimReply, "Sample">(victim, "Sample", graceMillis)
    victim.send("sample")
    const { peak, received, stall, state } = await sample
    const growth = mebibytes(Math.max(0, peak - resident))
    return {
      growth,
      line: [
        `${mebibytes(bytes)}`.padStart(8),
        `${mebibytes(peak)}`.padStart(8),
        `+${growth}`.padStart(8),
        `${Math.round(stall)}`.padStart(8),
        `${received}`.padStart(10),
        `${connections}`.padStart(6),
        ` ${state}; ${note}`
      ].join("")
    }
  } catch (error) {
    return { growth: undefined, line: `  ${error instanceof Error ? error.message : String(error)}` }
  } finally {
    victim?.kill("SIGKILL")
    peer.kill("SIGKILL")
  }
}

/** Runs the attacks and prints the table; answers the names of those that the session did not stand. */
export const benchmarkHostile = async (plan: HostilePlan): Promise<ReadonlyArray<string>> => {
  const allowed = plan.budget + plan.tolerance
  console.log(
    `Attacks on one session with default options, each in a process with a heap of ${heap} MiB, Node ${process.version}\n` +
      `Budget ${plan.budget} MiB: at most +${allowed} MiB resident beside the idle session\n\n` +
      "attack".padEnd(62) + ["sent", "peak", "growth", "stall"].map((title) => title.padStart(8)).join("") +
      "received".padStart(10) + "conn.".padStart(6) + "\n" +
      "".padEnd(62) + ["MiB", "MiB", "MiB", "ms"].map((unit) => unit.padStart(8)).join("")
  )
  const failed: Array<string> = []
  for (let index = 0; index < attacks.length; index++) {
    const attack = attacks[index]!
    const name = `${attack.name}, ${attack.version === 4 ? "3.1.1" : "5"}, QoS ${attack.qos ?? 1}`
    if (!name.includes(plan.rows)) continue
    const { growth, line } = await run(attack, index, plan)
    const stands = growth !== undefined && growth <= allowed
    if (!stands) failed.push(name)
    console.log(`${stands ? " " : "x"} ${name.padEnd(60)}${line}`)
  }
  return failed
}
