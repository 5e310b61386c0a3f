/**
 * Every public name, and every member of a public type, says what it is.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Member, publicDeclarations, publicMembers, Resolver } from "./support/publicApi.ts"
import { filesBelow, manifestOf, packages } from "./support/repository.ts"
import { lineOf } from "./support/source.ts"

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

const published = packages().filter((name) => manifestOf(name).private !== true)

describe("docstrings", () => {
  it.each(published)("every export of %s and every member of its types has one", (name) => {
    const files = filesBelow(`packages/${name}/src`, ".ts")
    const resolver = new Resolver(files)
    const declarations = publicDeclarations(files, resolver)
    assert.isNotEmpty(declarations)
    const members = publicMembers(declarations, resolver)
    const isElsewhere = isDocumentedElsewhere(members)
    const excluded = /^internal\/(?:options|errors|forwarder|engine)\//
    assert.deepStrictEqual(
      [
        ...declarations.filter(({ doc }) => doc === undefined).map((each) =>
          `${each.source.path}:${lineOf(each.source, each.statement.start)} ${each.module}.${each.name}`
        ),
        ...members.filter((each) => each.doc === undefined && !isElsewhere(each) && !excluded.test(each.source.path))
          .map((each) => `${each.source.path}:${each.line} ${each.declaration.name}.${each.name}`)
      ],
      []
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
export interface D extends Base {
  readonly d: () => void
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
      ["h", "d", "base"]
    )
  })
})
