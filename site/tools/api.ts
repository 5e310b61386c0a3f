/**
 * The API reference: a page for each package and for each of its modules, from the docstrings of the sources and the
 * signatures of the package's `api.md`.
 */
import * as Fs from "node:fs"
import {
  type Declaration,
  type Member,
  publicDeclarations,
  publicMembers,
  Resolver
} from "../../test/support/publicApi.ts"
import { filesBelow, root } from "../../test/support/repository.ts"
import { lineOf, type Node } from "../../test/support/source.ts"
import { type Entry, relink, type Site, sourceUrl } from "./markdown.ts"

/** An export: its declarations, such as a type and a value, and the members of its types. */
interface Export {
  readonly name: string
  readonly declarations: ReadonlyArray<Declaration>
  readonly members: ReadonlyArray<Member>
  readonly doc: Docstring
}

interface Module {
  readonly name: string
  readonly doc: string
  readonly exports: ReadonlyMap<string, Export>
}

interface Package {
  readonly name: string
  readonly description: string
  readonly modules: ReadonlyMap<string, Module>
  readonly resolver: Resolver
}

interface Docstring {
  readonly text: string
  readonly tags: ReadonlyMap<string, ReadonlyArray<string>>
}

/** The text of a docstring, and its tags, which stand at its end. */
const docstringOf = (comment: string | undefined): Docstring => {
  const text = (comment ?? "").slice(1).replace(/^[ \t]*\* ?/gm, "").trim()
  const start = text.search(/^@[a-z]+ /m)
  const tags = new Map<string, Array<string>>()
  for (
    const [, tag, value] of (start < 0 ? "" : text.slice(start)).matchAll(/^@(\w+) +([^]*?)(?=\s*(?:^@|$(?!\n)))/gm)
  ) {
    tags.set(tag!, [...tags.get(tag!) ?? [], value!])
  }
  return { text: (start < 0 ? text : text.slice(0, start)).trim(), tags }
}

const tagOf = ({ tags }: Docstring, tag: string): string => tags.get(tag)?.join(", ") ?? ""

/** The first paragraph, on one line. */
const summaryOf = (text: string): string => text.split("\n\n")[0]!.replaceAll("\n", " ")

/** Whether a type has only some members of another one, to which its entry leads. */
const isSelection = ({ node }: Declaration): boolean => {
  const { typeName } = (node.typeAnnotation ?? {}) as { readonly typeName?: { readonly name?: string } }
  return ["Exclude", "Extract", "Omit", "Pick"].includes(typeName?.name ?? "")
}

const readPackage = (name: string): Package => {
  const files = filesBelow(`packages/${name}/src`, ".ts")
  const resolver = new Resolver(files)
  const declarations = new Map<string, Map<string, Array<Declaration>>>()
  for (const each of publicDeclarations(files, resolver)) {
    const names = declarations.get(each.module) ?? new Map<string, Array<Declaration>>()
    declarations.set(each.module, names.set(each.name, [...names.get(each.name) ?? [], each]))
  }
  const modules = Array.from(declarations).sort(([a], [b]) => a < b ? -1 : 1).map(([module, names]): Module => {
    const { comments, text } = resolver.sourceOf(`${module}.ts`)
    const header = comments.find(({ start, value }) => value.startsWith("*") && text.slice(0, start).trim() === "")
    const exports = Array.from(names, ([each, all]): readonly [string, Export] => [each, {
      name: each,
      declarations: all,
      members: all.filter((each) => !isSelection(each)).flatMap((each) => publicMembers([each], resolver)),
      doc: docstringOf(all.find(({ doc }) => doc !== undefined)?.doc)
    }])
    return { name: module, doc: docstringOf(header?.value).text, exports: new Map(exports) }
  })
  const manifest = JSON.parse(Fs.readFileSync(`${root}/packages/${name}/package.json`, "utf8")) as {
    readonly description: string
  }
  return {
    name,
    description: manifest.description,
    modules: new Map(modules.map((each) => [each.name, each])),
    resolver
  }
}

