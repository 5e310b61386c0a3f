/**
 * Links of the documentation: between its pages, and from the pages of packages to the repository on the web. Anchors
 * are those that GitHub makes. The site's generator has its links and anchors from here too.
 */
import * as Path from "node:path"
import { repository } from "./packing/tarball.ts"

/** The anchor of a heading. */
export const slug = (heading: string): string =>
  heading.trim().toLowerCase().replace(/[^\p{L}\p{N}_ -]/gu, "").replaceAll(" ", "-")

const codeOrLink = /^ *(`{3,}|~{3,})[^]*?^ *\1`*$|(?<!`)(`+)(?!`)[^\n]*?(?<!`)\2(?!`)|(\]\()([^)\s]+)([^)\n]*\))/gm

/** Replaces the targets of links and images. Code stays as it is. */
export const mapLinks = (markdown: string, target: (link: string) => string): string =>
  markdown.replace(
    codeOrLink,
    (whole, _fence, _code, before: string | undefined, link: string, after: string) =>
      before === undefined ? whole : `${before}${target(link)}${after}`
  )

/** The targets of the links and images of a page. */
export const targetsOf = (markdown: string): ReadonlyArray<string> => {
  const targets: Array<string> = []
  mapLinks(markdown, (target) => {
    targets.push(target)
    return target
  })
  return targets
}

/** Whether a target is an address, in place of a file. */
export const isAddress = (target: string): boolean => /^[a-z]+:/i.test(target)

/** The anchors of a page. A heading that repeats gets a number. */
export const anchorsOf = (markdown: string): ReadonlySet<string> => {
  const anchors = new Set<string>()
  const prose = markdown.replace(/^ *(`{3,}|~{3,})[^]*?^ *\1`*$/gm, "")
  for (const [, heading] of prose.matchAll(/^#{1,6} +(.*?)(?: +#+)?$/gm)) {
    const anchor = slug(heading!.replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, "$1"))
    let unique = anchor
    for (let i = 1; anchors.has(unique); i++) unique = `${anchor}-${i}`
    anchors.add(unique)
  }
  return anchors
}

/** Links that lead to no file, or to no heading of a page. */
export const linkViolations = (
  pages: ReadonlyMap<string, string>,
  exists: (path: string) => boolean
): ReadonlyArray<string> =>
  Array.from(pages).flatMap(([page, markdown]) =>
    targetsOf(markdown).flatMap((target) => {
      const own = /^(.*?)(?:blob|tree)\/main\/([^#]*)(?:#(.*))?$/.exec(target)
      const isOwn = own?.[1] === `${repository}/`
      if (!isOwn && isAddress(target)) return []
      const [file = "", anchor] = isOwn ? [own[2], own[3]] : target.split("#")
      const from = isOwn ? "." : Path.posix.dirname(page)
      const path = file === "" && !isOwn ? page : Path.posix.normalize(Path.posix.join(from, file))
      if (!pages.has(path) && !exists(path)) return [`${page}: ${target} leads to no file`]
      const text = pages.get(path)
      if (anchor === undefined || text === undefined || anchorsOf(text).has(anchor)) return []
      return [`${page}: ${target} leads to no heading`]
    })
  )
