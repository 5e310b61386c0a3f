/**
 * Tables and sections of Markdown pages, for tests that hold a page against the code.
 */

/** The cells of all rows of all tables, without the headings. A `|` that is written `\|` is part of a cell. */
export const tableRows = (markdown: string): ReadonlyArray<ReadonlyArray<string>> => {
  const rows: Array<ReadonlyArray<string>> = []
  let isTable = false
  for (const line of markdown.replace(/^```[^]*?^```$/gm, "").split("\n")) {
    if (!line.startsWith("|")) isTable = false
    else if (/^\|[\s:|-]+\|$/.test(line)) isTable = true
    else if (isTable) {
      rows.push(line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim().replaceAll("\\|", "|")))
    }
  }
  return rows
}

/** The words in code marks. */
export const codes = (text: string): ReadonlyArray<string> =>
  Array.from(text.matchAll(/`([^`]+)`/g), ([, code]) => code!)

/** The text below each heading of a level, by the heading. */
export const sections = (markdown: string, level: number): ReadonlyMap<string, string> => {
  const found = new Map<string, string>()
  let heading: string | undefined
  for (const line of markdown.replace(/^```[^]*?^```$/gm, "").split("\n")) {
    const [, marks, title] = /^(#+) (.*)$/.exec(line) ?? []
    if (marks !== undefined && marks.length <= level) {
      heading = marks.length === level ? title : undefined
      if (heading !== undefined) found.set(heading, "")
    } else if (heading !== undefined) {
      found.set(heading, `${found.get(heading)}${line}\n`)
    }
  }
  return found
}
