/**
 * What docs/promises.md is held against: the promises of the README, and the sections of all pages.
 */

/** The sentences of the list that follows this line. */
export const sentencesOf = (markdown: string, line: string): ReadonlyArray<string> => {
  const [, rest = ""] = markdown.split(`\n${line}\n\n`.trimStart())
  const [list = ""] = rest.split(/\n\n(?! )/)
  return list.split(/^- /m).slice(1).flatMap((item) => item.trim().replace(/\s+/g, " ").split(/(?<=\.) (?=[A-Z])/))
}

/** Where links lead to, seen from the root of the documentation. */
export const linksOf = (markdown: string): ReadonlyArray<string> =>
  [...markdown.matchAll(/\]\(([^)]+)\)/g)].map(([, target]) => target!.replace("../README.md", "README.md"))

/** The page itself, for what stands before its first section, and its sections as GitHub names them. */
export const sectionsOf = (file: string, markdown: string): ReadonlyArray<string> => {
  const headings = markdown.replace(/^```[^]*?^```$/gm, "").matchAll(/^#{2,} (.*)$/gm)
  return [
    file,
    ...Array.from(
      headings,
      ([, heading]) => `${file}#${heading!.toLowerCase().replace(/[^a-z0-9 -]/g, "").replaceAll(" ", "-")}`
    )
  ]
}

/** Sections that stand neither in a row nor among those without a promise, or in both, and names of no section. */
export const missing = (
  pages: ReadonlyMap<string, string>,
  named: ReadonlyArray<string>,
  without: ReadonlyArray<string>
): ReadonlyArray<string> => {
  const sections = [...pages].flatMap(([file, markdown]) => sectionsOf(file, markdown))
  const problems = sections.flatMap((section) => {
    if (!named.includes(section) && !without.includes(section)) {
      return [`${section}: in no row, and not among those without a promise`]
    }
    return named.includes(section) && without.includes(section)
      ? [`${section}: in a row, and among those without a promise`]
      : []
  })
  const unknown = [...named, ...without].filter((name) => !sections.includes(name))
  return [...problems, ...new Set(unknown)].map((problem) =>
    unknown.includes(problem) ? `${problem}: no such section` : problem
  )
}
