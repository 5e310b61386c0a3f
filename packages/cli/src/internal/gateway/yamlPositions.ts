/**
 * Finds where the keys and items of a YAML text stand. It assumes that the text is valid, and reads block collections
 * by their indentation. `positions.ts` calls it.
 */
import { FlowScanner, unquote } from "./flowPositions.ts"

interface Level {
  readonly indentation: number
  readonly path: ReadonlyArray<string>
  /** The index of the next item, in a sequence. */
  items: number
}

const keyPattern = /^("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#[\]{},&*!|>'"%@`-][^#]*?|-[^\s#][^#]*?)\s*:(?=\s|$)/

/** The offset of each key and item, by its path as JSON. */
export const yamlPositions = (text: string): ReadonlyMap<string, number> => {
  const scanner = new FlowScanner(text, ":")
  const levels: Array<Level> = [{ indentation: -1, path: [], items: 0 }]
  /** Lines up to this offset belong to a value that has been read. */
  let readUntil = 0
  /** Deeper lines belong to a block scalar, or to a text of several lines. */
  let deeperThan = Infinity

  /** Leaves the collections that are deeper; a sequence may stand at the indentation of its key. */
  const parentAt = (indentation: number, isItem: boolean): Level => {
    while (levels.length > 1) {
      const last = levels.at(-1)!
      if (last.indentation < indentation || (isItem && last.indentation === indentation)) break
      levels.pop()
    }
    return levels.at(-1)!
  }

  /** Reads what stands behind a dash or a colon. */
  const readValue = (start: number, indentation: number, path: ReadonlyArray<string>): void => {
    const rest = text.slice(start, scanner.lineEnd(start))
    const blanks = rest.length - rest.trimStart().length
    const value = rest.slice(blanks)
    if (/^[[{"']/.test(value)) readUntil = scanner.value(start + blanks, path)
    else if (value !== "" && !value.startsWith("#") && !value.startsWith("&") && !value.startsWith("!")) {
      deeperThan = indentation
    }
  }

  const readEntry = (start: number, indentation: number): void => {
    const line = text.slice(start, scanner.lineEnd(start))
    if (/^-(\s|$)/.test(line)) {
      // An item at the indentation of a key is below the key, whose level has the same indentation.
      const parent = parentAt(indentation, true)
      const path = [...parent.path, String(parent.items++)]
      scanner.note(path, start)
      const blanks = /^-\s*/.exec(line)![0].length
      // The item is a level of its own, between the dash and its keys.
      levels.push({ indentation: indentation + 0.5, path, items: 0 })
      const inner = line.slice(blanks)
      if (inner === "" || inner.startsWith("#")) return
      if (keyPattern.test(inner) || /^-(\s|$)/.test(inner)) readEntry(start + blanks, indentation + blanks)
      else readValue(start + blanks, indentation, path)
      return
    }
    const key = keyPattern.exec(line)
    if (key === null) return
    const parent = parentAt(indentation, false)
    const name = /^["']/.test(key[1]!) ? unquote(key[1]!) : key[1]!
    const path = [...parent.path, name]
    scanner.note(path, start)
    levels.push({ indentation, path, items: 0 })
    readValue(start + key[0].length, indentation, path)
  }

  for (let start = 0; start < text.length; start = scanner.lineEnd(start) + 1) {
    const line = text.slice(start, scanner.lineEnd(start))
    const indentation = line.length - line.trimStart().length
    if (line.trim() === "" || line.trimStart().startsWith("#") || /^(---|\.\.\.)/.test(line)) continue
    if (start + indentation < readUntil || indentation > deeperThan) continue
    deeperThan = Infinity
    readEntry(start + indentation, indentation)
  }
  return scanner.offsets
}
