/**
 * Cleans text that a peer chose (reason strings, server references, topic names, messages of network errors), so that
 * it can be displayed.
 *
 * Such text reaches logs, terminals and pages. It must not break a line, move a cursor, change the direction of the
 * text around it or fill a disk. All text that enters an error, an event, a log line or a page passes `cleanText`
 * first. Values that a program may need exactly (message properties, the properties of CONNACK) never do. Pure, without
 * imports.
 */

/** The longest displayed text, in UTF-16 code units. */
export const maximumLength = 256

// Line and paragraph breaks and tabs become one space.
const breaks = /[\t\n\v\f\r\u0085\u2028\u2029]+/g
// Control characters (with ESC, which begins terminal sequences), unpaired surrogates, and format characters:
// bidirectional controls, invisible marks and tags. The joiners U+200C and U+200D are kept, because the spelling of
// words and emoji needs them.
const unprintable = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\u2065\u{e0000}-\u{e007f}]/gu

const cut = (text: string, maximum: number): string => text.length > maximum ? `${text.slice(0, maximum - 3)}...` : text

const printable = (text: string): string => text.replace(breaks, " ").replace(unprintable, "\ufffd")

/**
 * The text on one line, with every invisible character replaced, and at most `maximum` code units long.
 */
export const cleanText = (text: string, maximum: number = maximumLength): string => printable(cut(text, maximum))

/**
 * The text in quotation marks with the escapes of JSON, for places where its start and end must be visible. It is cut
 * to `maximum` code units before it is escaped.
 */
export const quoted = (text: string, maximum: number = 128): string => printable(JSON.stringify(cut(text, maximum)))

/**
 * A cause with clean messages: the cause itself if they are clean, otherwise a copy as a plain `Error` with its name,
 * its code and its stack. The messages of network and parse errors quote what the peer sent, and loggers print causes.
 */
export const cleanCause = (cause: unknown): unknown => cleanTo(cause, 0)

// A chain of causes can be circular. No driver makes more than eight links.
const maximumDepth = 8
// Only the head of a stack repeats the message; its lines are not the peer's text.
const maximumMessage = 1024

const cleanTo = (cause: unknown, depth: number): unknown => {
  if (typeof cause === "string") return cleanText(cause, maximumMessage)
  if (!(cause instanceof Error)) return cause
  const { message, name, stack = "" } = cause
  const inner = cause.cause === undefined || depth >= maximumDepth ? undefined : cleanTo(cause.cause, depth + 1)
  const text = cleanText(message, maximumMessage)
  if (text === message && inner === cause.cause) return cause
  const copy: Error & { code?: unknown } = new Error(text, inner === undefined ? undefined : { cause: inner })
  copy.name = name
  // Replaces the message in the stack too; the frames follow it.
  const at = message === "" ? -1 : stack.indexOf(message)
  copy.stack = at === -1 ? `${name}: ${text}` : `${name}: ${text}${stack.slice(at + message.length)}`
  if ("code" in cause) copy.code = cause.code
  return copy
}
