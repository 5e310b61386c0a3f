/**
 * What the next release makes of the packages: their versions and changelogs, as `changeset version` writes them, in a
 * copy of the manifests. The repository itself keeps its changesets until it is released.
 */
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { filesBelow, packages, root } from "../repository.ts"

const run = (cwd: string, program: string, ...words: ReadonlyArray<string>): string => {
  const { error, status, stderr, stdout } = ChildProcess.spawnSync(program, words, { cwd, encoding: "utf8" })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${[program, ...words].join(" ")}: ${stdout}${stderr}`)
  return stdout
}

/** Applies all changesets in `directory`, which then has `packages/*` with package.json and CHANGELOG.md. */
export const applyChangesets = (directory: string): void => {
  Fs.rmSync(directory, { recursive: true, force: true })
  const copy = (path: string) => {
    if (!Fs.existsSync(Path.join(root, path))) return
    Fs.cpSync(Path.join(root, path), Path.join(directory, path), { recursive: true })
  }
  const members = packages().map((name) => `packages/${name}`)
  for (const path of ["package.json", "package-lock.json", ".changeset", "examples/package.json"]) copy(path)
  for (const path of members.flatMap((member) => [`${member}/package.json`, `${member}/CHANGELOG.md`])) copy(path)
  const pending = filesBelow(Path.relative(root, Path.join(directory, ".changeset")), ".md")
  if (pending.size === 0) return
  // Changesets asks git for the commits of the files, and fetches the history of a shallow clone.
  run(directory, "git", "init", "--quiet")
  run(directory, "git", "add", "--all")
  run(directory, "git", "-c", "user.name=pack", "-c", "user.email=pack@example", "commit", "--quiet", "-m", "release")
  run(directory, process.execPath, Path.join(root, "node_modules/@changesets/cli/dist/index.mjs"), "version")
}
