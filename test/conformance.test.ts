/**
 * Holds docs/conformance.md against the tests of the packages: every normative statement of both versions is listed
 * once, and every proof that the page names is a real test that claims the statement by its id.
 */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { titlesOf } from "./support/titles.ts"

/**
 * How many statements each section numbers. MQTT 3.1.1 has 141; MQTT 5.0 has 251, since its 2.2.1-1 was never given
 * out.
 */
const sections = {
  "3":
    `1.5.3:3 2.2.2:2 2.3.1:7 3.1.0:2 3.1.2:24 3.1.3:11 3.1.4:5 3.2.0:1 3.2.2:6 3.3.1:12 3.3.2:3 3.3.4:1 3.3.5:2 3.6.1:1
    3.8.1:1 3.8.3:4 3.8.4:6 3.9.3:2 3.10.1:1 3.10.3:2 3.10.4:6 3.12.4:1 3.14.1:1 3.14.4:3 4.1.0:2 4.3.1:1 4.3.2:2 4.3.3:2
    4.4.0:1 4.5.0:2 4.6.0:6 4.7.1:3 4.7.2:1 4.7.3:4 4.8.0:2 6.0.0:4 7.0.0:2 7.1.1:1 7.1.2:1`,
  "5":
    `1.5.4:3 1.5.5:1 1.5.7:1 2.1.3:1 2.2.1:6 2.2.2:1 3.1.0:2 3.1.2:30 3.1.3:12 3.1.4:6 3.2.0:2 3.2.2:22 3.3.1:13 3.3.2:20
    3.3.4:10 3.4.2:3 3.5.2:3 3.6.1:1 3.6.2:3 3.7.2:3 3.8.1:1 3.8.3:5 3.8.4:8 3.9.2:2 3.9.3:2 3.10.1:1 3.10.3:2 3.10.4:6
    3.11.2:2 3.11.3:2 3.12.4:1 3.14.0:1 3.14.1:1 3.14.2:4 3.14.4:3 3.15.1:1 3.15.2:3 4.1.0:2 4.2.0:1 4.3.1:1 4.3.2:5
    4.3.3:13 4.4.0:2 4.5.0:2 4.6.0:6 4.7.0:1 4.7.1:2 4.7.2:1 4.7.3:4 4.8.2:6 4.9.0:3 4.12.0:7 4.12.1:2 4.13.1:1 4.13.2:1
    6.0.0:4`
}

const known: ReadonlySet<string> = new Set(
  Object.entries(sections).flatMap(([version, list]) =>
    list.split(/\s+/).flatMap((entry) => {
      const [section, count] = entry.split(":")
      return Array.from({ length: Number(count) }, (_, i) => `MQTT${version}-${section}-${i + 1}`)
    })
  ).filter((id) => id !== "MQTT5-2.2.1-1")
)

/**
 * What a `later:` proof may name, with what is still to come in brackets. A floor leaves this list when it is built:
 * its statements are proved from then on. Of the connection only enhanced authentication is left.
 */
const laterFloors: ReadonlySet<string> = new Set(["connection"])

interface Statement {
  readonly id: string
  readonly demand: string
  readonly proofs: ReadonlyArray<string>
}

interface Page {
  readonly statements: ReadonlyArray<Statement>
  readonly serverOnly: ReadonlyArray<string>
  /** How many statements the page says that it has: bound clients and bound servers, version by version. */
  readonly counts: ReadonlyArray<number>
  readonly problems: ReadonlyArray<string>
}

