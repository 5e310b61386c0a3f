/**
 * Tables of the documentation whose last column names the tests that hold each row.
 */
import type { Tree } from "./structure.ts"
import { titlesOf } from "./titles.ts"

/** The rows of the table with this header line, cell by cell. */
export const rowsOf = (header: string, markdown: string): ReadonlyArray<ReadonlyArray<string>> => {
  const cellsOf = (line: string): ReadonlyArray<string> => line.split("|").slice(1, -1).map((cell) => cell.trim())
  const title = cellsOf(header).join("|")
  const lines = markdown.split("\n")
  const rows: Array<ReadonlyArray<string>> = []
  // Below the header and the line that separates it.
  for (
    let i = lines.findIndex((line) => cellsOf(line).join("|") === title) + 2;
    i > 1 && lines[i]?.startsWith("|") === true;
    i++
  ) {
    rows.push(cellsOf(lines[i]!))
  }
  return rows
}

/**
 * A title with `…` for what is not the same in every run; a name that ends in `…` leaves the rest of the title out.
 */
const names = (title: string, name: string): boolean =>
  name.endsWith("…") ? title.startsWith(name.slice(0, -1)) : title === name

/** What is wrong with the last cells: tests that do not exist, and cells that name none. */
export const violations = (rows: ReadonlyArray<ReadonlyArray<string>>, tests: Tree): ReadonlyArray<string> =>
  rows.flatMap((cells) =>
    (cells.at(-1) ?? "").split(/; (?=\S+\.ts › )/).flatMap((proof) => {
      const [what = ""] = cells
      const [file = "", name] = proof.split(" › ")
      if (name === undefined) return [`${what}: names no test: ${proof}`]
      const text = tests.get(file)
      const { titles } = text === undefined ? { titles: [] } : titlesOf(file, text)
      return titles.some((title) => names(title, name)) ? [] : [`${what}: no such test: ${proof}`]
    })
  )
