/**
 * Checks whether the sessions of a forwarder fit its options: a durable target where the options need one, and no
 * unguarded loop from the target back into the sources.
 *
 * Looks at options only, never at the traffic between sessions.
 */
import { ForwarderFailed, InvalidOptions, type MqttErrorReason } from "../../MqttError.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import { type BrokerMarks, isSameBroker } from "./brokers.ts"
import type { CompiledRule } from "./mapping.ts"
import type { ForwarderOptions } from "./options.ts"
import { findLoop } from "./topicImage.ts"

export interface SessionChecksParts {
  readonly options: ForwarderOptions
  /** The filters without those that another filter covers. */
  readonly filters: ReadonlyArray<string>
  readonly rules: ReadonlyArray<CompiledRule>
  /** Whether a function of the program maps topics too. */
  readonly isOpen: boolean
  readonly marks: BrokerMarks
  /** The options of the session of this name; undefined if there is none. */
  readonly optionsOf: (session: string) => SessionOptions | undefined
}

export class SessionChecks {
  readonly #parts: SessionChecksParts
  /** What the mapping can make of a filter, and the filter that would bring it back. */
  readonly #loop: ReturnType<typeof findLoop>

  constructor(parts: SessionChecksParts) {
    const { filters, isOpen, options, rules } = parts
    this.#parts = parts
    this.#loop = findLoop({ filters, exclude: options.exclude, rules, pass: options.unmapped === "pass", isOpen })
  }

  /** The first problem among the sessions that exist now. */
  get issue(): MqttErrorReason | undefined {
    const { options, optionsOf } = this.#parts
    const target = optionsOf(options.target)
    if (target === undefined) return undefined
    const acceptance = this.targetIssue(target)
    if (acceptance !== undefined) return acceptance
    for (const source of options.sources) {
      const known = optionsOf(source)
      const issue = known === undefined ? undefined : this.#loopIssue(known, target)
      if (issue !== undefined) return issue
    }
    return undefined
  }

  /** Why a session cannot be a source. */
  sourceIssue(source: SessionOptions): MqttErrorReason | undefined {
    const { options, optionsOf } = this.#parts
    const target = optionsOf(options.target)
    return target === undefined ? undefined : this.#loopIssue(source, target)
  }

  /** Why a session cannot be the target. */
  targetIssue(target: SessionOptions): MqttErrorReason | undefined {
    if (this.#parts.options.acceptance !== "stored" || target.persistence === "durable") return undefined
    const message = `"stored" needs a durable target, and session ${JSON.stringify(target.name)} is none`
    return new InvalidOptions({ issues: [{ path: "acceptance", message }] })
  }

  /** Why messages would circulate between a source and the target without a guard that stops them. */
  #loopIssue(source: SessionOptions, target: SessionOptions): MqttErrorReason | undefined {
    const { marks, options } = this.#parts
    const loop = this.#loop
    if (loop === undefined || options.allowLoops) return undefined
    // On MQTT 5 the messages carry the list of brokers that they have passed.
    if (source.protocolVersion === 5 && target.protocolVersion === 5) return undefined
    if (!isSameBroker(marks.of(source), marks.of(target))) return undefined
    return new ForwarderFailed({
      forwarder: options.name,
      detail: `it would feed itself: what it writes to ${loop.image} comes back by ${loop.filter} of session ` +
        `${JSON.stringify(source.name)}, and MQTT 3.1.1 has nothing to tell by; exclude it, or set allowLoops`
    })
  }
}
