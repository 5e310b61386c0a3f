import { lineOf, type Node, parse, type Source, walk } from "./source.ts"

/** Gives the declaration text of a module such as `effect/Queue`, or `undefined` when there is none. */
export type Declarations = (module: string) => string | undefined

interface Tags {
  readonly value: Array<string>
  readonly type: Array<string>
}

interface ModuleStability {
  /** The tag of the module's first comment; without one, `stable` if any export is. */
  readonly header: string | undefined
  readonly exports: ReadonlyMap<string, Tags>
}

const tagOf = (text: string): string | undefined => /@stability\s+(\w+)/.exec(text)?.[1]

const typeDeclarations = new Set(["TSInterfaceDeclaration", "TSTypeAliasDeclaration", "TSModuleDeclaration"])

const namesOf = (declaration: Node): ReadonlyArray<string> => {
  if (declaration.type === "VariableDeclaration") {
    return (declaration.declarations as ReadonlyArray<{ readonly id: { readonly name: string } }>).map(({ id }) =>
      id.name
    )
  }
  const id = declaration.id as { readonly name?: string } | null
  return id?.name === undefined ? [] : [id.name]
}

/** Reads the `@stability` tags of a module from its declaration file. */
export const readStability = (path: string, text: string): ModuleStability => {
  const source = parse(path, text)
  const exports = new Map<string, Tags>()
  const local = new Map<string, Array<string>>()
  const commentBefore = (offset: number): string => {
    let found = ""
    for (const comment of source.comments) {
      if (comment.end > offset) break
      if (comment.type === "Block" && source.text.slice(comment.end, offset).trim() === "") found = comment.value
    }
    return found
  }
  const tagsOf = (name: string): Tags => {
    let tags = exports.get(name)
    if (tags === undefined) {
      tags = { value: [], type: [] }
      exports.set(name, tags)
    }
    return tags
  }
  const add = (name: string, kinds: ReadonlyArray<"value" | "type">, tag: string | undefined): void => {
    const tags = tagsOf(name)
    if (tag === undefined) return
    for (const kind of kinds) tags[kind].push(tag)
  }
  const body = source.program.body as ReadonlyArray<Node>
  for (const node of body) {
    const tag = tagOf(commentBefore(node.start))
    if (tag === undefined) continue
    for (const name of namesOf(node)) local.set(name, [...(local.get(name) ?? []), tag])
  }
  for (const node of body) {
    const tag = tagOf(commentBefore(node.start))
    if (node.type === "ExportAllDeclaration") {
      const exportedAs = node.exported as { readonly name?: string } | null
      if (exportedAs?.name !== undefined) add(exportedAs.name, ["value", "type"], tag)
      continue
    }
    if (node.type !== "ExportNamedDeclaration") continue
    const declaration = node.declaration as Node | null
    if (declaration !== null) {
      const kinds = typeDeclarations.has(declaration.type)
        ? ["type" as const]
        : declaration.type === "ClassDeclaration"
        ? ["value" as const, "type" as const]
        : ["value" as const]
      for (const name of namesOf(declaration)) add(name, kinds, tag)
      continue
    }
    for (const specifier of node.specifiers as ReadonlyArray<Node>) {
      const own = tagOf(commentBefore(specifier.start)) ?? tag
      const name = (specifier.exported as { readonly name: string }).name
      const localName = (specifier.local as { readonly name: string }).name
      const tags = own === undefined ? local.get(localName) ?? [] : [own]
      tagsOf(name)
      for (const one of tags) add(name, ["value", "type"], one)
    }
  }
  const first = body[0]
  const header = source.comments.find((comment) =>
    comment.type === "Block" && (first === undefined || comment.end <= first.start)
  )
  const anyStable = Array.from(exports.values()).some(({ type, value }) => [...type, ...value].includes("stable"))
  return { header: tagOf(header?.value ?? "") ?? (anyStable ? undefined : "unstable"), exports }
}

/** How stable an export is: the tag that all declarations of that kind share, else the first that is not `stable`. */
const exportStability = (module: ModuleStability, name: string): string => {
  const tags = module.exports.get(name)
  if (tags === undefined) return "not exported"
  const relevant = tags.value.length > 0
    ? tags.value
    : [...tags.type, ...(module.header === undefined ? [] : [module.header])]
  return relevant.find((tag) => tag !== "stable") ?? (relevant.length === 0 ? "untagged" : "stable")
}

