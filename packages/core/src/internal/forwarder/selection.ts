/**
 * Selects the received messages that are forwarded, by the options about payloads, samples and repetition.
 */
import * as Duration from "effect/Duration"
import type { Random } from "effect/Random"
import type { Message } from "../../Message.ts"
import { digest } from "../digest.ts"
import { payloadText } from "../expressions.ts"
import type { ForwarderOptions, Sampling } from "./options.ts"

/** Whether a message passes. */
export type Test = (message: Message, now: number) => boolean

/** Number of topics whose last sample is remembered. */
const sampledTopics = 10_000

/**
 * Combines all tests of a configuration; undefined when there are none.
 *
 * A redelivery (DUP) passes sampling and comparison. Its first delivery may have been selected, and would be lost if
 * this one were acknowledged as unselected.
 */
export const makeSelection = (
  { contains, matches, onChange, sample }: ForwarderOptions,
  random: Random
): Test | undefined => {
  const tests: Array<Test> = []
  if (contains !== undefined) tests.push((message) => message.text.includes(contains))
  if (matches !== undefined) {
    const expression = new RegExp(matches)
    tests.push((message) => expression.test(payloadText(message)))
  }
  if (onChange > 0) tests.push(fresh(changed(onChange)))
  if (sample !== undefined) tests.push(fresh(sampled(sample, random)))
  if (tests.length === 0) return undefined
  return (message, now) => {
    for (let i = 0; i < tests.length; i++) if (!tests[i]!(message, now)) return false
    return true
  }
}

const fresh = (test: Test): Test => (message, now) => message.dup || test(message, now)

const changed = (topics: number): Test => {
  const last = new Recent<number>(topics)
  return ({ payload, topic }) => {
    const now = digest("", payload)
    if (last.get(topic) === now) return false
    last.set(topic, now)
    return true
  }
}

const sampled = (sample: Sampling, random: Random): Test => {
  if ("every" in sample) {
    let count = 0
    return () => {
      if (++count < sample.every) return false
      count = 0
      return true
    }
  }
  if ("probability" in sample) return () => random.nextDoubleUnsafe() < sample.probability
  const interval = Duration.toMillis(sample.interval)
  const last = new Recent<number>(sampledTopics)
  return ({ topic }, now) => {
    const before = last.get(topic)
    if (before !== undefined && now - before < interval) return false
    last.set(topic, now)
    return true
  }
}

/** Values by key. The least recently used ones are dropped first. */
export class Recent<A> {
  readonly #capacity: number
  readonly #values = new Map<string, A>()

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get(key: string): A | undefined {
    const value = this.#values.get(key)
    if (value !== undefined) {
      this.#values.delete(key)
      this.#values.set(key, value)
    }
    return value
  }

  set(key: string, value: A): void {
    this.#values.delete(key)
    this.#values.set(key, value)
    if (this.#values.size > this.#capacity) this.#values.delete(this.#values.keys().next().value!)
  }
}