const readPage = (markdown: string): Page => {
  const statements: Array<Statement> = []
  const serverOnly: Array<string> = []
  const counts: Array<number> = []
  const problems: Array<string> = []
  let version: string | undefined
  for (const line of markdown.split("\n")) {
    if (line.startsWith("## ")) {
      version = line === "## MQTT 3.1.1" ? "3" : line === "## MQTT 5.0" ? "5" : undefined
    } else if (version === undefined) {
      continue
    } else if (/^\d+ statements bind /.test(line)) {
      counts.push(Number.parseInt(line, 10))
    } else if (line.startsWith("- ")) {
      for (const [number] of line.matchAll(/\d+\.\d+\.\d+-\d+/g)) serverOnly.push(`MQTT${version}-${number}`)
    } else if (line.startsWith("|") && !/^\| (Statement|---) \|/.test(line)) {
      // a pipe in a test title is written \| in a Markdown table
      const cells = line.split(/(?<!\\)\|/).slice(1, -1).map((cell) => cell.trim().replaceAll("\\|", "|"))
      const number = /^\[MQTT-(\d+\.\d+\.\d+-\d+)\]$/.exec(cells[0] ?? "")?.[1]
      if (number === undefined || cells.length !== 3) problems.push(`not a row of the table: ${line}`)
      else {
        const proofs = cells[2]!.split("<br>").map((proof) => proof.trim()).filter((proof) => proof !== "")
        statements.push({ id: `MQTT${version}-${number}`, demand: cells[1]!, proofs })
      }
    }
  }
  return { statements, serverOnly, counts, problems }
}

interface Proof {
  /** As a proof cell writes it. */
  readonly name: string
  readonly ids: ReadonlyArray<string>
}

interface Tests {
  readonly proofs: ReadonlyArray<Proof>
  readonly problems: ReadonlyArray<string>
}

const idLike = /MQTT[35]?-\d+\.\d+/
const titleWithIds = /^(\S.*?)((?: \[MQTT[35]-\d+\.\d+\.\d+-\d+\])+)$/s

/**
 * The tests of one file that claim statements. A title is the first argument of an `it` or `test` call, written as a
 * string. Where a file makes tests from data (`it(name, ...)`), its other strings that end in ids are titles as well.
 */
const readTests = (packageName: string, file: string, source: string): Tests => {
  const problems: Array<string> = []
  const { fromData, others, titles: written } = titlesOf(file, source)
  const loose = others.filter((text) => idLike.test(text))
  const titles = fromData ? [...written, ...loose] : written
  if (!fromData) { for (const text of loose) problems.push(`${file}: an id outside of a test title: ${text}`) }

  const proofs: Array<Proof> = []
  for (const title of titles.filter((text) => idLike.test(text))) {
    const [, name, tail] = titleWithIds.exec(title) ?? []
    if (name === undefined || tail === undefined || idLike.test(name)) {
      problems.push(`${file}: ids end a title, each as " [MQTT3-x.y.z-n]" or " [MQTT5-x.y.z-n]": ${title}`)
      continue
    }
    const ids = tail.slice(2, -1).split("] [")
    for (const id of ids.filter((id) => !known.has(id))) problems.push(`${file}: there is no ${id}: ${title}`)
    proofs.push({ name: `${packageName}: \`${file} › ${name}\``, ids })
  }
  return { proofs, problems }
}

/** Every known statement stands on the page once, and nothing else does. */
const checkListing = (page: Page, ids: ReadonlySet<string> = known): Array<string> => {
  const problems = [...page.problems]
  const seen = new Set<string>()
  for (const id of [...page.statements.map((statement) => statement.id), ...page.serverOnly]) {
    if (!ids.has(id)) problems.push(`${id} does not exist`)
    if (seen.has(id)) problems.push(`${id} is listed twice`)
    seen.add(id)
  }
  for (const id of ids) if (!seen.has(id)) problems.push(`${id} is not listed`)
  return problems
}

