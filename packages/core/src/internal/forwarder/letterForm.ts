/**
 * The forms of a dead letter: as a whole, and smaller where a server refuses that.
 */
import type { MqttErrorReason } from "../../MqttError.ts"

/**
 * How much of a message its dead letter has. `whole`: all, and the marks; `unmarked`: all, without the marks, for a
 * server to which they are too much; `marks`: no payload and no properties of its own, for one to which the message
 * itself is.
 */
export type LetterForm = "whole" | "unmarked" | "marks"

/** The form to try next when a server refuses one; undefined: there is none. */
export const smallerForm = (form: LetterForm, reason: MqttErrorReason): LetterForm | undefined => {
  if (reason._tag !== "PacketTooLarge" || form === "marks") return undefined
  return form === "whole" ? "unmarked" : "marks"
}

/** By which the memory of dead letters knows the server of a session. */
export const serversKey = ({ servers }: { readonly servers: ReadonlyArray<string> }): string => servers.join(" ")
