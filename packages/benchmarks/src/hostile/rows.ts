/**
 * Attacks a session in a process of its own, one attack for each row, and compares the growth of its resident memory
 * with what the memory limit allows.
 */
import { Child, sleep } from "../harness/child.ts"
import type { Measurement, Row, Source } from "../harness/model.ts"
import { type Attack, attacks } from "./attacks.ts"
import type { PeerReply, Target, VictimReply, VictimRequest } from "./contract.ts"

/** MiB above the budget that the garbage collector and the network may hold for a moment. */
const tolerance = 64
/** How long an attack lasts. */
const seconds = 12
/** Mebibytes: the heap of the attacked process. */
const heap = 512
/** An attack that takes much longer than its time is the end of its process. */
const graceMillis = 20_000

/** Attacks a session and answers the growth of its process in MiB. */
const run = async (attack: Attack, index: number): Promise<Measurement> => {
  const peer = new Child<never, PeerReply>(new URL("./peer.js", import.meta.url), {
    args: [String(index), String(seconds)]
  })
  let victim: Child<VictimRequest, VictimReply> | undefined
  try {
    const { port } = await peer.next("Listening", graceMillis)
    const target: Target = {
      port,
      protocolVersion: attack.version,
      transport: attack.transport ?? "tcp",
      behaviour: attack.behaviour,
      qos: attack.qos ?? 1
    }
    victim = new Child(new URL("./victim.js", import.meta.url), {
      args: [JSON.stringify(target)],
      nodeOptions: [`--max-old-space-size=${heap}`, "--expose-gc"]
    })
    const { resident } = await victim.next("Ready", graceMillis)
    const done = peer.next("Done", seconds * 1000 + graceMillis)
    const { bytes, connections, note } = await Promise.race([done, lost(victim)])
    await sleep(500)
    const { peak, received, stall, state } = await victim.ask({ _tag: "Sample" }, "Sample", graceMillis)
    const growth = Math.max(1, Math.round((peak - resident) / 2 ** 20))
    return {
      value: growth,
      note: `${Math.round(bytes / 2 ** 20)} MiB sent, stood still for ${
        Math.round(stall)
      } ms at most, ${received} messages, ${connections} connections, ${state}; ${note}`
    }
  } finally {
    await Promise.all([victim?.end(), peer.end()])
  }
}

const lost = async (victim: Child<VictimRequest, VictimReply>): Promise<never> => {
  await victim.exited
  // Says how it ended.
  await victim.next("Sample")
  throw new Error("the attacked process ended")
}

const sourceOf = (attack: Attack, index: number, name: string): Source => ({
  name,
  measure: async ({ budget }) => ({ growth: await run(attack, index), allowed: { value: budget + tolerance } }),
  maxRounds: 1
})

export const rows: ReadonlyArray<Row> = attacks.map((attack, index) => {
  const title = `${attack.name}, ${attack.version === 4 ? "3.1.1" : "5"}, QoS ${attack.qos ?? 1}`
  const source = sourceOf(attack, index, title)
  return {
    id: `hostile.${index}`,
    title,
    unit: "MiB",
    better: "lower",
    promise: { atLeast: 1, tolerance: 0 },
    sides: [
      { role: "ours", name: "growth", source, part: "growth" },
      { role: "other", name: "allowed", source, part: "allowed" }
    ]
  }
})
