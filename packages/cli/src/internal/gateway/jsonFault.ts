/**
 * Finds where a text stops to be JSON. The engine's own messages quote the text, which may hold a password, and often
 * have no position. `document.ts` calls it for a text that JSON.parse has refused.
 */

const blanks = /[ \t\n\r]*/y
// eslint-disable-next-line no-control-regex
const text = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const other = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y

class Fault {
  readonly offset: number
  constructor(offset: number) {
    this.offset = offset
  }
}

/** The offset of the first character that no JSON text has there. */
export const jsonFault = (json: string): number => {
  const behind = (pattern: RegExp, at: number): number | undefined => {
    pattern.lastIndex = at
    return pattern.test(json) ? pattern.lastIndex : undefined
  }
  const skip = (at: number): number => behind(blanks, at)!
  const expect = (pattern: RegExp, at: number): number => {
    const end = behind(pattern, at)
    if (end === undefined) throw new Fault(at)
    return skip(end)
  }
  const items = (at: number, close: string, item: (at: number) => number): number => {
    let next = skip(at + 1)
    if (json[next] === close) return skip(next + 1)
    while (true) {
      next = item(next)
      if (json[next] === close) return skip(next + 1)
      if (json[next] !== ",") throw new Fault(next)
      next = skip(next + 1)
    }
  }
  const member = (at: number): number => {
    const colon = expect(text, at)
    if (json[colon] !== ":") throw new Fault(colon)
    return value(skip(colon + 1))
  }
  const value = (at: number): number => {
    if (json[at] === "{") return items(at, "}", member)
    if (json[at] === "[") return items(at, "]", value)
    return expect(json[at] === "\"" ? text : other, at)
  }
  try {
    return value(skip(0))
  } catch (fault) {
    // A text that is nested too deep for the stack has no place of its own.
    return fault instanceof Fault ? fault.offset : 0
  }
}
