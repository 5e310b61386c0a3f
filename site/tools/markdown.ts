/**
 * The repository's Markdown as pages of the site. Paths change, and links with them; words never do.
 */
import * as Fs from "node:fs"
import * as Path from "node:path/posix"
import { isAddress, mapLinks } from "../../test/support/links.ts"
import { repository } from "../../test/support/packing/tarball.ts"
import { filesBelow, root } from "../../test/support/repository.ts"

/** The address of a file or folder of the repository, for what is no page of the site. */
export const sourceUrl = (path: string, line?: number): string => {
  const kind = Fs.existsSync(`${root}/${path}`) && Fs.statSync(`${root}/${path}`).isDirectory() ? "tree" : "blob"
  return `${repository}/${kind}/main/${path}${line === undefined ? "" : `#L${line}`}`
}

/** The pages outside of `docs`; some may not be there. */
const rootPages = ["README.md", "CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "SECURITY.md"]

/** The page of each Markdown file of the repository, by its path. */
export const pagePaths = (): ReadonlyMap<string, string> =>
  new Map(
    [
      ...rootPages.filter((path) => Fs.existsSync(`${root}/${path}`)),
      ...Array.from(filesBelow("docs", ".md").keys(), (path) => `docs/${path}`)
    ].map((path) => [path, path.replace(/(^|\/)README\.md$/, "$1index.md")])
  )

/** The pages of folders, to which links lead as well. */
const folderPages = (packages: ReadonlyArray<string>): ReadonlyMap<string, string> =>
  new Map([
    ["docs", "docs/index.md"],
    ["docs/decisions", "docs/decisions/index.md"],
    ...packages.flatMap((name) => [
      [`packages/${name}`, `api/${name}/index.md`] as const,
      [`packages/${name}/README.md`, `api/${name}/index.md`] as const
    ])
  ])

/** The title of a page. */
export const titleOf = (markdown: string): string => /^# (.*)$/m.exec(markdown)![1]!.replaceAll("`", "")

/** A site in the making: the text of each page, and the files that it shows, by the path of the page. */
export interface Site {
  readonly pages: Map<string, string>
  readonly files: Set<string>
}

/**
 * Makes the links of a text lead from a page of the site to where they lead in the repository: to other pages, to
 * images, which become files of the site, and else to the sources. Throws for a file that is not there.
 */
export const relink = (site: Site, packages: ReadonlyArray<string>) => {
  const places = new Map([...pagePaths(), ...folderPages(packages)])
  return (source: string, page: string, markdown: string): string =>
    mapLinks(markdown, (target) => {
      const [path, anchor] = target.split("#") as [string, string?]
      if (isAddress(target) || path === "") return target
      const file = Path.join(Path.dirname(source), path).replace(/\/$/, "")
      if (!Fs.existsSync(`${root}/${file}`)) throw new Error(`${source}: ${target}: no such file`)
      const isImage = /\.(?:gif|jpe?g|png|svg|webp)$/.test(file)
      if (isImage) site.files.add(file)
      const place = isImage ? file : places.get(file)
      const hash = anchor === undefined ? "" : `#${anchor}`
      if (place === undefined) return `${sourceUrl(file)}${hash}`
      const relative = Path.relative(Path.dirname(page), place)
      return `${isImage && !relative.startsWith(".") ? "./" : ""}${relative}${hash}`
    })
}

/** An entry of the navigation. */
export interface Entry {
  readonly text: string
  readonly link?: string
  readonly items?: ReadonlyArray<Entry>
  readonly collapsed?: boolean
}

const linkOf = (page: string): string => `/${page.replace(/(^|\/)index\.md$/, "$1").replace(/\.md$/, "")}`

/** The navigation of the documentation: the sections of its index with their links. */
export const documentation = (site: Site): ReadonlyArray<Entry> => {
  const index = site.pages.get("docs/index.md")!
  const sections = index.split(/^## /m).slice(1).map((section): Entry => ({
    text: section.split("\n")[0]!,
    items: Array.from(section.matchAll(/^\|[^|]*/gm)).flatMap(([cell]) =>
      Array.from(cell.matchAll(/\[([^\]]*)\]\(([^)]*)\)/g), ([, text, target]) => ({
        text: text!,
        link: linkOf(Path.join("docs", target!))
      }))
    )
  }))
  const others = rootPages.map((path) => path.replace("README.md", "index.md")).filter((page) => site.pages.has(page))
  return [
    { text: "Overview", items: others.map((page) => ({ text: titleOf(site.pages.get(page)!), link: linkOf(page) })) },
    ...sections
  ]
}

/** Adds the repository's pages. */
export const addDocuments = (site: Site, packages: ReadonlyArray<string>): void => {
  const relinked = relink(site, packages)
  for (const [source, page] of pagePaths()) {
    site.pages.set(page, relinked(source, page, Fs.readFileSync(`${root}/${source}`, "utf8")))
  }
  const decisions = Array.from(pagePaths()).filter(([source]) => source.startsWith("docs/decisions/"))
  const list = decisions.map(([, page]) => `- [${titleOf(site.pages.get(page)!)}](${Path.basename(page)})`)
  site.pages.set("docs/decisions/index.md", `# Decisions\n\n${list.join("\n")}\n`)
}
