import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { pageAssets } from "../page/tools/assets.ts"
import { contentSecurityPolicy, html } from "../src/internal/page/assets.ts"

const here = Path.join(import.meta.dirname, "..")

describe("the page as one document", () => {
  it("is what its sources say; after a change, `npm run page` makes it again", async () => {
    const generated = Fs.readFileSync(Path.join(here, "src/internal/page/assets.ts"), "utf8")
    assert.isTrue(
      generated === await pageAssets(Path.join(here, "page")),
      "page/assets.ts is stale: run `npm run page`"
    )
  })

  it("has nothing that is elsewhere, and is small", () => {
    assert.notMatch(html, /(?:src|href)="(?!#|data:)/)
    assert.notMatch(html.replaceAll("http://www.w3.org/2000/svg", ""), /https?:\/\//)
    assert.notMatch(html, /@import|url\(/)
    assert.isBelow(html.length, 64 * 1024)
    assert.isAtMost(contentSecurityPolicy.length, 1024)
  })
})