/** The statements of each name in each module, from the report of a package's API. */
const signaturesOf = (name: string): ReadonlyMap<string, ReadonlyArray<string>> => {
  const report = Fs.readFileSync(`${root}/packages/${name}/api.md`, "utf8")
  const signatures = new Map<string, Array<string>>()
  for (const [, module, code] of report.matchAll(/^## (\w+)\n\n```ts\n([^]*?)\n```$/gm)) {
    for (const statement of code!.split(/\n(?=[a-z])/)) {
      const [, found] = /^(?:abstract )?(?:class|const|enum|function|interface|type) ([\w$]+)/.exec(statement) ?? []
      const key = `${module}.${found}`
      signatures.set(key, [...signatures.get(key) ?? [], statement])
    }
  }
  return signatures
}

/** The declaration of a member in the statement of its type. */
const memberIn = (statement: string, name: string): string | undefined =>
  new RegExp(`^ {2}((?:(?:readonly|get|set) )*${name}\\??[:(<][^]*?)(?=\\n(?: {2}\\w|\\}))`, "m").exec(statement)?.[1]
    ?.replaceAll(/^ {2}/gm, "")

const fence = (code: string): string => `\`\`\`ts\n${code}\n\`\`\`\n`

/** A signature breaks its lines where the page ends. */
const signature = (code: string): string => `<div class="signature">\n\n${fence(code)}\n</div>\n`

const anchorOf = (name: string, member?: string): string => member === undefined ? name : `${name}-${member}`

/** `<` in prose is no HTML. */
const escaped = (text: string): string =>
  text.replaceAll(
    /(```[^]*?```|`[^`\n]*`)|</g,
    (whole, code: string | undefined) => code === undefined ? "&lt;" : whole
  )

/** Makes names in code lead to their entries, seen from a module and one of its exports. */
const linked = (owner: Package, packages: ReadonlyArray<Package>, module: Module, own?: Export) => {
  const inModule = (of: Package, { exports, name }: Module, each: string, member?: string): string | undefined => {
    const found = exports.get(each)
    if (found === undefined || (member !== undefined && !found.members.some(({ name }) => name === member))) return
    const page = of === owner ? (name === module.name ? "" : `${name}.md`) : `../${of.name}/${name}.md`
    return `${page}#${anchorOf(each, member)}`
  }
  const pageOf = (of: Package, name: string): string => of === owner ? `${name}.md` : `../${of.name}/${name}.md`
  const find = (first: string, second: string | undefined): string | undefined => {
    const isType = /^[A-Z]/.test(first)
    if (second === undefined) {
      if (first === own?.name) return
      const here = (own === undefined ? undefined : inModule(owner, module, own.name, first)) ??
        inModule(owner, module, first)
      if (here !== undefined || !isType || first === module.name) return here
    }
    // What has its name alone goes to this package first.
    for (const each of [owner, ...packages]) {
      const other = each.modules.get(first)
      if (other !== undefined) {
        const found = second === undefined ? pageOf(each, first) : inModule(each, other, second)
        if (found !== undefined) return found
      }
      if (!isType) continue
      for (const one of [module, ...each.modules.values()]) {
        if (one === module && each !== owner) continue
        const found = inModule(each, one, first, second)
        if (found !== undefined) return found
      }
    }
    return
  }
  return (text: string): string =>
    escaped(text).replaceAll(
      /(```[^]*?```|\[[^\]]*\]\([^)]*\))|`([A-Za-z]\w*)(?:\.(\w+))?(\(\))?`/g,
      (whole, other: string | undefined, first: string, second: string | undefined) => {
        const target = other === undefined ? find(first, second) : undefined
        return target === undefined ? whole : `[${whole}](${target})`
      }
    )
}

