/**
 * The lives of a broker core. The limits survive its crash, like a configuration, and so do the numbers of messages.
 * `hub.ts` calls it.
 */
import type { BrokerCore, BrokerLimits, CoreOptions } from "../broker/contract.ts"
import { makeBrokerCore } from "../broker/core.ts"

export class CoreLife {
  readonly #options: CoreOptions
  readonly #now: () => number
  #limits: Partial<BrokerLimits>
  #sequence = 0
  /** Undefined after a crash, until the start. */
  core: BrokerCore | undefined

  constructor(options: CoreOptions, now: () => number) {
    this.#options = options
    this.#now = now
    this.#limits = options.limits ?? {}
    this.start()
  }

  start(): void {
    this.core ??= makeBrokerCore({
      ...this.#options,
      limits: this.#limits,
      // Message numbers continue after a crash, so that logs of both lives can be distinguished.
      firstSequence: this.#sequence + 1,
      onPublished: (message) => {
        this.#sequence = message.sequence
        this.#options.onPublished?.(message)
      }
    }, this.#now())
  }

  crash(): void {
    this.core = undefined
  }

  setLimits(limits: Partial<BrokerLimits>): void {
    this.#limits = { ...this.#limits, ...limits }
    this.core?.setLimits(limits)
  }
}
