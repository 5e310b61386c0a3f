/**
 * The purpose of a subscription: routes and forwarders add it to their subscribe options, so that failures name them.
 * It is a symbol because it is not an option for users.
 */
import type { SubscribeOptions } from "../../Subscription.ts"

const purpose: unique symbol = Symbol("@effect-mqttx/core/purpose")

interface WithPurpose {
  readonly [purpose]?: string | undefined
}

/** Adds the purpose to the options, for example `forwarder "up"`. */
export const withPurpose = <Options extends SubscribeOptions>(options: Options, of: string): Options => {
  const marked: Options & WithPurpose = { ...options, [purpose]: of }
  return marked
}

/** Undefined: the program itself subscribed. */
export const purposeOf = (options: SubscribeOptions & WithPurpose): string | undefined => options[purpose]

/** Purposes by queue. One map for all sessions, because most have no such queue. */
const purposes = new WeakMap<object, string>()

export const rememberPurpose = (queue: object, options: SubscribeOptions): void => {
  const of = purposeOf(options)
  if (of !== undefined) purposes.set(queue, of)
}

export const rememberedPurpose = (queue: object): string | undefined => purposes.get(queue)
