/**
 * What a seed decides about one run of `World`.
 */
import type { EngineOptions } from "../../src/internal/engine/contract.ts"
import type { ProtocolVersion } from "../../src/QoS.ts"
import { engineOptions } from "./harness.ts"

/** mulberry32: small, fast, and the same everywhere. */
export const makeRandom = (seed: number) => {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  return {
    chance: (probability: number): boolean => next() < probability,
    /** From `low` to `high`, both included. */
    int: (low: number, high: number): number => low + Math.floor(next() * (high - low + 1)),
    pick: <A>(values: ReadonlyArray<A>): A => values[Math.floor(next() * values.length)]!
  }
}

/** What the seed decides for its whole run. */
export interface Plan {
  readonly seed: number
  readonly protocolVersion: ProtocolVersion
  readonly durable: boolean
  readonly crashes: boolean
  readonly churn: boolean
  readonly losses: boolean
  readonly slots: ReadonlyArray<ReadonlyArray<string>>
  /** The consumers have names, so that one may be away for a while, and a restart knows who has finished with what. */
  readonly named: boolean
  readonly overlapping: "merge" | "separate"
  readonly options: EngineOptions
  readonly firstPacketIdentifier: number
  readonly steps: number
  /** The server's Topic Alias Maximum, on one connection after the other. */
  readonly aliasMaximums: ReadonlyArray<number>
  /** Topics of messages of the client begin so: long enough for a topic alias, or not. */
  readonly prefix: string
}

export const makePlan = (seed: number): Plan => {
  const random = makeRandom(seed * 7919 + 1)
  const protocolVersion = random.chance(0.6) ? 5 : 4
  const durable = random.chance(0.5)
  const crashes = durable && random.chance(0.5)
  const churn = random.chance(0.3)
  const losses = random.chance(0.4)
  const slots = [["s/#"], ["s/+", "s/0"], ["s/0", "s/#"]].slice(0, random.int(1, 3))
  // Without names a restarted process does not know which of several consumers have finished with a message.
  const named = (crashes && slots.length > 1) || random.chance(0.3)
  const maxInflight = random.int(1, 8)
  return {
    seed,
    protocolVersion,
    durable,
    crashes,
    churn,
    losses,
    slots,
    named,
    // On 3.1.1 nothing tells copies apart; and a new session would have to confirm its filters first.
    overlapping: protocolVersion === 5 && !losses && random.chance(0.5) ? "separate" : "merge",
    options: engineOptions({
      protocolVersion,
      durable,
      receiveMaximum: protocolVersion === 5 ? random.int(1, 8) : 65_535,
      topicAliasMaximum: protocolVersion === 5 ? random.int(0, 3) : 0,
      maxInflight,
      maxInflightQoS2: random.int(1, maxInflight),
      queue: { messages: random.int(1, 20), bytes: 100_000, policy: "suspend" },
      unacknowledgedOnSessionLost: random.chance(0.7) ? "resend" : "fail",
      unclaimed: { hold: 1e12, messages: 1e9 },
      ackDeadline: 1e12
    }),
    firstPacketIdentifier: random.chance(0.7) ? random.int(65_500, 65_535) : 1,
    steps: random.int(40, 250),
    ...aliasPlan(makeRandom(seed * 7919 + 2))
  }
}

// From numbers of its own: the rest of a plan stays what its seed says.
const aliasPlan = (random: ReturnType<typeof makeRandom>): Pick<Plan, "aliasMaximums" | "prefix"> => ({
  aliasMaximums: [random.int(0, 3), random.int(1, 2), random.int(0, 3)],
  prefix: random.chance(0.8) ? "c/a/topic/of/some/length" : "c"
})
