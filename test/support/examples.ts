import * as Fs from "node:fs"
import * as Path from "node:path"
import { type Fence, fencesOf } from "./fences.ts"

/** The fenced blocks of the docstrings of a source file, at their lines. Comments of one line have none. */
export const examplesOf = (file: string, text: string): ReadonlyArray<Fence> =>
  fencesOf(file, text.split("\n").map((line) => /^\s*\* ?(.*)$/.exec(line)?.[1] ?? "").join("\n"))

/** Examples that are no fenced blocks. */
export const unfencedExamples = (file: string, text: string): ReadonlyArray<string> =>
  text.split("\n").flatMap((line, index) => /^\s*\*\s+@example\b/.test(line) ? [`${file}:${index + 1}`] : [])

/** Examples that run by themselves when they are imported, and tests, which only a test runner can run. */
export const isProgram = ({ code }: Fence): boolean =>
  /\b(?:runPromise|runFork|runMain)\b/.test(code) || code.includes("from \"@effect/vitest\"")

/** Whether importing an example checks something, or there is a program to run. */
export const isExecutable = (fence: Fence): boolean =>
  !isProgram(fence) && (/^export const program\b/m.test(fence.code) || checks.test(fence.code))

/** `expression // => value`, on one line. */
const checks = /^(\S.*) \/\/ => (.+)$/m

/** Writes an example as a module that compares the values of its expressions. Answers its path. */
export const writeExample = (directory: string, name: string, { code }: Fence): string => {
  Fs.mkdirSync(directory, { recursive: true })
  const file = Path.join(directory, `${name}.ts`)
  const checked = code.replaceAll(new RegExp(checks, "gm"), "$$equal($1, $2)")
  Fs.writeFileSync(file, `// @ts-nocheck\nimport { deepStrictEqual as $equal } from "node:assert"\n${checked}\n`)
  return file
}