/** Every proof on the page is true, and no test is left out that would turn a `later` or `n/a` into a proof. */
const checkProofs = (page: Page, proofs: ReadonlyArray<Proof>): Array<string> => {
  const problems: Array<string> = []
  for (const { demand, id, proofs: cell } of page.statements) {
    const found = [...new Set(proofs.filter((proof) => proof.ids.includes(id)).map((proof) => proof.name))]
    const named = cell.filter((proof) => proof.includes(" › "))
    if (demand === "") problems.push(`${id} demands nothing`)
    if (cell.length === 0) problems.push(`${id} has an empty proof cell`)
    for (const proof of named) {
      if (found.includes(proof)) continue
      const exists = proofs.some((other) => other.name === proof)
      problems.push(`${id}: ${exists ? "the test does not carry the id" : "no such test"}: ${proof}`)
    }
    for (const proof of cell) {
      const floor = /^later: (\w+) \(.+\)$/.exec(proof)?.[1]
      if (named.includes(proof) || /^n\/a: \S/.test(proof) || (floor !== undefined && laterFloors.has(floor))) continue
      problems.push(`${id}: neither a test, a later floor nor a reason: ${proof}`)
    }
    // one test is proof enough for a finished cell; an unfinished one must notice each test that arrives
    const finished = named.length > 0 && named.length === cell.length
    const missed = found.filter((proof) => !cell.includes(proof))
    if (!finished && missed.length > 0) {
      problems.push(`${id}: out of date (${cell.join(", ")}), found: ${missed.join("<br>")}`)
    }
  }
  return problems
}

const root = fileURLToPath(new URL("..", import.meta.url))

const workspaceTests = (): Tests => {
  const all: Array<Tests> = []
  for (const name of readdirSync(join(root, "packages"))) {
    const folder = join(root, "packages", name, "test")
    let files: Array<string> = []
    try {
      files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    } catch {
      // a package without tests
    }
    for (const file of files.filter((path) => path.endsWith(".test.ts")).sort()) {
      const source = readFileSync(join(folder, file), "utf8")
      if (idLike.test(source)) all.push(readTests(name, file.replaceAll("\\", "/"), source))
    }
  }
  return { proofs: all.flatMap((tests) => tests.proofs), problems: all.flatMap((tests) => tests.problems) }
}

const assertNone = (problems: ReadonlyArray<string>): void => {
  if (problems.length > 0) assert.fail(`${problems.length} problems\n${problems.join("\n")}`)
}

describe("docs/conformance.md", () => {
  const page = readPage(readFileSync(join(root, "docs/conformance.md"), "utf8"))
  const tests = workspaceTests()

  it("lists every normative statement of MQTT 3.1.1 and 5.0 once", () => {
    assert.strictEqual(known.size, 141 + 251)
    assertNone(checkListing(page))
    const clients = page.statements.map(({ id }) => id)
    const count = (ids: ReadonlyArray<string>, version: string) => ids.filter((id) => id.startsWith(version)).length
    assert.deepStrictEqual(
      page.counts,
      ["MQTT3", "MQTT5"].flatMap((version) => [count(clients, version), count(page.serverOnly, version)])
    )
  })

  it("names a real test, a later floor or a reason for every statement that binds a client", () => {
    assertNone(checkProofs(page, tests.proofs))
  })

  it("is linked by well-formed ids of statements that exist", () => {
    assertNone(tests.problems)
  })
})

