/**
 * Text that a peer chose, made fit to be shown: topic names, client identifiers, filters, text payloads.
 *
 * Such text must not break a line of a log, move the cursor of a terminal, change the direction of the text around it
 * or fill a disk. The errors and log lines of this library are clean already. Clean what you print yourself of events
 * and messages.
 *
 * @example
 * Effect.log(PeerText.clean(message.topic))
 */
import { cleanText, maximumLength } from "./internal/peerText.ts"

/**
 * The text on one line, with each character that does not show replaced by U+FFFD, and at most `maximum` UTF-16 code
 * units long; default 256.
 */
export const clean = (text: string, maximum: number = maximumLength): string => cleanText(text, maximum)