/** The name of a declaration, which an export may rename. */
const declaredAs = (node: Node): unknown => {
  const named = (node.id ?? (node.declarations as ReadonlyArray<Node>)[0]!.id) as { readonly name: unknown }
  return named.name
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

/** The parts of packages that the pages of exports need. */
interface Context {
  readonly owner: Package
  readonly packages: ReadonlyArray<Package>
  readonly signatures: ReadonlyMap<string, ReadonlyArray<string>>
  /** The entries of declarations. */
  readonly published: ReadonlyMap<Node, string>
}

const membersText = (
  { owner }: Context,
  each: Export,
  statements: ReadonlyArray<string>,
  link: (text: string) => string
): string => {
  const seen = new Set<string>()
  return each.members.flatMap((member) => {
    if (seen.has(member.name)) return []
    seen.add(member.name)
    const { tags, text } = docstringOf(member.doc)
    const deprecated = tags.get("deprecated")?.[0]
    const declared = statements.map((statement) => memberIn(statement, member.name)).find((found) => found)
    const source = sourceUrl(`packages/${owner.name}/src/${member.source.path}`, member.line)
    return [
      `#### ${member.name} {%#${anchorOf(each.name, member.name)}%}\n`,
      ...(declared === undefined ? [] : [signature(declared)]),
      ...(text === "" ? [] : [`${link(text)}\n`]),
      ...(deprecated === undefined ? [] : [`**Deprecated:** ${link(deprecated)}\n`]),
      `[Source](${source}) {%.facts%}\n`
    ]
  }).join("\n")
}

const exportText = (context: Context, module: Module, each: Export): string => {
  const { owner, packages, published, signatures } = context
  const link = linked(owner, packages, module, each)
  const own = signatures.get(`${module.name}.${each.name}`)
  const statements = own ??
    each.declarations.flatMap(({ node }) => signatures.get(`${module.name}.${declaredAs(node)}`) ?? [])
  if (statements.length === 0) throw new Error(`${owner.name}: ${module.name}.${each.name} is not in api.md`)
  const members = membersText(context, each, statements, link)
  // The members of a type follow one by one.
  const shown = statements.map((statement) =>
    members !== "" && /^(?:abstract )?(?:class|interface) [^]*\{\n/.test(statement)
      ? `${statement.slice(0, statement.indexOf("{\n"))}{ … }`
      : statement
  )
  const uses = new Set(
    each.declarations.flatMap((declaration) => owner.resolver.referencesOf(declaration))
      .map(({ node }) => published.get(node))
      .filter((name): name is string => name !== undefined && name !== `${module.name}.${each.name}`)
  )
  const names = Array.from(uses, (name) => name.startsWith(`${module.name}.`) ? name.split(".")[1]! : name).sort()
  const [{ node, source }] = each.declarations as [Declaration]
  const url = sourceUrl(`packages/${owner.name}/src/${source.path}`, lineOf(source, node.start))
  const deprecated = tagOf(each.doc, "deprecated")
  return [
    `### ${each.name} {%#${anchorOf(each.name)}%}\n`,
    signature(shown.join("\n")),
    `${tagOf(each.doc, "stability")} · since ${tagOf(each.doc, "since")} · [Source](${url}) {%.facts%}\n`,
    ...(deprecated === "" ? [] : [`**Deprecated:** ${link(deprecated)}\n`]),
    `${link(each.doc.text)}\n`,
    ...(names.length === 0 ? [] : [`Uses ${names.map((name) => link(`\`${name}\``)).join(", ")} {%.facts%}\n`]),
    members
  ].join("\n")
}

const moduleText = (context: Context, module: Module): string => {
  const { owner, packages } = context
  const index = filesBelow(`packages/${owner.name}/src`, ".ts").get("index.ts") ?? ""
  const specifier = `@effect-mqttx/${owner.name}`
  const statement = index.includes(`export * as ${module.name} from`)
    ? `import { ${module.name} } from "${specifier}"`
    : `import * as ${module.name} from "${specifier}/${module.name}"`
  const categories = new Map<string, Array<Export>>()
  for (const each of module.exports.values()) {
    const category = capital(tagOf(each.doc, "category"))
    categories.set(category, [...categories.get(category) ?? [], each])
  }
  const sections = Array.from(categories).sort(([a], [b]) => a < b ? -1 : 1).map(([category, exports]) =>
    `## ${category} {%#category-${category.toLowerCase().replaceAll(" ", "-")}%}\n\n` +
    exports.map((each) => exportText(context, module, each)).join("\n")
  )
  return `# ${module.name}\n\n${fence(statement)}\n${linked(owner, packages, module)(module.doc)}\n\n${
    sections.join("\n")
  }`
}

const packageText = (site: Site, { description, modules, name }: Package, names: ReadonlyArray<string>): string => {
  const readme = `packages/${name}/README.md`
  const start = Fs.existsSync(`${root}/${readme}`)
    ? relink(site, names)(readme, `api/${name}/index.md`, Fs.readFileSync(`${root}/${readme}`, "utf8"))
    : `# @effect-mqttx/${name}\n\n${description}\n`
  const rows = Array.from(
    modules.values(),
    (module) => `| [${module.name}](${module.name}.md) | ${escaped(summaryOf(module.doc)).replaceAll("|", "\\|")} |`
  )
  return `${start}\n## Modules {%#modules%}\n\n| Module | What it is |\n| --- | --- |\n${rows.join("\n")}\n`
}

/** Adds the pages of the API. Answers their navigation. */
export const addApi = (site: Site, names: ReadonlyArray<string>): ReadonlyArray<Entry> => {
  const packages = names.map(readPackage)
  for (const owner of packages) {
    const published = new Map<Node, string>()
    for (const module of owner.modules.values()) {
      for (const each of module.exports.values()) {
        for (const { node } of each.declarations) published.set(node, `${module.name}.${each.name}`)
      }
    }
    const context: Context = { owner, packages, signatures: signaturesOf(owner.name), published }
    for (const module of owner.modules.values()) {
      site.pages.set(`api/${owner.name}/${module.name}.md`, moduleText(context, module))
    }
    site.pages.set(`api/${owner.name}/index.md`, packageText(site, owner, names))
  }
  const rows = packages.map(({ description, name }) => `| [@effect-mqttx/${name}](${name}/index.md) | ${description} |`)
  site.pages.set("api/index.md", `# API\n\n| Package | What it is |\n| --- | --- |\n${rows.join("\n")}\n`)
  return packages.map(({ modules, name }) => ({
    text: name,
    link: `/api/${name}/`,
    collapsed: name !== "core",
    items: Array.from(modules.keys(), (module) => ({ text: module, link: `/api/${name}/${module}` }))
  }))
}
