/**
 * The stage of a forwarder that makes several messages of one. The source is acknowledged when all of them have an
 * outcome. Forwarders without the hook `split` do not have it.
 *
 * `topicMapping.ts` hands it messages, and it hands the parts to `targetQueue.ts`.
 */
import type { Message } from "../../Message.ts"
import { MqttError } from "../../MqttError.ts"
import { checkMessage } from "../session/publishRequest.ts"
import { partsOf, type Received } from "./forwardedMessage.ts"
import type { ForwarderHooks } from "./options.ts"
import { dropped, failed, type Settle } from "./outcome.ts"

export interface SplittingParts {
  readonly split: NonNullable<ForwarderHooks<unknown>["split"]>
  /** The next stage. */
  readonly next: (part: Received) => void
  readonly settle: Settle
}

export class Splitting {
  readonly #parts: SplittingParts

  constructor(parts: SplittingParts) {
    this.#parts = parts
  }

  readonly add = (whole: Received): void => {
    const { next, settle, split } = this.#parts
    let messages: ReadonlyArray<Message>
    try {
      messages = Array.from(split(whole.message), (payload) => checked(whole.message.with({ payload })))
    } catch (cause) {
      return settle(whole, failed("the message could not be split", cause))
    }
    if (messages.length === 0) return settle(whole, dropped("transformed"))
    for (const part of partsOf(whole, messages)) next(part)
  }
}

/** Untyped code may return any value. */
const checked = (message: Message): Message => {
  const fit = checkMessage(message)
  if ("_tag" in fit) throw new MqttError({ reason: fit })
  return fit
}
