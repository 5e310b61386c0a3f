/**
 * The forms of a dead letter: the whole message, and smaller forms for a server that refuses it.
 */
import type { MqttErrorReason } from "../../MqttError.ts"

/**
 * How much of a message its dead letter contains. `whole`: everything, and the marks. `unmarked`: everything without
 * the marks, for a server that refuses the marks as too large. `marks`: no payload and no properties of the message,
 * for a server that refuses the message itself as too large.
 */
export type DeadLetterForm = "whole" | "unmarked" | "marks"

/** The form to try next after a server refused one; undefined: there is none. */
export const smallerForm = (form: DeadLetterForm, reason: MqttErrorReason): DeadLetterForm | undefined => {
  if (reason._tag !== "PacketTooLarge" || form === "marks") return undefined
  return form === "whole" ? "unmarked" : "marks"
}

/** The key of a session's servers in the memory of dead letters. */
export const serversKey = ({ servers }: { readonly servers: ReadonlyArray<string> }): string => servers.join(" ")
