import * as Path from "node:path/posix"
import { isNode, lineOf, type Node, parse, type Source, walk } from "./source.ts"
import type { Tree } from "./structure.ts"

/** One declaration of a public name; a name may have several, for example a type and a schema. */
export interface Declaration {
  /** The module that exports it, `ScriptedBroker` for `ScriptedBroker.ts`. */
  readonly module: string
  readonly name: string
  /** The declaration itself, and its file. */
  readonly source: Source
  readonly node: Node
  /** Where its docstring ends: before the statement, or before the specifier of a re-export that has one of its own. */
  readonly documented: Place
  /** The text of its docstring without the delimiters; undefined: none. */
  readonly doc: string | undefined
}

/** A place in a file. */
export interface Place {
  readonly source: Source
  readonly offset: number
}

/** A member of a public type. */
export interface Member {
  readonly declaration: Declaration
  /** The file that it stands in. */
  readonly source: Source
  readonly name: string
  readonly line: number
  readonly doc: string | undefined
}

/** The docstring that ends directly before a place. */
export const docBefore = (source: Source, offset: number): string | undefined => {
  let low = 0
  let high = source.comments.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (source.comments[middle]!.end <= offset) low = middle + 1
    else high = middle
  }
  // Comments on the code may stand between.
  for (let end = offset, i = low - 1; i >= 0; i--) {
    const comment = source.comments[i]!
    if (source.text.slice(comment.end, end).trim() !== "") return undefined
    if (comment.type === "Block") return comment.value.startsWith("*") ? comment.value : undefined
    end = comment.start
  }
  return undefined
}

const nameOf = (node: unknown): string | undefined => {
  const { name, value } = node as { readonly name?: unknown; readonly value?: unknown }
  return typeof name === "string" ? name : typeof value === "string" ? value : undefined
}

const namesOf = (declaration: Node): ReadonlyArray<string> =>
  declaration.type === "VariableDeclaration"
    ? (declaration.declarations as ReadonlyArray<{ readonly id: Node }>).map(({ id }) => nameOf(id)!)
    : [nameOf(declaration.id)!]

const declarationTypes = new Set([
  "VariableDeclaration",
  "FunctionDeclaration",
  "ClassDeclaration",
  "TSInterfaceDeclaration",
  "TSTypeAliasDeclaration"
])

/** A declaration in its file. */
export interface Found {
  readonly source: Source
  readonly node: Node
  readonly documented: Place
}

const foundIn = (source: Source, statement: Node, node: Node): Found => ({
  source,
  node,
  documented: { source, offset: statement.start }
})

/** Resolves the names in the files of one package. */
export class Resolver {
  readonly #files: Tree
  readonly #sources = new Map<string, Source>()
  readonly #exports = new Map<string, ReadonlyMap<string, ReadonlyArray<Found>>>()

  constructor(files: Tree) {
    this.#files = files
  }

  sourceOf(path: string): Source {
    const known = this.#sources.get(path)
    if (known !== undefined) return known
    const source = parse(path, this.#files.get(path)!)
    this.#sources.set(path, source)
    return source
  }

  exportsOf(path: string): ReadonlyMap<string, ReadonlyArray<Found>> {
    const known = this.#exports.get(path)
    if (known !== undefined) return known
    const found = new Map<string, Array<Found>>()
    this.#exports.set(path, found)
    const add = (name: string, all: ReadonlyArray<Found>): void => {
      found.set(name, [...found.get(name) ?? [], ...all])
    }
    const source = this.sourceOf(path)
    const body = source.program.body as ReadonlyArray<Node>
    for (const statement of body) {
      if (statement.type === "ExportAllDeclaration" && statement.exported === null) {
        for (const [name, all] of this.#exportsAt(path, statement.source)) add(name, all)
      }
      if (statement.type !== "ExportNamedDeclaration") continue
      const node = statement.declaration as Node | null
      if (node !== null) {
        for (const name of namesOf(node)) add(name, [foundIn(source, statement, node)])
        continue
      }
      for (const specifier of statement.specifiers as ReadonlyArray<Node>) {
        const name = nameOf(specifier.exported)!
        const local = nameOf(specifier.local)!
        const all = statement.source === null
          ? this.#localOf(path, local)
          : this.#exportsAt(path, statement.source).get(local) ?? []
        // A docstring at the specifier replaces that of the declaration.
        add(
          name,
          docBefore(source, specifier.start) === undefined
            ? all
            : all.map((each) => ({
              source: each.source,
              node: each.node,
              documented: { source, offset: specifier.start }
            }))
        )
      }
    }
    return found
  }

  #exportsAt(from: string, specifier: unknown): ReadonlyMap<string, ReadonlyArray<Found>> {
    const path = Path.normalize(Path.join(Path.dirname(from), nameOf(specifier)!))
    return this.#files.has(path) ? this.exportsOf(path) : new Map()
  }

  /** The declarations in this package that a declaration names: types, constants, members of `* as` imports. */
  referencesOf({ node, source: { path } }: Pick<Found, "node" | "source">): ReadonlyArray<Found> {
    const found = new Map<Node, Found>()
    walk(node, (each) => {
      const left = each.left as Node | undefined
      const all = each.type === "TSQualifiedName" && left?.type === "Identifier"
        ? this.#memberOf(path, left.name as string, nameOf(each.right)!)
        : each.type === "Identifier"
        ? this.#localOf(path, each.name as string)
        : []
      for (const one of all) found.set(one.node, one)
    })
    return Array.from(found.values())
  }

  #memberOf(path: string, namespace: string, name: string): ReadonlyArray<Found> {
    for (const statement of this.sourceOf(path).program.body as ReadonlyArray<Node>) {
      if (statement.type !== "ImportDeclaration") continue
      const isIt = (statement.specifiers as ReadonlyArray<Node>).some((specifier) =>
        specifier.type === "ImportNamespaceSpecifier" && nameOf(specifier.local) === namespace
      )
      if (isIt) return this.#exportsAt(path, statement.source).get(name) ?? []
    }
    return []
  }

