/**
 * Makes text that a peer chose safe to show: topic names, client identifiers, filters, text payloads.
 *
 * Such text must not break a line of a log, move the cursor of a terminal, change the direction of the text around it
 * or fill a disk. The errors and log lines of this library are clean already. Clean events and messages that you print
 * yourself.
 *
 * **Example** (Printing a topic)
 *
 * ```ts
 * import { type Message, PeerText } from "@effect-mqttx/core"
 * import { Effect } from "effect"
 *
 * export const report = (message: Message.Message) => Effect.log(PeerText.clean(message.topic))
 * ```
 */
import { cleanText, maximumLength } from "./internal/peerText.ts"

/**
 * The text on one line, with each invisible character replaced by U+FFFD, and at most `maximum` UTF-16 code units long;
 * default 256.
 *
 * @stability stable
 * @category formatting
 * @since 0.1.0
 */
export const clean = (text: string, maximum: number = maximumLength): string => cleanText(text, maximum)
