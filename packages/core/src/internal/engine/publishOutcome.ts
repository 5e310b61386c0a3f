/**
 * Outcomes of published messages, made from acknowledgements and errors.
 */
import { type MqttErrorReason, PublishRefused } from "../../MqttError.ts"
import type { Puback, Pubrec } from "../../Packet.ts"
import { cleanText } from "../peerText.ts"
import type { PublishOutcome } from "./contract.ts"

/** The usual success, shared by all messages. */
export const acknowledged: PublishOutcome = Object.freeze({
  _tag: "Acknowledged",
  reasonCode: 0,
  reasonString: undefined
})

/** A success with the server's reason code and reason string. */
export const succeeded = (reasonCode: number, reasonString: string | undefined): PublishOutcome =>
  reasonCode === 0 && reasonString === undefined ? acknowledged : { _tag: "Acknowledged", reasonCode, reasonString }

export const failed = (reason: MqttErrorReason): PublishOutcome => ({ _tag: "Failed", reason })

/** The outcome that an acknowledgement means for its message. */
export const outcomeOf = ({ properties, reasonCode }: Puback | Pubrec): PublishOutcome => {
  const { reasonString } = properties
  if (reasonCode < 0x80) return succeeded(reasonCode, reasonString)
  return failed(
    new PublishRefused(
      reasonString === undefined ? { reasonCode } : { reasonCode, reasonString: cleanText(reasonString) }
    )
  )
}
