/**
 * The rows of each group.
 */
import type { Group, Row } from "./harness/model.ts"

const loaders: Readonly<Record<Group, () => Promise<{ readonly rows: ReadonlyArray<Row> }>>> = {
  codec: () => import("./codec/rows.ts"),
  engine: () => import("./engine/rows.ts"),
  session: () => import("./session/rows.ts"),
  e2e: () => import("./e2e/rows.ts"),
  latency: () => import("./latency/rows.ts"),
  growth: () => import("./growth/rows.ts"),
  forwarder: () => import("./forwarder/rows.ts"),
  storage: () => import("./storage/rows.ts"),
  memory: () => import("./memory/rows.ts"),
  metrics: () => import("./metrics/rows.ts"),
  hostile: () => import("./hostile/rows.ts"),
  import: () => import("./imports/rows.ts")
}

export const rowsOf = async (group: Group): Promise<ReadonlyArray<Row>> => (await loaders[group]()).rows

/** Rows whose identifier or title matches a pattern in which `*` stands for any text. */
export const select = (rows: ReadonlyArray<Row>, ...globs: ReadonlyArray<string>): ReadonlyArray<Row> => {
  const patterns = globs.map((glob) =>
    glob.split("*").map((text) => text.replaceAll(/[.+?^${}()|[\]\\]/g, "\\$&")).join(".*")
  )
  const matches = new RegExp(`^(${patterns.join("|")})$`)
  return rows.filter(({ id, title }) => matches.test(id) || matches.test(title))
}
