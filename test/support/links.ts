/**
 * Links of the documentation: between its pages, and from the pages of packages to the repository on the web.
 */
import * as Path from "node:path"
import { repository } from "./packing/tarball.ts"

/** The anchors of headings as GitHub makes them. */
const anchorsOf = (markdown: string): ReadonlySet<string> =>
  new Set(
    Array.from(
      markdown.replace(/^```[^]*?^```$/gm, "").matchAll(/^#+ (.*)$/gm),
      ([, heading]) => heading!.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
    )
  )

const targetsOf = (markdown: string): ReadonlyArray<string> =>
  Array.from(
    markdown.replace(/^ *```[^]*?^ *```$/gm, "").replace(/`[^`\n]*`/g, "").matchAll(/\]\(([^()\s]+)\)/g),
    ([, target]) => target!
  )

/** Links that lead to no file, or to no heading of a page. */
export const linkViolations = (
  pages: ReadonlyMap<string, string>,
  exists: (path: string) => boolean
): ReadonlyArray<string> =>
  Array.from(pages).flatMap(([page, markdown]) =>
    targetsOf(markdown).flatMap((target) => {
      const own = /^(.*?)(?:blob|tree)\/main\/([^#]*)(?:#(.*))?$/.exec(target)
      const isOwn = own?.[1] === `${repository}/`
      if (!isOwn && /^[a-z]+:/.test(target)) return []
      const [file = "", anchor] = isOwn ? [own[2], own[3]] : target.split("#")
      const from = isOwn ? "." : Path.posix.dirname(page)
      const path = file === "" && !isOwn ? page : Path.posix.normalize(Path.posix.join(from, file))
      if (!pages.has(path) && !exists(path)) return [`${page}: ${target} leads to no file`]
      const text = pages.get(path)
      if (anchor === undefined || text === undefined || anchorsOf(text).has(anchor)) return []
      return [`${page}: ${target} leads to no heading`]
    })
  )
