/**
 * Decides whether a message may pass a forwarder. It reads the route of the message, which the message carries or the
 * manager remembers.
 */
import type { ForwarderDrops } from "../../ForwarderMetrics.ts"
import type { Delivery } from "../engine/contract.ts"
import { isSameBroker } from "./brokers.ts"
import type { ForwardedMessage } from "./forwardedMessage.ts"
import type { LoopGuard } from "./loopGuard.ts"
import type { ForwarderOptions } from "./options.ts"
import { hasBroker, noRoute, type Route, routeIssue, routeOf } from "./route.ts"
import { Signer } from "./signature.ts"
import type { Source } from "./source.ts"

export interface LoopCheckParts {
  readonly options: ForwarderOptions
  readonly guard: LoopGuard
  /** The marks of the broker of a session; undefined: there is no such session now. */
  readonly brokersOf: (session: string) => ReadonlyArray<string> | undefined
}

export class LoopCheck {
  /** Undefined: every route counts, signed or not. */
  readonly signer: Signer | undefined
  readonly #parts: LoopCheckParts

  constructor(parts: LoopCheckParts) {
    const { loopGuard } = parts.options
    this.#parts = parts
    this.signer = loopGuard === undefined ? undefined : new Signer(loopGuard)
  }

  /** The route of a delivery. */
  routeOf({ reader }: Source, { message, packetIdentifier }: Delivery, now: number): Route {
    const { payload, properties: { userProperties }, topic } = message
    const route = routeOf(userProperties)
    const isValid = route !== noRoute && this.signer?.verify(userProperties, route, topic, payload) !== false
    if (isValid) return route
    return this.#parts.guard.recentWrites.take(reader, message, packetIdentifier, now) ?? noRoute
  }

  /** Why a message is not forwarded; undefined: it may pass, as far as is known at reception. */
  stops(message: ForwardedMessage): Extract<keyof ForwarderDrops, "looped" | "tooManyHops"> | undefined {
    if (message.route === noRoute) return undefined
    const { maxHops, name } = this.#parts.options
    return routeIssue(message.route, name, maxHops) ?? (this.hasReached(message) ? "looped" : undefined)
  }

  /**
   * Whether a message has already been at the target's broker. Always false when source and target are at one broker: a
   * copy under another topic is wanted there.
   */
  hasReached({ route, source }: ForwardedMessage): boolean {
    const { brokersOf, options } = this.#parts
    if (route.brokers === "" || options.allowLoops) return false
    const target = brokersOf(options.target)
    return target !== undefined && hasBroker(route.brokers, target) && !isSameBroker(source.brokers, target)
  }
}
