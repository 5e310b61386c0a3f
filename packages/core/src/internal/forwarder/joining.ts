/**
 * Makes one message of the members of a batch, at the moment of its publish: what has expired or gone back to its
 * source by then is not in it. `targetQueue.ts` calls it.
 */
import type { Message } from "../../Message.ts"
import { MqttError } from "../../MqttError.ts"
import type { Payload } from "../../Publication.ts"
import type { PublishRequest } from "../engine/contract.ts"
import { checkMessage } from "../session/publishRequest.ts"
import { type Batch, type ForwardedMessage, originsOf, type Received, type Waiting } from "./forwardedMessage.ts"
import type { ForwarderBatch } from "./options.ts"
import { failed, filtered, type Outcome, type Settle } from "./outcome.ts"

export interface JoiningParts {
  readonly join: ForwarderBatch["join"] | undefined
  readonly settle: Settle
}

/**
 * Takes the members that have an outcome out of a batch, and joins the others. Answers the outcome of a batch that must
 * not be published, because it has no member or cannot be joined.
 */
export const joinBatch = (
  batch: Waiting,
  group: Batch,
  { join, settle }: JoiningParts,
  outcomeOf: (member: Received) => Outcome | undefined
): Outcome | undefined => {
  const before = group.members
  group.members = before.filter((member) => {
    const outcome = outcomeOf(member)
    if (outcome === undefined) return true
    member.leaveBatch()
    settle(member, outcome)
    return false
  })
  // An outcome for no message.
  if (group.members.length === 0) return filtered
  if (group.isJoined && group.members.length === before.length) return undefined
  try {
    batch.transform(joined(batch.message, join!(group.members.map(({ message }) => message))))
  } catch (cause) {
    return failed("the batch could not be joined", cause)
  }
  batch.prepare(undefined)
  group.isJoined = true
  return undefined
}

/** Untyped code may return any value. */
const joined = (message: Message, payload: Payload): Message => {
  const fit = checkMessage(message.with({ payload, properties: {} }))
  if ("_tag" in fit) throw new MqttError({ reason: fit })
  return fit
}

/** The origins that the publish of a message stores. */
export const originOf = (message: ForwardedMessage): PublishRequest["origin"] => {
  if (message.group?._tag !== "Batch") return message.origin
  const origins = originsOf(message)
  return origins.length === 0 ? undefined : origins
}
