/**
 * What is wrong with a value, as a schema reports it: one issue for each field, without the value.
 */
import type * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const mostIssues = 100

/** A key in a path. Keys of a received record are text of the sender. */
const keyOf = (segment: PropertyKey | { readonly key: PropertyKey }): string => {
  const key = String(typeof segment === "object" ? segment.key : segment).replace(unprintable, "\ufffd")
  return key.length > longestKey ? `${key.slice(0, longestKey)}...` : key
}

const longestKey = 64

// eslint-disable-next-line no-control-regex
const unprintable = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g

/** What is wrong with one field. */
export interface FieldIssue {
  readonly path: string
  readonly message: string
}

/** All issues with their paths. A union fails once for each of its members: the first failure is enough. */
export const issuesOf = (error: Schema.SchemaError): ReadonlyArray<FieldIssue> => {
  const issues = new Map<string, FieldIssue>()
  for (const { message, path = [] } of format(error.issue).issues) {
    const keys = path.map(keyOf).join(".")
    if (!issues.has(keys)) {
      issues.set(keys, { path: keys, message: message.replace(/ \| undefined$/, "") })
    }
    // A payload may have millions of invalid places.
    if (issues.size === mostIssues) break
  }
  return Array.from(issues.values())
}
