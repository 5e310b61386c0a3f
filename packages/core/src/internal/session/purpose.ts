/**
 * For whom a subscription is: what a route or a forwarder adds to the options of its subscriptions, so that failures
 * name it. A symbol, since it is no option for users.
 */
import type { SubscribeOptions } from "../../Subscription.ts"

const purpose: unique symbol = Symbol("@effect-mqttx/core/purpose")

interface WithPurpose {
  readonly [purpose]?: string | undefined
}

/** The options with whom they are for, for example `forwarder "up"`. */
export const withPurpose = <Options extends SubscribeOptions>(options: Options, of: string): Options => {
  const marked: Options & WithPurpose = { ...options, [purpose]: of }
  return marked
}

/** Undefined: the subscription is the program's own. */
export const purposeOf = (options: SubscribeOptions & WithPurpose): string | undefined => options[purpose]

/** Of queues whose subscription has a purpose: one map for all sessions, since most have no such queue. */
const purposes = new WeakMap<object, string>()

export const rememberPurpose = (queue: object, options: SubscribeOptions): void => {
  const of = purposeOf(options)
  if (of !== undefined) purposes.set(queue, of)
}

export const rememberedPurpose = (queue: object): string | undefined => purposes.get(queue)
