import { isNode, lineOf, type Node, parse, type Source, walk } from "./source.ts"
import type { Tree } from "./structure.ts"

/** Maximum number of lines of a function, of a class and of a file. */
export const limits = { function: 120, class: 300, file: 500 } as const

const kinds: Readonly<Record<string, "function" | "class">> = {
  FunctionDeclaration: "function",
  FunctionExpression: "function",
  ArrowFunctionExpression: "function",
  ClassDeclaration: "class",
  ClassExpression: "class"
}

/** Whether the header of a file, its first comment, gives the reason for its size in a sentence "Size: ...". */
const hasReason = ({ comments, program, text }: Source): boolean => {
  const [header] = comments
  if (header === undefined) return false
  const first = (program.body as ReadonlyArray<Node>)[0]
  if (first !== undefined && header.start > first.start) return false
  const words = text.slice(header.start, header.end).replace(/^\s*(?:\/\*\*?|\*\/?|\/\/)\s?/gm, "").replace(/\s+/g, " ")
  return /(?:^|[.!?:] )Size: \S+ \S+/.test(words.trim())
}

const nameOf = (node: Node, parent: Node | undefined): string => {
  for (const named of [node.id, parent?.key, parent?.id]) {
    if (isNode(named) && typeof named.name === "string") return named.name
  }
  return "a function"
}

/** Functions, classes and files that are too long and whose file gives no reason. */
export const sizeViolations = (tree: Tree): ReadonlyArray<string> => {
  const violations: Array<string> = []
  for (const [path, text] of tree) {
    const source = parse(path, text)
    if (hasReason(source)) continue
    const lines = text.trimEnd().split("\n").length
    if (lines > limits.file) violations.push(`${path}: has ${lines} lines`)
    walk(source.program, (node, parent) => {
      const kind = kinds[node.type]
      if (kind === undefined) return
      const from = lineOf(source, node.start)
      const length = lineOf(source, node.end) - from + 1
      if (length > limits[kind]) {
        violations.push(`${path}:${from}: the ${kind} ${nameOf(node, parent)} has ${length} lines`)
      }
    })
  }
  return violations
}