describe("the checker of docs/conformance.md", () => {
  const ids = new Set(["MQTT3-2.3.1-1", "MQTT3-2.3.1-4", "MQTT5-2.2.1-3"])
  const first = "core: `a.test.ts › takes an unused identifier`"
  const source = `it.effect("takes an unused identifier [MQTT3-2.3.1-1] [MQTT5-2.2.1-3]", () => run)`
  const sample = (cell3: string, cell5: string): Page =>
    readPage([
      "## MQTT 3.1.1",
      "| Statement | What it demands of a client | Proof |",
      "| --- | --- | --- |",
      `| [MQTT-2.3.1-1] | An identifier. | ${cell3} |`,
      "- The server's side: 2.3.1-4",
      "## MQTT 5.0",
      `| [MQTT-2.2.1-3] | An identifier. | ${cell5} |`
    ].join("\n"))
  const proofs = (text: string): ReadonlyArray<Proof> => readTests("core", "a.test.ts", text).proofs
  const check = (page: Page, text: string): ReadonlyArray<string> => checkProofs(page, proofs(text))

  it("accepts a page whose proofs exist", () => {
    assert.deepStrictEqual(checkListing(sample(first, first), ids), [])
    assert.deepStrictEqual(check(sample(first, first), source), [])
  })

  it("reports a test that does not exist", () => {
    assert.deepStrictEqual(check(sample(first, first), source.replace("unused", "free")), [
      `MQTT3-2.3.1-1: no such test: ${first}`,
      `MQTT5-2.2.1-3: no such test: ${first}`
    ])
  })

  it("reports a test that does not carry the id", () => {
    assert.deepStrictEqual(check(sample(first, first), source.replace(" [MQTT5-2.2.1-3]", "")), [
      `MQTT5-2.2.1-3: the test does not carry the id: ${first}`
    ])
  })

  it("reports a skipped, todo or expected failure as no test", () => {
    const variants = [
      source.replace("it.effect", "it.effect.skip"),
      source.replace("it.effect", "it.todo"),
      source.replace("it.effect", "it.fails"),
      `describe.skip("suite", () => { ${source} })`,
      `// ${source}`
    ]
    for (const text of variants) assert.strictEqual(check(sample(first, first), text).length, 2, text)
  })

  it("reports an id that is missing, listed twice or unknown", () => {
    const page = sample(first, first)
    assert.deepStrictEqual(checkListing(page, new Set([...ids, "MQTT5-9.9.9-9"])), ["MQTT5-9.9.9-9 is not listed"])
    assert.deepStrictEqual(checkListing(page, new Set([...ids].slice(1))), ["MQTT3-2.3.1-1 does not exist"])
    const twice = { ...page, serverOnly: [...page.serverOnly, "MQTT3-2.3.1-1"] }
    assert.deepStrictEqual(checkListing(twice, ids), ["MQTT3-2.3.1-1 is listed twice"])
  })

  it("reports an empty proof cell and one that is no proof", () => {
    const none = "MQTT3-2.3.1-1 has an empty proof cell"
    const neither = "MQTT5-2.2.1-3: neither a test, a later floor nor a reason"
    for (const cell of ["later: someday (all)", "later: connection", "n/a:"]) {
      assert.deepStrictEqual(check(sample("", cell), ""), [none, `${neither}: ${cell}`])
    }
    assert.deepStrictEqual(check(sample("", "later: connection (all)"), ""), [none])
  })

  it("reports a cell that a test has overtaken", () => {
    assert.deepStrictEqual(
      check(sample("later: connection (all)", `${first}<br>later: connection (the close)`), source),
      [
        `MQTT3-2.3.1-1: out of date (later: connection (all)), found: ${first}`
      ]
    )
    const closes = `it("closes [MQTT5-2.2.1-3]", () => {})`
    assert.deepStrictEqual(check(sample(first, `${first}<br>later: connection (the close)`), `${source};${closes}`), [
      `MQTT5-2.2.1-3: out of date (${first}, later: connection (the close)), found: core: \`a.test.ts › closes\``
    ])
  })

  it("reads titles of tables, templates and data", () => {
    const names = (text: string): ReadonlyArray<string> => proofs(text).map((proof) => proof.name)
    assert.deepStrictEqual(names("it.each(cases)(\"takes %s [MQTT3-2.3.1-1]\", f)"), ["core: `a.test.ts › takes %s`"])
    assert.deepStrictEqual(names("for (const v of vs) it(`on ${v} takes | [MQTT3-2.3.1-1]`, f)"), [
      "core: `a.test.ts › on … takes |`"
    ])
    assert.deepStrictEqual(names("const cases = [\"takes it [MQTT3-2.3.1-1]\"]; for (const c of cases) it(c, f)"), [
      "core: `a.test.ts › takes it`"
    ])
  })

  it("reports ids that link nothing", () => {
    const problems = (text: string): number => readTests("core", "a.test.ts", text).problems.length
    assert.strictEqual(problems("it(\"takes [MQTT-2.3.1-1]\", f)"), 1)
    assert.strictEqual(problems("it(\"[MQTT3-2.3.1-1] takes\", f)"), 1)
    assert.strictEqual(problems("it(\"takes [MQTT3-2.3.1-99]\", f)"), 1)
    assert.strictEqual(problems("describe(\"takes [MQTT3-2.3.1-1]\", () => { it(\"takes\", f) })"), 1)
    assert.strictEqual(problems(source), 0)
  })
})
