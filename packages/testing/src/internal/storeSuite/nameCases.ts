/**
 * Cases: sessions of any name are separate from each other.
 */
import * as Effect from "effect/Effect"
import type { SessionStoreCase } from "./case.ts"
import { expectRecords } from "./expectation.ts"
import { identity, outbound, put, subscription, unusualTexts } from "./records.ts"

/** Names that some storage might take for a path, a pattern, one of its own keys, or each other. */
const hostileNames: ReadonlyArray<string> = [
  "",
  ".",
  "./a",
  "../a",
  "a",
  "A",
  "a ",
  "a.",
  "a/",
  "a/b",
  "a\\b",
  "a\0",
  "a\0b",
  "a*",
  "a?",
  "[a]",
  "a}",
  "ab",
  "a%62",
  "a%",
  "a:1",
  "a-",
  "a_",
  "a'; DROP TABLE a; --",
  "CON",
  "NUL.txt",
  "constructor",
  "identity",
  "outbound/0000000000000001",
  "a/identity",
  "a/outbound/0000000000000001",
  "ﬁ",
  "fi",
  "İ",
  "i",
  "\u{10000}",
  // Lone surrogates, which UTF-8 cannot distinguish from each other.
  "\ud800",
  "\udc00",
  "\ufffd",
  "x".repeat(255),
  "x".repeat(256),
  "x".repeat(10_000),
  `${"x".repeat(9_999)}y`,
  ...unusualTexts
]

export const nameCases: ReadonlyArray<SessionStoreCase> = [
  {
    name: "any string names a session, and no two of them share records or owners",
    run: Effect.fnUntraced(function*(store) {
      const names = Array.from(new Set(hostileNames))
      const recordsOf = (name: string) => [
        outbound(1, { topic: `t/${names.indexOf(name)}` }),
        identity(`${names.indexOf(name)}`),
        subscription(`f/${names.indexOf(name)}`)
      ]
      yield* Effect.scoped(Effect.gen(function*() {
        const handles = []
        for (const name of names) handles.push([name, yield* store.open(name)] as const)
        for (const [name, handle] of handles) yield* handle.commit(recordsOf(name).map(put))
        for (const [name, handle] of handles) {
          expectRecords(yield* handle.load, recordsOf(name), `in session ${JSON.stringify(name.slice(0, 50))}`)
        }
      }))
      const next = store.reopen === undefined ? store : yield* store.reopen
      for (const [index, name] of names.entries()) {
        const handle = yield* next.open(name)
        expectRecords(yield* handle.load, recordsOf(name), `opened again, session ${JSON.stringify(name.slice(0, 50))}`)
        if (index % 2 === 0) yield* handle.clear
      }
    })
  },
  {
    name: "clearing a session keeps those whose names begin or end like its own",
    run: Effect.fnUntraced(function*(store) {
      for (const name of ["a", "a/b", "", "a*", "a%", "a_"]) {
        const others = ["ab", "a/", "a/b/c", "b/a", "a*b", "axb", "a%b", "a_b"]
        yield* Effect.scoped(Effect.gen(function*() {
          const handle = yield* store.open(name)
          yield* handle.commit([put(outbound(1))])
          const handles = []
          for (const other of others) handles.push(yield* store.open(other))
          for (const other of handles) yield* other.commit([put(outbound(2))])
          yield* handle.clear
          expectRecords(yield* handle.load, [], `after clearing ${JSON.stringify(name)}`)
          for (const [i, other] of handles.entries()) {
            expectRecords(yield* other.load, [outbound(2)], `in ${others[i]} after clearing ${JSON.stringify(name)}`)
          }
        }))
      }
    })
  }
]
