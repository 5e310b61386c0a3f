/**
 * The positions of keys and items in TOML, YAML and JSON, against the parsers that the gateway uses.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { parseDocument } from "../../src/internal/gateway/document.ts"
import type { Format } from "../../src/internal/gateway/positions.ts"

const texts: Readonly<Record<Format, string>> = {
  toml: `# A comment with "quotes" and [brackets]
title = "a # b"
long = """
[not.a.header]
key = 1
"""
dotted.key = 1
"quoted key" = 'it''s'
array = [ # comment ]
  "x", # "y"
  [1, 2],
  { a = 1, b.c = [3] },
]

[ sessions . plant ]
servers = "mqtt://[::1]:1883"
tls = { ca = "x", "key" = '''
}''' }

[sessions."a.b"]
servers = ["mqtt://a"]

[[rules]]
from = "a"
[[rules]]
from = "b"
[rules.inner]
deep = true
[[rules.list]]
last = 1
`.replaceAll("'it''s'", "'its'"),
  yaml: `# A comment: not a key
title: a # b
long: |
  not: a key
  - nor an item

  more: text
folded: some text
  that goes on
'quoted key': "a: b"
array:
- x
- [1, 2]
- a: 1
  b:
    c: [3]
    d: { e: 1,
      "f": [4, "}"] }
-
  g: 1
- - nope
sessions:
  plant:
    servers:
      - mqtt://a:1883
      -   mqtt://b
    url: http://x#y
  a.b: {servers: [mqtt://c], on: true}
last: 1
`.replace("- - nope\n", ""),
  json: `{
  "title": "a \\" : { b",
  "array": ["x", [1, 2], { "a": 1, "b": { "c": [3] } }],
  "quo\\"ted": null,
  "sessions": { "plant": { "servers": [ "mqtt://a" ] }, "a.b": {} }
}`
}

/** Every path in a value. */
const pathsOf = (value: unknown, path: Array<string> = []): Array<Array<string>> =>
  typeof value === "object" && value !== null
    ? Object.entries(value).flatMap(([key, inner]) => [path.concat(key)].concat(pathsOf(inner, path.concat(key))))
    : []

const parsed = (text: string, format: "toml" | "yaml" | "json") => Effect.runPromise(parseDocument(text, format))

describe("positions", () => {
  it.each(["toml", "yaml", "json"] as const)(
    "every key and item of a %s text has the position where it stands",
    async (format) => {
      const text = texts[format]
      const { positionOf, value } = Result.getOrThrow(await parsed(text, format))
      const lines = text.split("\n")
      const paths = pathsOf(value)
      assert.isAbove(paths.length, 12)
      for (const path of paths) {
        const position = positionOf(path)
        assert.isDefined(position, path.join("."))
        const rest = lines[position!.line - 1]!.slice(position!.column - 1)
        const key = path.at(-1)!
        const isItem = /^\d+$/.test(key)
        if (!isItem && !rest.startsWith("[")) {
          assert.match(rest.replaceAll("\\", ""), new RegExp(`^["']?${key.replace(/\W/g, "\\$&")}`), path.join("."))
        } else if (!isItem) {
          assert.include(rest, key, path.join("."))
        }
      }
      // No two values stand at one place, but for a table and the header that names it.
      const places = paths.filter((path) => !/^\d+$/.test(path.at(-1)!)).map((path) => JSON.stringify(positionOf(path)))
      assert.isAtLeast(new Set(places).size, format === "toml" ? places.length - 3 : places.length)
    }
  )

  it.each(
    [
      ["toml", "a = 1\n[b]\nitems = [\n  1,\n    2\n]\n", ["b", "items", "1"], { line: 5, column: 5 }],
      ["toml", "[[a]]\nx = 1\n[[a]]\n  x = 2\n", ["a", "1", "x"], { line: 4, column: 3 }],
      ["yaml", "a:\n  b:\n  - c: 1\n    d: 2\n  - c: 3\n", ["a", "b", "1", "c"], { line: 5, column: 5 }],
      ["yaml", "a:\n  b:\n  - c: 1\n    d: 2\n  - c: 3\n", ["a", "b", "0", "d"], { line: 4, column: 5 }],
      ["json", "{\"a\":\n  [{}, {\"b\": 1}]}", ["a", "1", "b"], { line: 2, column: 9 }]
    ] as const
  )("%s: %j", async (format, text, path, position) => {
    const document = Result.getOrThrow(await parsed(text, format))
    assert.deepStrictEqual(document.positionOf(path), position)
  })

  it("what is not in the text has the position of the nearest part above it", async () => {
    const { positionOf } = Result.getOrThrow(await parsed("x = 1\n[sessions.plant]\n", "toml"))
    assert.deepStrictEqual(positionOf(["sessions", "plant", "servers", "0"]), { line: 2, column: 1 })
    assert.isUndefined(positionOf(["forwarders"]))
  })

  it.each(
    [
      ["toml", "a = 1\nb = \n", { line: 2, column: 5 }],
      ["yaml", "a: 1\na: 2\n", { line: 2, column: 1 }],
      ["json", "{\n  \"a\": x }", { line: 2, column: 8 }],
      ["json", "{\"a\": [1, 2,], }", { line: 1, column: 13 }],
      ["json", "{\"a\": 1} x", { line: 1, column: 10 }],
      ["json", "{\"a\" 1}", { line: 1, column: 6 }],
      ["json", "", { line: 1, column: 1 }]
    ] as const
  )("%s: a mistake of the syntax has its position, and quotes no text", async (format, text, position) => {
    const document = await parsed(text, format)
    assert.isTrue(Result.isFailure(document))
    if (Result.isSuccess(document)) return
    assert.deepStrictEqual(document.failure.position, position)
    const secret = await parsed("{\"password\": \"hunter2\", }", "json")
    assert.notInclude(JSON.stringify(secret), "hunter2")
  })
})
