/**
 * What the documentation site is made of: its pages, before the generator turns them into HTML, and the check of what
 * the generator has made. The build itself takes too long for a test and is a step of CI.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Path from "node:path/posix"
import { addApi } from "../site/tools/api.ts"
import { siteProblems } from "../site/tools/check.ts"
import { addDocuments, documentation, type Entry, type Site } from "../site/tools/markdown.ts"
import { anchorsOf, isAddress, mapLinks, targetsOf } from "./support/links.ts"
import { publicDeclarations } from "./support/publicApi.ts"
import { filesBelow, manifestOf, packages } from "./support/repository.ts"

const published = packages().filter((name) => manifestOf(name).private !== true)

const site: Site = { pages: new Map(), files: new Set() }
addDocuments(site, published)
const api = addApi(site, published)

const anchors = new Map(
  Array.from(site.pages, ([page, text]) => {
    const explicit = Array.from(text.matchAll(/ \{%#(.*?)%\}$/gm), ([, id]) => id!)
    return [page, new Set([...anchorsOf(text), ...explicit])] as const
  })
)

describe("links and anchors", () => {
  it("are read and replaced outside of code only", () => {
    const text = "[a](b) `[c](d)`\n```\n[e](f)\n```\n![g](h \"i\")"
    assert.deepStrictEqual(targetsOf(text), ["b", "h"])
    assert.strictEqual(
      mapLinks(text, (target) => target.toUpperCase()),
      text.replace("(b)", "(B)").replace("(h ", "(H ")
    )
  })

  it("a heading that repeats has a number", () => {
    const text = "# `A`, and B & [c](d.md)\n\n## One\n\n## One\n\n```md\n## Two\n```\n"
    assert.deepStrictEqual([...anchorsOf(text)], ["a-and-b--c", "one", "one-1"])
  })
})

describe("pages of the site", () => {
  it("are all Markdown files of docs, the README and the API of every package", () => {
    const expected = ["index.md", "docs/index.md", "docs/guides/options.md", "docs/decisions/index.md", "api/index.md"]
    assert.includeMembers(
      Array.from(site.pages.keys()),
      expected.concat(Array.from(filesBelow("docs/guides", ".md").keys(), (page) => `docs/guides/${page}`))
        .concat(published.map((name) => `api/${name}/index.md`))
    )
  })

  it("have links that lead to pages, sections and images of the site, or to addresses", () => {
    const problems: Array<string> = []
    for (const [page, text] of site.pages) {
      for (const target of targetsOf(text).filter((each) => !isAddress(each))) {
        const [path, anchor] = target.split("#") as [string, string?]
        const place = path === "" ? page : Path.join(Path.dirname(page), path)
        const isThere = anchor === undefined
          ? site.pages.has(place) || site.files.has(place)
          : anchors.get(place)?.has(anchor) === true
        if (!isThere) problems.push(`${page}: ${target}`)
      }
    }
    assert.deepStrictEqual(problems, [])
  })

  it.each(published)("have every export of %s with its category, its version and its source", (name) => {
    for (const { module, name: each, source } of publicDeclarations(filesBelow(`packages/${name}/src`, ".ts"))) {
      const [, entry] = site.pages.get(`api/${name}/${module}.md`)!.split(`\n### ${each} {%#${each}%}\n`)
      assert.isDefined(entry, `${module}.${each}`)
      const [text] = entry!.split("\n### ") as [string]
      assert.match(text, /^(?:stable|unstable|experimental) · since \d+\.\d+\.\d+ · \[Source\]/m, each)
      assert.include(text, `/packages/${name}/src/${source.path}#L`, each)
    }
  })

  it("have members with their docstrings, and links between entries", () => {
    const page = site.pages.get("api/core/MqttSession.md")!
    const [, entry = ""] = page.split("\n#### publishAll {%#Session-publishAll%}\n")
    assert.match(entry, /^[^]{0,80}readonly publishAll: [^]{0,400}Publishes a stream of messages/)
    assert.include(page, "[`SessionStore`](SessionStore.md)")
    assert.include(site.pages.get("api/core/Message.md")!, "see [`Message.ack`](#Message-ack)")
    assert.include(page, "\n## Constructors {%#category-constructors%}\n")
  })

  it("are all in the navigation", () => {
    const links = (entries: ReadonlyArray<Entry>): ReadonlyArray<string> =>
      entries.flatMap(({ items = [], link }) => [...(link === undefined ? [] : [link]), ...links(items)])
    const pages = Array.from(site.pages.keys(), (page) => `/${page.replace(/(?:index)?\.md$/, "")}`)
    const reached = new Set([...links(documentation(site)), ...links(api), "/docs/", "/api/"])
    assert.deepStrictEqual(
      pages.filter((page) => !reached.has(page) && !/^\/docs\/decisions\/./.test(page)),
      []
    )
    assert.deepStrictEqual(Array.from(reached).filter((link) => !pages.includes(link)), [])
  })
})

describe("the check of a built site", () => {
  const check = (html: string): ReadonlyArray<string> =>
    siteProblems(
      "/a/",
      new Set(["index.html", "b.html", "c/index.html", "d.js"]),
      new Map([["index.html", html], ["b.html", "<h2 id=\"e\">E</h2>"], ["c/index.html", ""]])
    )

  it("accepts links to pages and sections, and links to other hosts", () => {
    const html =
      "<p id=\"f\"><a href=\"/a/b.html#e\"></a><a href=\"./c/\"></a><a href=\"/a/\"></a><a href=\"#f\"></a>" +
      "<script src=\"/a/d.js\"></script><a class=\"g\" href=\"https://h.example/\"></a><link href=\"data:,\">"
    assert.deepStrictEqual(check(html), [])
  })

  it("finds dead links, links that leave the site, and what is loaded from other hosts", () => {
    assert.deepStrictEqual(check("<a href=\"/a/g.html\"></a>"), ["index.html: /a/g.html: no such page"])
    assert.deepStrictEqual(check("<a href=\"/b.html\"></a>"), ["index.html: /b.html: no such page"])
    assert.deepStrictEqual(check("<a href=\"b.html#g\"></a>"), ["index.html: b.html#g: no such section"])
    assert.deepStrictEqual(check("<img src=\"https://h.example/i.png\">"), [
      "index.html: loads https://h.example/i.png"
    ])
    assert.deepStrictEqual(siteProblems("/", new Set(), new Map([["a.css", "@import 'https://h.example/i.css'"]])), [
      "a.css: loads from another host"
    ])
  })
})