  /** A name of the file itself, declared or imported. */
  #localOf(path: string, local: string): ReadonlyArray<Found> {
    const source = this.sourceOf(path)
    const found: Array<Found> = []
    for (const statement of source.program.body as ReadonlyArray<Node>) {
      if (statement.type === "ImportDeclaration") {
        for (const specifier of statement.specifiers as ReadonlyArray<Node>) {
          if (nameOf(specifier.local) !== local || specifier.imported === undefined) continue
          found.push(...this.#exportsAt(path, statement.source).get(nameOf(specifier.imported)!) ?? [])
        }
        continue
      }
      const node = isNode(statement.declaration) ? statement.declaration : statement
      if (declarationTypes.has(node.type) && namesOf(node).includes(local)) {
        found.push(foundIn(source, statement, node))
      }
    }
    return found
  }
}

/** Every declaration of every public name: the exports of the files directly in `src`, except the barrel. */
export const publicDeclarations = (
  files: Tree,
  resolver: Resolver = new Resolver(files)
): ReadonlyArray<Declaration> => {
  const all: Array<Declaration> = []
  for (const path of files.keys()) {
    if (path.includes("/") || path === "index.ts") continue
    const module = Path.basename(path, ".ts")
    for (const [name, found] of resolver.exportsOf(path)) {
      for (const each of found) {
        all.push({ ...each, module, name, doc: docBefore(each.documented.source, each.documented.offset) })
      }
    }
  }
  return all
}

const memberTypes = new Set([
  "TSPropertySignature",
  "TSMethodSignature",
  "PropertyDefinition",
  "MethodDefinition",
  "Property"
])

const isPublic = (member: Node): boolean =>
  memberTypes.has(member.type) && member.computed !== true && member.static !== true && member.override !== true &&
  member.kind !== "constructor" && (member.key as Node).type !== "PrivateIdentifier"

const aliasTypes = new Set(["TSTypeReference", "TSTypeQuery"])

/** The fields of a record of schemas, from which types of options are derived. */
const fieldsOf = (node: Node): ReadonlyArray<Node> =>
  (node.declarations as ReadonlyArray<{ readonly init: Node | null }>).flatMap(({ init }) =>
    init?.type === "ObjectExpression" ? init.properties as ReadonlyArray<Node> : []
  )

/**
 * The members of the public types, also of types that these extend or are another name of, and the fields of the
 * schemas from which they are derived.
 */
export const publicMembers = (
  declarations: ReadonlyArray<Declaration>,
  resolver: Resolver
): ReadonlyArray<Member> => {
  const seen = new Set<Node>()
  return declarations.flatMap((declaration) => {
    const collect = ({ node, source }: Found): ReadonlyArray<Member> => {
      if (seen.has(node)) return []
      seen.add(node)
      const body = node.type === "TSTypeAliasDeclaration"
        ? ((node.typeAnnotation as Node).members ?? []) as ReadonlyArray<Node>
        : node.type === "TSInterfaceDeclaration" || node.type === "ClassDeclaration"
        ? (node.body as Node).body as ReadonlyArray<Node>
        : node.type === "VariableDeclaration"
        ? fieldsOf(node)
        : []
      const alias = node.type === "TSTypeAliasDeclaration" ? node.typeAnnotation as Node : undefined
      const bases = alias !== undefined && aliasTypes.has(alias.type)
        ? [alias]
        : (node.extends ?? []) as ReadonlyArray<Node>
      return [
        ...body.filter(isPublic).map((member) => ({
          declaration,
          source,
          name: nameOf(member.key)!,
          line: lineOf(source, member.start),
          doc: docBefore(source, member.start)
        })),
        ...bases.flatMap((base) => resolver.referencesOf({ source, node: base }).flatMap(collect))
      ]
    }
    return declaration.node.type === "VariableDeclaration" ? [] : collect(declaration)
  })
}
