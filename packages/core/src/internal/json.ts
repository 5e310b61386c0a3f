/**
 * JSON parsing whose errors quote nothing. The errors of `JSON.parse` show a part of the text, and payloads may be
 * secrets.
 */

/** Parses a text. Throws a `SyntaxError` with the position of the error, without the text there. */
export const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (error) {
    const position = /position (\d+)/.exec(String(error))?.[1]
    // The original error is dropped because it quotes the text.
    throw new SyntaxError(position === undefined ? "no JSON" : `no JSON at position ${position}`)
  }
}
