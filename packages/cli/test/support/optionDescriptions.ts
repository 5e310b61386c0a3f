/**
 * Reads what the core's sources say about each option of sessions and forwarders, from the comments above them. The
 * JSON Schema of the gateway's file shows it in editors. `writeDescriptions.ts` writes it, and a test compares it.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"

const field = /^ {2}\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n(?: {2}\/\/.*\n)*? {2}(\w+):/gm

const textOf = (comment: string): string => comment.replaceAll(/^\s*\*?[ ]?/gm, "").replaceAll(/\s+/g, " ").trim()

/** The documented fields of `const NAME = { ... }` in a source. */
const fieldsOf = (source: string, name: string): ReadonlyArray<readonly [string, string]> => {
  const start = source.search(new RegExp(`^(?:export )?const ${name} = \\{`, "m"))
  if (start === -1) return []
  const body = source.slice(start, source.indexOf("\n}", start))
  return Array.from(body.matchAll(field), ([, comment, key]) => [key!, textOf(comment!)] as const)
}

const describe = (
  root: string,
  fields: string,
  groups: string,
  alias: Readonly<Record<string, string>> = {}
): Readonly<Record<string, string>> => {
  const [fieldsSource, groupsSource] = [fields, groups].map((path) =>
    Fs.readFileSync(Path.join(root, "packages/core/src/internal", path), "utf8")
  )
  const described: Record<string, string> = {}
  const put = (prefix: string, name: string): void => {
    for (const [key, text] of fieldsOf(name === "fields" ? fieldsSource! : groupsSource!, name)) {
      described[`${prefix}${key}`] = text
      put(`${prefix}${key}.`, `${alias[key] ?? key}Fields`)
    }
  }
  put("", "fields")
  return described
}

/** The descriptions by the paths of the options, from the sources below a root. */
export const readDescriptions = (root: string) => ({
  session: describe(root, "options/fields.ts", "options/groups.ts", { properties: "messageProperties" }),
  forwarder: describe(root, "forwarder/options.ts", "forwarder/options.ts", { sample: "sampling" })
})

/** The text of the module with the descriptions. */
export const descriptionsModule = (root: string): string => {
  const { forwarder, session } = readDescriptions(root)
  const lines = (all: Readonly<Record<string, string>>): string =>
    Object.entries(all).map(([path, text]) => `  ${JSON.stringify(path)}: ${JSON.stringify(text)}`).join(",\n")
  return `/**
 * What the core's sources say about each option, for the JSON Schema. \`npm run describe\` writes it.
 */

/** Of sessions, by the path of the option. */
export const sessionDescriptions: Readonly<Record<string, string>> = {
${lines(session)}
}

/** Of forwarders. */
export const forwarderDescriptions: Readonly<Record<string, string>> = {
${lines(forwarder)}
}
`
}
