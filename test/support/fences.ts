import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"

export interface Fence {
  readonly file: string
  readonly line: number
  readonly info: string
  readonly code: string
}

/** The fenced blocks of a Markdown text whose language is TypeScript. */
export const fencesOf = (file: string, markdown: string): ReadonlyArray<Fence> => {
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
    if (!/^(?:ts|typescript|tsx|mts)\b/i.test(info)) continue
    const code = lines.slice(start, i).map((line) => line.startsWith(indent) ? line.slice(indent.length) : line)
    fences.push({ file, line: start, info: info.trim(), code: code.join("\n") })
  }
  return fences
}

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
    .filter(({ info }) => info !== "ts")
    .map(({ file, info, line }) => `${file}:${line}: a fence is \`\`\`ts and nothing else, not \`\`\`${info}`)
  if (fences.length === 0) return violations
  Fs.rmSync(directory, { recursive: true, force: true })
  Fs.mkdirSync(directory, { recursive: true })
  fences.forEach((fence, i) => Fs.writeFileSync(Path.join(directory, `fence${i}.ts`), `${fence.code}\n`))
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
      include: ["*.ts"]
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
    const fence = /^fence(\d+)\.ts$/.exec(Path.basename(diagnostic[1]!))
    if (fence === null) continue
    const { file, line: start } = fences[Number(fence[1])]!
    violations.push(`${file}:${start + Number(diagnostic[2])}: ${diagnostic[3]}`)
  }
  if (!understood) violations.push(`the compiler failed: ${tsc.stdout}${tsc.stderr}`)
  return violations
}
