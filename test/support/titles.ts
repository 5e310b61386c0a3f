import { parseSync } from "oxc-parser"
import { isNode, type Node } from "./source.ts"

/** What a test file calls its tests. */
export interface Titles {
  /** First arguments of `it` and `test` calls that run, written as strings. */
  readonly titles: ReadonlyArray<string>
  /** The file makes tests from data, `it(name, ...)`, so that a title may stand among its other strings. */
  readonly fromData: boolean
  /** All other strings of what runs. */
  readonly others: ReadonlyArray<string>
}

const children = (node: Node): Array<Node> => Object.values(node).flat().filter(isNode)

/**
 * The text of a string expression with `…` for each interpolation; undefined when it is not known from the source
 * alone.
 */
const textOf = (node: unknown): string | undefined => {
  if (!isNode(node)) return undefined
  if (node.type === "Literal" && typeof node["value"] === "string") return node["value"]
  if (node.type === "TemplateLiteral") {
    return (node["quasis"] as Array<{ value: { cooked: string } }>).map((quasi) => quasi.value.cooked).join("…")
  }
  if (node.type === "BinaryExpression" && node["operator"] === "+") {
    const left = textOf(node["left"])
    const right = textOf(node["right"])
    return left === undefined || right === undefined ? undefined : left + right
  }
  return undefined
}

/** `it.effect.each(cases)` is read as it, effect, each, (). */
const pathOf = (callee: unknown): Array<string> => {
  if (!isNode(callee)) return []
  if (callee.type === "Identifier") return [String(callee["name"])]
  if (callee.type === "MemberExpression") return [...pathOf(callee["object"]), ...pathOf(callee["property"])]
  if (callee.type === "CallExpression") return [...pathOf(callee["callee"]), "()"]
  if (callee.type === "TaggedTemplateExpression") return [...pathOf(callee["tag"]), "()"]
  return []
}

const inactive: ReadonlySet<string> = new Set(["skip", "todo", "fails"])
/** Calls on `it` whose first argument is no title: what they return takes the title. */
const takesNoTitle: ReadonlySet<string> = new Set(["each", "for", "skipIf", "runIf", "flakyTest", "extend"])

/** Reads the titles of a test file; what is skipped, still to do or expected to fail is no test. */
export const titlesOf = (file: string, text: string): Titles => {
  const titles: Array<string> = []
  const others: Array<string> = []
  let fromData = false

  const visit = (node: Node, active: boolean): void => {
    if (node.type === "CallExpression") {
      const names = pathOf(node["callee"])
      const first = (node["arguments"] as Array<unknown>)[0]
      const live = active && !names.some((name) => inactive.has(name))
      const isTest = ["it", "test"].includes(names[0] ?? "") && !names.includes("layer") &&
        !takesNoTitle.has(names.at(-1)!)
      if (isTest && first !== undefined) {
        const title = textOf(first)
        if (title === undefined) fromData ||= live
        else if (live) titles.push(title)
        const rest = children(node).filter((child) => title === undefined || child !== first)
        for (const child of rest) visit(child, live)
        return
      }
      const isSuite = ["describe", "suite", "it", "test"].includes(names[0] ?? "")
      for (const child of children(node)) visit(child, isSuite ? live : active)
      return
    }
    const own = textOf(node)
    if (own === undefined || !active) {
      for (const child of children(node)) visit(child, active)
    } else {
      others.push(own)
    }
  }
  visit(parseSync(file, text, { preserveParens: false }).program as unknown as Node, true)
  return { titles, fromData, others }
}
