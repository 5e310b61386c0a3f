/**
 * Finds where the parts of bracketed values begin: all of a JSON text, the flow collections of YAML, and the arrays and
 * inline tables of TOML. It assumes that the text is valid. `positions.ts` and the scanners of TOML and YAML call it.
 */

/** Reads a text from an offset on; each method answers the offset behind what it has read. */
export class FlowScanner {
  /** The offset of each part, by its path as JSON. */
  readonly offsets = new Map<string, number>()
  readonly text: string
  readonly #separator: ":" | "="

  constructor(text: string, separator: ":" | "=") {
    this.text = text
    this.#separator = separator
  }

  /** The first offset of a path counts: later ones extend the same table. */
  note(path: ReadonlyArray<string>, offset: number): void {
    const key = JSON.stringify(path)
    if (!this.offsets.has(key)) this.offsets.set(key, offset)
  }

  /** Skips white space, line ends and comments. */
  skip(offset: number): number {
    let at = offset
    while (at < this.text.length) {
      const character = this.text[at]!
      if (character === "#") at = this.lineEnd(at)
      else if (/\s/.test(character)) at++
      else break
    }
    return at
  }

  lineEnd(offset: number): number {
    const end = this.text.indexOf("\n", offset)
    return end === -1 ? this.text.length : end
  }

  /** Skips a text in quotes, of one line or, in TOML, of several. */
  quoted(offset: number): number {
    const quote = this.text[offset]!
    const long = quote.repeat(3)
    if (this.#separator === "=" && this.text.startsWith(long, offset)) return this.#longQuoted(offset + 3, long)
    let at = offset + 1
    while (at < this.text.length && this.text[at] !== quote) at += quote === "\"" && this.text[at] === "\\" ? 2 : 1
    return at + 1
  }

  #longQuoted(offset: number, long: string): number {
    let at = offset
    while (at < this.text.length && !this.text.startsWith(long, at)) {
      at += long[0] === "\"" && this.text[at] === "\\"
        ? 2
        : 1
    }
    at += 3
    // Up to two quotes belong to the text, and stand before the three that end it.
    while (this.text[at] === long[0]) at++
    return at
  }

  /** Skips one value, and notes the parts in it. */
  value(offset: number, path: ReadonlyArray<string>): number {
    switch (this.text[offset]) {
      case "[":
        return this.#array(offset + 1, path)
      case "{":
        return this.#table(offset + 1, path)
      case "\"":
      case "'":
        return this.quoted(offset)
      default: {
        let at = offset
        while (at < this.text.length && !/[,\]}#\n]/.test(this.text[at]!)) at++
        return at
      }
    }
  }

  #array(offset: number, path: ReadonlyArray<string>): number {
    let at = this.skip(offset)
    for (let index = 0; at < this.text.length && this.text[at] !== "]"; index++) {
      const item = [...path, String(index)]
      this.note(item, at)
      at = this.#comma(this.value(at, item))
    }
    return at + 1
  }

  #table(offset: number, path: ReadonlyArray<string>): number {
    let at = this.skip(offset)
    while (at < this.text.length && this.text[at] !== "}") {
      const key = this.keys(at, path)
      at = this.skip(key.end)
      if (this.text[at] === this.#separator) at = this.skip(at + 1)
      at = this.#comma(this.value(at, key.path))
    }
    return at + 1
  }

  #comma(offset: number): number {
    const at = this.skip(offset)
    if (this.text[at] === ",") return this.skip(at + 1)
    // A text that is no valid one must not keep the scanner at its place.
    return /[\]}]/.test(this.text[at] ?? "]") ? at : at + 1
  }

  /** Reads a key, in TOML a dotted one, and notes it below the path. */
  keys(offset: number, path: ReadonlyArray<string>): { readonly end: number; readonly path: ReadonlyArray<string> } {
    let at = offset
    const current = [...path]
    while (true) {
      const start = at
      let name: string
      if (this.text[at] === "\"" || this.text[at] === "'") {
        at = this.quoted(at)
        name = unquote(this.text.slice(start, at))
      } else {
        while (at < this.text.length && !(this.#separator === "=" ? /[\s.=\]]/ : /[:,}\n]/).test(this.text[at]!)) at++
        name = this.text.slice(start, at).trim()
      }
      current.push(name)
      this.note(current, start)
      if (this.#separator === ":") return { end: at, path: current }
      const next = this.#blanks(at)
      if (this.text[next] !== ".") return { end: next, path: current }
      at = this.#blanks(next + 1)
    }
  }

  #blanks(offset: number): number {
    let at = offset
    while (this.text[at] === " " || this.text[at] === "\t") at++
    return at
  }
}

/** The text between quotes. */
export const unquote = (quoted: string): string => {
  if (!quoted.startsWith("\"")) return quoted.slice(1, -1).replaceAll("''", "'")
  try {
    return JSON.parse(quoted) as string
  } catch {
    // TOML and YAML have escapes that JSON has not; a key with one has the position of its table.
    return quoted.slice(1, -1)
  }
}
