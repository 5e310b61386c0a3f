import { type Comment, parseSync } from "oxc-parser"

/** A parsed file; nodes are plain ESTree objects, walked without their static types. */
export interface Source {
  readonly path: string
  readonly text: string
  readonly program: Node
  readonly comments: ReadonlyArray<Comment>
}

export interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [key: string]: unknown
}

export interface Import {
  readonly specifier: string
  readonly line: number
}

export const isNode = (u: unknown): u is Node =>
  typeof u === "object" && u !== null && typeof (u as { readonly type?: unknown }).type === "string"

/** Parses TypeScript; a file that does not parse is a defect of the caller's tree. */
export const parse = (path: string, text: string): Source => {
  const result = parseSync(path, text, { sourceType: "module", lang: path.endsWith(".d.ts") ? "dts" : "ts" })
  if (result.errors.length > 0) {
    throw new Error(`${path}: ${result.errors.map((error) => error.message).join(", ")}`)
  }
  return { path, text, program: result.program as unknown as Node, comments: result.comments }
}

export const lineOf = (source: Source, offset: number): number => source.text.slice(0, offset).split("\n").length

/** Visits every node; `enter` returns `false` to stay out of the children. */
export const walk = (
  node: Node,
  enter: (node: Node, parent: Node | undefined, key: string) => boolean | void
): void => {
  const visit = (current: Node, parent: Node | undefined, key: string): void => {
    if (enter(current, parent, key) === false) return
    for (const [childKey, child] of Object.entries(current)) {
      if (Array.isArray(child)) {
        for (const item of child) if (isNode(item)) visit(item, current, childKey)
      } else if (isNode(child)) {
        visit(child, current, childKey)
      }
    }
  }
  visit(node, undefined, "")
}

const importNodes = new Set([
  "ImportDeclaration",
  "ExportNamedDeclaration",
  "ExportAllDeclaration",
  "ImportExpression",
  "TSImportType",
  "TSExternalModuleReference"
])

/**
 * Every module that a file names: imports and re-exports, type-only ones too, and `import("...")` in both of its
 * senses.
 */
export const importsOf = (source: Source): ReadonlyArray<Import> => {
  const found: Array<Import> = []
  walk(source.program, (node) => {
    if (!importNodes.has(node.type)) return
    const request = node.source ?? node.argument ?? node.expression
    if (!isNode(request)) return
    const literal = request.type === "TSLiteralType" ? request.literal as Node : request
    if (typeof literal.value === "string") {
      found.push({ specifier: literal.value, line: lineOf(source, node.start) })
    } else {
      found.push({ specifier: "<computed>", line: lineOf(source, node.start) })
    }
  })
  return found
}
