/**
 * Finds blocks of equal lines of code that stand twice.
 *
 * Lines count that have a word: not blank lines, brackets or numbers. Comments, imports, parameters and members
 * without a body do not count, because a class repeats the members of the interface that it implements, and
 * documentation explains each place for itself. `structure.test.ts` calls this file.
 */
import type { Tree } from "./structure.ts"

export const blockSize = 6

interface Line {
  readonly text: string
  readonly number: number
}

const lineBreaksOf = (text: string): string => text.replaceAll(/[^\n]/g, "")

const imports = /^(?:import|export)(?: type)? (?:\{[^}]*\}|\* as \w+|\w+)(?:, \{[^}]*\})? from "[^"]+"$/gm

const memberOrParameter = /^(?:readonly )?#?\w+\??: [^=,]+,?$/

const codeLines = (source: string): ReadonlyArray<Line> =>
  source
    .replaceAll(/\/\*[\s\S]*?\*\//g, lineBreaksOf)
    .replaceAll(imports, lineBreaksOf)
    .split("\n")
    .map((text, index) => ({ text: text.trim(), number: index + 1 }))
    .filter(({ text }) => /[a-z]/i.test(text) && !text.startsWith("//") && !memberOrParameter.test(text))

/** Every block of equal lines with both places, as `one.ts:1 and other.ts:2`. Longer blocks are one. */
export const repetitions = (files: Tree): ReadonlyArray<string> => {
  const first = new Map<string, { readonly file: string; readonly line: number; readonly index: number }>()
  const found: Array<string> = []
  for (const [file, source] of files) {
    const lines = codeLines(source)
    let end = -1
    for (let index = 0; index + blockSize <= lines.length; index++) {
      const block = lines.slice(index, index + blockSize).map(({ text }) => text).join("\n")
      const before = first.get(block)
      if (before === undefined) {
        first.set(block, { file, line: lines[index]!.number, index })
      } else if (before.file !== file || index - before.index >= blockSize) {
        if (index > end) found.push(`${before.file}:${before.line} and ${file}:${lines[index]!.number}`)
        end = index + 1
      }
    }
  }
  return found
}
