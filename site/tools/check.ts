/**
 * Reads a built site: every link leads to a page and to a section that there are, and no page loads anything from
 * another host.
 */
import * as Path from "node:path/posix"

const attributes = /<(\w+)\b[^>]*?\s(?:href|src)="([^"]*)"/g

const decoded = (text: string): string =>
  decodeURIComponent(text.replaceAll("&amp;", "&").replaceAll("&quot;", "\"").replaceAll("&#39;", "'"))

/** What is wrong with a site below `base`, from the paths of its files and the texts of its pages and style sheets. */
export const siteProblems = (
  base: string,
  paths: ReadonlySet<string>,
  texts: ReadonlyMap<string, string>
): ReadonlyArray<string> => {
  const ids = new Map(
    Array.from(texts, ([path, text]) => [path, new Set(Array.from(text.matchAll(/\sid="([^"]*)"/g), ([, id]) => id))])
  )
  const problemsOf = (path: string, text: string): ReadonlyArray<string> => {
    if (path.endsWith(".css")) {
      return /url\(\s*["']?https?:|@import/.test(text)
        ? [`${path}: loads from another host`]
        : []
    }
    const problems = new Set<string>()
    for (const [, tag, raw] of text.matchAll(attributes)) {
      const target = decoded(raw!)
      if (/^(?:[a-z]+:)?\/\//i.test(target)) {
        if (tag !== "a") problems.add(`${path}: loads ${target}`)
        continue
      }
      if (/^[a-z]+:/i.test(target)) continue
      const [place, anchor] = target.split("#") as [string, string?]
      const absolute = place === "" ? `${base}${path}` : Path.resolve(Path.dirname(`${base}${path}`), place)
      const below = absolute === base.slice(0, -1)
        ? ""
        : absolute.startsWith(base)
        ? absolute.slice(base.length)
        : undefined
      const file = below === undefined
        ? undefined
        : [below, Path.join(below, "index.html"), `${below}.html`].find((each) => paths.has(each))
      if (file === undefined) problems.add(`${path}: ${target}: no such page`)
      else if (anchor !== undefined && anchor !== "" && ids.get(file)?.has(anchor) !== true) {
        problems.add(`${path}: ${target}: no such section`)
      }
    }
    return Array.from(problems)
  }
  return Array.from(texts).flatMap(([path, text]) => problemsOf(path, text))
}