const heritage = new Set(["TSInterfaceHeritage", "TSClassImplements"])

interface Use {
  readonly module: string
  readonly name: string
  readonly node: Node
}

/** The values that a file takes from `effect`, and the modules that it imports for their types or values. */
const effectUses = (source: Source): {
  readonly uses: ReadonlyArray<Use>
  readonly modules: ReadonlyArray<Use>
} => {
  const namespaces = new Map<string, string>()
  const uses: Array<Use> = []
  const modules: Array<Use> = []
  for (const node of source.program.body as ReadonlyArray<Node>) {
    const isExport = node.type === "ExportNamedDeclaration" || node.type === "ExportAllDeclaration"
    if (node.type !== "ImportDeclaration" && !isExport) continue
    const request = node.source as Node | null
    const module = request?.value
    if (typeof module !== "string" || !(module === "effect" || module.startsWith("effect/"))) continue
    modules.push({ module, name: "*", node })
    if (node.importKind === "type" || node.exportKind === "type") continue
    if (node.type === "ExportAllDeclaration") uses.push({ module, name: "*", node })
    for (const specifier of (node.specifiers ?? []) as ReadonlyArray<Node>) {
      const local = (specifier.local as { readonly name: string }).name
      if (specifier.type === "ImportNamespaceSpecifier") {
        namespaces.set(local, module)
      } else if (specifier.importKind !== "type" && specifier.exportKind !== "type") {
        const imported = (specifier.imported ?? specifier.local) as { readonly name: string }
        uses.push({ module, name: imported.name, node: specifier })
      }
    }
  }
  walk(source.program, (node, parent, key): boolean | void => {
    if (node.type.startsWith("Import") || heritage.has(node.type) || node.type === "TSQualifiedName") return false
    if (node.type !== "Identifier" || parent === undefined) return
    const module = namespaces.get(node.name as string)
    if (module === undefined) return
    if ((key === "key" || key === "property") && parent.computed !== true && parent.shorthand !== true) return
    if (parent.type === "MemberExpression" && key === "object" && parent.computed !== true) {
      uses.push({ module, name: (parent.property as { readonly name: string }).name, node })
    } else {
      uses.push({ module, name: "*", node })
    }
  })
  return { uses, modules }
}

/**
 * What the files take from `effect` that its own declarations do not call stable: a module whose header says so, for
 * whatever purpose, and a value whose tag says so. Types follow from the values and from the modules that are allowed.
 */
export const stabilityViolations = (
  files: ReadonlyArray<Source>,
  declarations: Declarations
): ReadonlyArray<string> => {
  const cache = new Map<string, ModuleStability | undefined>()
  const stabilityOf = (module: string): ModuleStability | undefined => {
    if (!cache.has(module)) {
      const text = declarations(module)
      cache.set(module, text === undefined ? undefined : readStability(`${module}.d.ts`, text))
    }
    return cache.get(module)
  }
  const violations: Array<string> = []
  for (const source of files) {
    const { modules, uses } = effectUses(source)
    for (const { module, node } of modules) {
      const at = `${source.path}:${lineOf(source, node.start)}`
      if (module === "effect") {
        violations.push(`${at}: imports the barrel "effect", not a module of it`)
        continue
      }
      const stability = stabilityOf(module)
      if (stability === undefined) violations.push(`${at}: ${module} has no declarations`)
      else if (stability.header !== undefined && stability.header !== "stable") {
        violations.push(`${at}: ${module} is ${stability.header}`)
      }
    }
    for (const { module, name, node } of uses) {
      const stability = module === "effect" ? undefined : stabilityOf(module)
      if (stability === undefined) continue
      const at = `${source.path}:${lineOf(source, node.start)}`
      if (name === "*") violations.push(`${at}: takes ${module} as a whole, so that its parts cannot be checked`)
      else {
        const tag = exportStability(stability, name)
        if (tag !== "stable") violations.push(`${at}: ${module}.${name} is ${tag}`)
      }
    }
  }
  return violations
}
