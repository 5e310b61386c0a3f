/**
 * Builds the documentation site into `build/site`: `npm run site`, or `npm run site -- --base /docs/` for a site that
 * is served below a path. Installs the generator when it is missing. Fails on any warning and on any dead link.
 */
import * as ChildProcess from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { parseArgs } from "node:util"
import { filesBelow, manifestOf, packages, root } from "../../test/support/repository.ts"
import { addApi } from "./api.ts"
import { siteProblems } from "./check.ts"
import { addDocuments, documentation, type Site } from "./markdown.ts"

const { values: { base } } = parseArgs({ options: { base: { type: "string", default: "/" } } })
if (!/^\/(?:.*\/)?$/.test(base)) throw new Error(`--base starts and ends with a slash, unlike ${base}`)

const at = (...path: ReadonlyArray<string>): string => Path.join(root, ...path)

const fail = (problems: ReadonlyArray<string>): never => {
  console.error(problems.join("\n"))
  process.exit(1)
}

/** Installs what the lockfile of the generator says, unless it is there. */
const install = (): void => {
  const installed = at("site/node_modules/.package-lock.json")
  const lockfile = at("site/package-lock.json")
  if (Fs.existsSync(installed) && Fs.statSync(installed).mtimeMs >= Fs.statSync(lockfile).mtimeMs) return
  const { status } = ChildProcess.spawnSync("npm", ["ci"], {
    cwd: at("site"),
    stdio: "inherit",
    shell: process.platform === "win32"
  })
  if (status !== 0) fail(["the generator could not be installed"])
}

/** Writes the pages from which the generator builds. */
const write = (): number => {
  const published = packages().filter((name) => manifestOf(name).private !== true)
  const site: Site = { pages: new Map(), files: new Set() }
  addDocuments(site, published)
  const api = addApi(site, published)
  const directory = at("build/site-pages")
  Fs.rmSync(directory, { recursive: true, force: true })
  for (const [page, text] of site.pages) {
    Fs.mkdirSync(Path.dirname(Path.join(directory, page)), { recursive: true })
    Fs.writeFileSync(Path.join(directory, page), text)
  }
  for (const file of site.files) {
    Fs.mkdirSync(Path.dirname(Path.join(directory, file)), { recursive: true })
    Fs.copyFileSync(at(file), Path.join(directory, file))
  }
  const sidebar = { "/": documentation(site), "/api/": [{ text: "API", link: "/api/", items: api }] }
  Fs.writeFileSync(at("build/site-sidebar.json"), JSON.stringify(sidebar))
  return site.pages.size
}

const generate = (): void => {
  Fs.rmSync(at("build/site"), { recursive: true, force: true })
  const { status, stderr, stdout } = ChildProcess.spawnSync(
    process.execPath,
    [at("site/node_modules/vitepress/bin/vitepress.js"), "build", at("site"), "--base", base],
    { cwd: root, encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } }
  )
  const output = `${stdout}${stderr}`
  if (status !== 0 || /warn|\(!\)|falling back/i.test(output)) fail([output, "the generator failed or warned"])
}

const check = (): void => {
  const paths = Fs.readdirSync(at("build/site"), { recursive: true, encoding: "utf8" })
    .map((path) => path.replaceAll(Path.sep, "/"))
  const texts = new Map([...filesBelow("build/site", ".html"), ...filesBelow("build/site", ".css")])
  const problems = siteProblems(base, new Set(paths), texts)
  if (problems.length > 0) fail(problems)
}

install()
const pages = write()
generate()
check()
console.log(`build/site: ${pages} pages, every link leads somewhere`)
