/**
 * State that all forwarders of a manager share, so that no message returns to a broker that already has it.
 */
import type { Random } from "effect/Random"
import type { Manager } from "../manager/contract.ts"
import { registryOf } from "../manager/registry.ts"
import { BrokerMarks } from "./brokers.ts"
import { RecentWrites } from "./recentWrites.ts"

export class LoopGuard {
  readonly marks: BrokerMarks
  readonly recentWrites = new RecentWrites()

  constructor(random: Random) {
    this.marks = new BrokerMarks(`${random.nextIntUnsafe()} ${random.nextIntUnsafe()}`)
  }
}

const ofManager = new WeakMap<object, LoopGuard>()

export const loopGuardOf = (manager: Manager, random: Random): LoopGuard => {
  const key = registryOf(manager) ?? manager
  let guard = ofManager.get(key)
  if (guard === undefined) ofManager.set(key, guard = new LoopGuard(random))
  return guard
}
