/**
 * The files that the documents show, and the example.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { load } from "../../src/internal/gateway/load.ts"
import { GatewaySchema } from "../../src/internal/gateway/schema.ts"
import { folder } from "../support/gateway.ts"

const root = Path.join(import.meta.dirname, "../../../..")
const page = Fs.readFileSync(Path.join(root, "docs/gateway.md"), "utf8")

const fences = Array.from(
  page.matchAll(/^```(toml|yaml|json)\n([\s\S]*?)^```/gm),
  ([, extension, text]) => ({ extension: extension!, text: text! })
)

describe("docs/gateway.md", () => {
  it("has files to check", () => {
    assert.isAbove(fences.length, 2)
  })

  it.live.each(fences)("a file of it has no mistake: $text", ({ extension, text }) =>
    Effect.gen(function*() {
      const secrets = Array.from(text.matchAll(/\$\{file:([^}]*)\}/g), ([, path]) => path!)
      const at = yield* folder({
        [`gateway.${extension}`]: text.replaceAll("${file:/", "${file:"),
        ...Object.fromEntries(secrets.map((path) => [path.replace(/^\//, ""), "secret"]))
      })
      const { outcome } = yield* load(Path.join(at, `gateway.${extension}`), { CLOUD_PASSWORD: "secret" })
      assert.deepStrictEqual(Result.isFailure(outcome) ? outcome.failure : [], [])
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it("its table has every key", () => {
    const section = page.slice(page.indexOf("## Keys"), page.indexOf("### Secrets"))
    const keys = Array.from(section.matchAll(/^\| `([$\w]+)(?:\.NAME)?` /gm), ([, key]) => key)
    assert.sameMembers(keys, Object.keys(GatewaySchema.schema.fields))
  })
})

describe("examples/gateway.toml", () => {
  it.live("has no mistake", () =>
    Effect.gen(function*() {
      const { outcome } = yield* load(Path.join(root, "examples/gateway.toml"), {})
      assert.deepStrictEqual(Result.isFailure(outcome) ? outcome.failure : [], [])
    }).pipe(Effect.provide(NodeServices.layer)))
})
