/**
 * The files that the documents show, and the example.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { Yaml } from "effect/encoding"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { load } from "../../src/internal/gateway/load.ts"
import { GatewaySchema } from "../../src/internal/gateway/schema.ts"
import { folder } from "../support/gateway.ts"

interface Container {
  readonly ports: ReadonlyArray<{ readonly name: string; readonly containerPort: number }>
  readonly livenessProbe: { readonly httpGet: { readonly path: string } }
  readonly readinessProbe: { readonly httpGet: { readonly path: string } }
}

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

  it.live("the file in the Kubernetes manifest has no mistake, and the probes ask where it listens", () =>
    Effect.gen(function*() {
      const manifest = /^```yml\n([\s\S]*?)^```/m.exec(page)![1]!
      const [map, deployment] = manifest.split("---\n").map((text) => Yaml.parse(text)) as unknown as [
        { readonly data: Readonly<Record<string, string>> },
        { readonly spec: { readonly template: { readonly spec: { readonly containers: ReadonlyArray<Container> } } } }
      ]
      const text = map.data["gateway.toml"]!
      const at = yield* folder({
        "gateway.toml": text.replace("${file:/run", "${file:run"),
        "run/secrets/gateway/cloud": "x"
      })
      const { outcome } = yield* load(Path.join(at, "gateway.toml"), {})
      assert.deepStrictEqual(Result.isFailure(outcome) ? outcome.failure : [], [])
      const container = deployment.spec.template.spec.containers[0]!
      assert.deepStrictEqual(container.ports, [{ name: "metrics", containerPort: 9464 }])
      assert.strictEqual(container.livenessProbe.httpGet.path, "/healthz")
      assert.strictEqual(container.readinessProbe.httpGet.path, "/readyz")
      assert.strictEqual(Result.getOrThrow(outcome).settings.metrics!.port, 9464)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it("its table has every key", () => {
    const section = page.slice(page.indexOf("## Keys"), page.indexOf("### Secrets"))
    const keys = Array.from(section.matchAll(/^\| `([$\w]+)(?:\.NAME)?` /gm), ([, key]) => key)
    assert.sameMembers(keys, Object.keys(GatewaySchema.schema.fields))
  })
})

describe("examples", () => {
  it.live.each(["gateway.toml", "gateway-cluster.toml"])("%s has no mistake", (name) =>
    Effect.gen(function*() {
      const { outcome } = yield* load(Path.join(root, "examples", name), {})
      assert.deepStrictEqual(Result.isFailure(outcome) ? outcome.failure : [], [])
    }).pipe(Effect.provide(NodeServices.layer)))
})
