/**
 * Every public name, and every member of a public type, says what it is.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Declaration, type Member, publicDeclarations, publicMembers, Resolver } from "./support/publicApi.ts"
import { effectDeclarations, filesBelow, manifestOf, packages } from "./support/repository.ts"
import { lineOf, parse } from "./support/source.ts"
import { stabilityViolations } from "./support/stability.ts"

/** A type for the input or for the JSON form of options has the members of the options. */
const stemOf = (name: string): string => name.replace(/(?:Options)?(?:Input|Encoded)?$/, "")

/** One form of options has the docstrings for all, and `MqttError` has those for its reasons. */
const isDocumentedElsewhere = (members: ReadonlyArray<Member>): (member: Member) => boolean => {
  const known = new Set(
    members.filter(({ doc }) => doc !== undefined).map(({ declaration, name }) => `${stemOf(declaration.name)}.${name}`)
  )
  return ({ declaration, name, source }) =>
    known.has(`${stemOf(declaration.name)}.${name}`) ||
    (source.path.startsWith("internal/errors/") && known.has(`MqttError.${name}`))
}

/** The fields without a docstring in records of schemas, named `fields` or `...Fields`, that types follow from. */
const bareFields = (text: string): ReadonlyArray<string> =>
  Array.from(text.matchAll(/^(?:export )?const (fields|\w+Fields) = \{\n((?: .*\n)*)\}/gm)).flatMap(
    ([, record, body]) => {
      if (!text.includes(`<typeof ${record}>`)) return []
      const lines = body!.split("\n")
      return lines.flatMap((line, at) => {
        const field = /^ {2}(\w+):/.exec(line)?.[1]
        let before = at - 1
        while (lines[before]?.startsWith("  //") === true) before--
        return field === undefined || lines[before]?.endsWith("*/") === true ? [] : [`${record}.${field}`]
      })
    }
  )

/** The categories of exports: those of Effect, and `options` for the records that constructors take. */
const categories = [
  "combinators",
  "config",
  "constants",
  "constructors",
  "decoding",
  "encoding",
  "errors",
  "formatting",
  "getters",
  "guards",
  "layers",
  "matching",
  "models",
  "options",
  "parsing",
  "predicates",
  "references",
  "schemas",
  "services",
  "type IDs",
  "utility types",
  "validation"
]

const tags = new RegExp(
  String.raw`\* @stability (stable|unstable|experimental)\s+` +
    String.raw`\* @category (?:${categories.join("|")})\s+\* @since \d+\.\d+\.\d+\s*$`
)

const stabilityOf = (doc: string | undefined): string | undefined => tags.exec(doc ?? "")?.[1]

const placeOf = ({ module, name, node, source }: Declaration): string =>
  `${source.path}:${lineOf(source, node.start)} ${module}.${name}`

const tagViolations = (declaration: Declaration): ReadonlyArray<string> =>
  stabilityOf(declaration.doc) === undefined ? [placeOf(declaration)] : []

const published = packages().filter((name) => manifestOf(name).private !== true)

describe("docstrings", () => {
  it.each(published)("every export of %s and every member of its types has one", (name) => {
    const files = filesBelow(`packages/${name}/src`, ".ts")
    const resolver = new Resolver(files)
    const declarations = publicDeclarations(files, resolver)
    assert.isNotEmpty(declarations)
    const members = publicMembers(declarations, resolver)
    const isElsewhere = isDocumentedElsewhere(members)
    assert.deepStrictEqual(
      [
        ...declarations.filter(({ doc }) => doc === undefined).map(placeOf),
        ...members.filter((each) => each.doc === undefined && !isElsewhere(each))
          .map((each) => `${each.source.path}:${each.line} ${each.declaration.name}.${each.name}`)
      ],
      []
    )
  })

  it.each(published)("every field of %s that a public type follows from has one", (name) => {
    assert.deepStrictEqual(
      Array.from(filesBelow(`packages/${name}/src`, ".ts")).flatMap(([path, text]) =>
        bareFields(text).map((field) => `${path}: ${field}`)
      ),
      []
    )
  })

  it("a field without one is found", () => {
    const text = "const queueFields = {\n  /** A. */\n  a: number(1),\n  b: number(\n    2\n  ),\n  // C.\n  c: 3\n}\n"
    assert.deepStrictEqual(bareFields(text), [])
    assert.deepStrictEqual(
      bareFields(`${text}interface Queue extends Type<typeof queueFields> {}\nexport const other = {\n  d: 4\n}`),
      ["queueFields.b", "queueFields.c"]
    )
  })

  it("what has none is found through re-exports, and in types that a public type extends", () => {
    const files = new Map([
      ["index.ts", "export * as A from \"./A.ts\""],
      [
        "A.ts",
        `import type { C } from "./internal/b.ts"
export { /** B. */ b } from "./internal/b.ts"
export * from "./internal/c.ts"
export type { C }
interface Base {
  readonly base: 1
}
/** D. */
export interface D extends Base, Type<typeof fields> {
  readonly d: () => void
}
const fields = {
  /** G. */
  // Code between.
  g: 1,
  i: 2
}`
      ],
      ["internal/b.ts", "export const b = 1\nexport interface C {\n  /** E. */\n  readonly e: 1\n}"],
      ["internal/c.ts", "/** F. */\nexport class F {\n  #g = 1\n  h(): void {}\n}"]
    ])
    const resolver = new Resolver(files)
    const declarations = publicDeclarations(files, resolver)
    const bare = declarations.filter(({ doc }) => doc === undefined)
    assert.deepStrictEqual(declarations.map(({ name }) => name).sort(), ["C", "D", "F", "b"])
    assert.deepStrictEqual(bare.map(({ name, source }) => `${source.path} ${name}`), ["internal/b.ts C"])
    assert.deepStrictEqual(
      publicMembers(declarations, resolver).filter(({ doc }) => doc === undefined).map(({ name }) => name),
      ["h", "d", "base", "i"]
    )
  })
})

describe("tags", () => {
  it.each(published)("every export of %s has its stability, its category and its first version", (name) => {
    const declarations = publicDeclarations(filesBelow(`packages/${name}/src`, ".ts"))
    assert.deepStrictEqual(declarations.flatMap(tagViolations), [])
  })

  it.each(published)("the exports of %s are stable when the parts of Effect are that it takes", (name) => {
    const files = filesBelow(`packages/${name}/src`, ".ts")
    const sources = Array.from(files, ([path, text]) => parse(path, text))
    const stability = stabilityViolations(sources, effectDeclarations).length === 0 ? "stable" : "unstable"
    const declarations = publicDeclarations(files)
    assert.deepStrictEqual(
      declarations.filter(({ doc }) => stabilityOf(doc) !== stability).map((each) => `${each.module}.${each.name}`),
      []
    )
  }, 60_000)

  it("missing and misspelled tags are found", () => {
    const tags = "* A.\n *\n * @stability stable\n * @category models\n * @since 0.1.0\n "
    const text = (doc: string) => new Map([["A.ts", `/*${doc}*/\nexport interface A {}`]])
    const violations = (doc: string) =>
      publicDeclarations(text(doc)).flatMap(tagViolations).map((place) => place.replace(/:\d+/, ""))
    assert.deepStrictEqual(violations(tags), [])
    for (
      const wrong of [
        "* A. ",
        tags.replace(" * @since 0.1.0\n", ""),
        tags.replace("models", "model"),
        tags.replace("@stability stable", "@stability quite"),
        tags.replace("0.1.0", "soon")
      ]
    ) {
      assert.deepStrictEqual(violations(wrong), ["A.ts A.A"])
    }
  })
})
