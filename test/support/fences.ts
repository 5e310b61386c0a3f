import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"

export interface Fence {
  readonly file: string
  readonly line: number
  readonly info: string
  readonly code: string
}

/** All fenced blocks of a Markdown text. */
export const blocksOf = (file: string, markdown: string): ReadonlyArray<Fence> => {
  const fences: Array<Fence> = []
  const lines = markdown.split(/\r?\n/)
  for (let i = 0; i < lines.length; i++) {
    const opening = /^(\s*)(`{3,}|~{3,})\s*(.*)$/.exec(lines[i]!)
    if (opening === null) continue
    const [, indent, marker, info] = opening as unknown as [string, string, string, string]
    const start = i + 1
    while (
      ++i < lines.length && !(lines[i]!.trim().startsWith(marker) && lines[i]!.trim().replace(/[`~]/g, "") === "")
    );
    const code = lines.slice(start, i).map((line) => line.startsWith(indent) ? line.slice(indent.length) : line)
    fences.push({ file, line: start, info: info.trim(), code: code.join("\n") })
  }
  return fences
}

/** The fenced blocks of a Markdown text whose language is TypeScript. */
export const fencesOf = (file: string, markdown: string): ReadonlyArray<Fence> =>
  blocksOf(file, markdown).filter(({ info }) => /^(?:ts|typescript|tsx|mts)\b/i.test(info))

/** The name of the file that a block is, by which other blocks of its page import it: `ts file=readings.ts`. */
export const fileNameOf = ({ info }: Fence): string | undefined => /^\w+ file=([\w.-]+)$/.exec(info)?.[1]

/**
 * Type-checks fences against the sources of the packages. The answer has one line for each diagnostic, at the place in
 * the Markdown file; a fence that asks to be ignored is one too.
 */
export const fenceViolations = (
  root: string,
  directory: string,
  fences: ReadonlyArray<Fence>
): ReadonlyArray<string> => {
  const violations = fences
    .filter((fence) => fence.info !== "ts" && fileNameOf(fence) === undefined)
    .map(({ file, info, line }) => `${file}:${line}: a fence is \`\`\`ts and nothing else, not \`\`\`${info}`)
  if (fences.length === 0) return violations
  Fs.rmSync(directory, { recursive: true, force: true })
  Fs.mkdirSync(directory, { recursive: true })
  const written = new Map<string, Fence>()
  fences.forEach((fence, i) => {
    const name = fileNameOf(fence)
    // The files of a page stand together, below a folder that keeps them apart from those of other pages.
    const path = name === undefined ? `fence${i}.ts` : `${fence.file.replaceAll(/[^\w-]/g, "_")}/${name}`
    if (written.has(path)) violations.push(`${fence.file}:${fence.line}: there is a file ${name} before`)
    written.set(path, fence)
    const file = Path.join(directory, path)
    Fs.mkdirSync(Path.dirname(file), { recursive: true })
    Fs.writeFileSync(file, `${fence.code}\n`)
  })
  Fs.writeFileSync(
    Path.join(directory, "tsconfig.json"),
    JSON.stringify({
      extends: Path.relative(directory, Path.join(root, "tsconfig.base.json")).replaceAll(Path.sep, "/"),
      compilerOptions: {
        composite: false,
        incremental: false,
        declaration: false,
        declarationMap: false,
        sourceMap: false,
        noEmit: true,
        noUnusedLocals: false,
        noUnusedParameters: false,
        lib: ["ES2022", "DOM", "DOM.Iterable"],
        types: ["node"]
      },
      include: ["**/*.ts"]
    })
  )
  const tsc = ChildProcess.spawnSync(
    process.execPath,
    [Path.join(root, "node_modules/typescript/bin/tsc"), "-p", directory, "--pretty", "false"],
    { cwd: directory, encoding: "utf8" }
  )
  if (tsc.error !== undefined) throw tsc.error
  let understood = tsc.status === 0
  for (const line of tsc.stdout.split(/\r?\n/)) {
    const diagnostic = /^(.*?)\((\d+),\d+\): (error .*)$/.exec(line)
    if (diagnostic === null) continue
    // Errors in the packages' own sources are the business of `npm run check`.
    understood = true
    const fence = written.get(
      Path.relative(directory, Path.resolve(directory, diagnostic[1]!)).replaceAll(Path.sep, "/")
    )
    if (fence === undefined) continue
    const { file, line: start } = fence
    violations.push(`${file}:${start + Number(diagnostic[2])}: ${diagnostic[3]}`)
  }
  if (!understood) violations.push(`the compiler failed: ${tsc.stdout}${tsc.stderr}`)
  return violations
}
