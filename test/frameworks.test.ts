/**
 * The programs of docs/guides/recipes.md for Express, NestJS and React, with these frameworks. They are installed in a
 * folder of their own, so that the repository does not depend on them: without a registry these tests are skipped,
 * except in CI.
 */
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { build, type BuildOptions } from "esbuild"
import * as Fs from "node:fs"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as Path from "node:path"
import { executablePath, launch } from "./support/browsers.ts"
import { blocksOf, fileNameOf } from "./support/fences.ts"
import { freePort } from "./support/freePort.ts"
import { registry, run } from "./support/packing/consumer.ts"
import { root } from "./support/repository.ts"
import { start } from "./support/walkthrough.ts"

const page = "docs/guides/recipes.md"
const folder = Path.join(root, "build/frameworks")

/** Bundles a program of the page with the sources of the packages; the frameworks are imported as they are. */
const bundle = async (name: string, options: BuildOptions): Promise<string> => {
  const outfile = Path.join(folder, `${Path.parse(name).name}.mjs`)
  await build({
    absWorkingDir: folder,
    entryPoints: [name],
    outfile,
    bundle: true,
    format: "esm",
    target: "es2022",
    conditions: ["@effect-mqttx/source"],
    logLevel: "silent",
    ...options
  })
  return outfile
}

const forNode: BuildOptions = {
  platform: "node",
  external: ["express", "@nestjs/*", "reflect-metadata"],
  // The package `ws` is CommonJS, and requires modules of Node.
  banner: { js: `import { createRequire } from "node:module"; const require = createRequire(import.meta.url)` }
}

const published = (broker: ScriptedBroker.Service) =>
  broker.published.map(({ payload, topic }) => `${topic} ${new TextDecoder().decode(payload)}`)

/** A page of loopback: Chromium lets no other one connect to loopback. */
const serve = (script: string) =>
  Effect.acquireRelease(
    Effect.callback<Http.Server>((resume) => {
      const server = Http.createServer((request, response) => {
        const isScript = request.url === "/rooms.js"
        response.setHeader("content-type", isScript ? "text/javascript" : "text/html")
        response.end(isScript ? script : `<div id="rooms"></div><script type="module" src="rooms.js"></script>`)
      }).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        server.closeAllConnections()
        server.close(() => resume(Effect.void))
      })
  ).pipe(Effect.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`))

describe.skipIf(!(await registry()))("the recipe", () => {
  beforeAll(async () => {
    Fs.mkdirSync(folder, { recursive: true })
    Fs.cpSync(Path.join(root, "test/frameworks"), folder, { recursive: true })
    const { output, status } = await run(folder, "npm", ["ci", "--ignore-scripts", "--prefer-offline"], 240_000)
    assert.strictEqual(status, 0, output)
    for (const block of blocksOf(page, Fs.readFileSync(Path.join(root, page), "utf8"))) {
      const name = fileNameOf(block)
      if (name !== undefined) Fs.writeFileSync(Path.join(folder, name), block.code)
    }
  }, 300_000)

  // Windows has no SIGTERM.
  describe.skipIf(process.platform === "win32")("for servers", () => {
    it.live("of Express answers with the outcome of the publish, and ends in order on SIGTERM", () =>
      Effect.gen(function*() {
        const broker = yield* ScriptedBroker.make({ limits: { maximumPacketSize: 1000 } })
        const port = yield* freePort
        const file = yield* Effect.promise(() => bundle("express.js", forNode))
        const program = yield* start(folder, process.execPath, [file], { MQTT_URL: broker.url, PORT: `${port}` })
        const post = (body: object) =>
          Effect.tryPromise(() =>
            fetch(`http://127.0.0.1:${port}/alarms`, {
              method: "POST",
              headers: { "content-type": "application/json", connection: "close" },
              body: JSON.stringify(body)
            })
          ).pipe(Effect.map(({ status }) => status))
        // The program does not say when it listens.
        const first = yield* post({ level: "red" }).pipe(Effect.retry({ while: () => program.child.exitCode === null }))
        assert.strictEqual(first, 204, program.text)
        assert.deepStrictEqual(published(broker), [`alarms/web {"level":"red"}`])
        assert.strictEqual(yield* post({ level: "r".repeat(2000) }), 413)
        program.child.kill("SIGTERM")
        yield* broker.awaitPacket({ direction: "received", packet: "Disconnect" })
        assert.strictEqual(yield* Effect.promise(() => program.ended), 0, program.text)
      }).pipe(Effect.scoped))

    it.live("of NestJS is a provider, and ends in order on SIGTERM", () =>
      Effect.gen(function*() {
        const broker = yield* ScriptedBroker.make()
        const file = yield* Effect.promise(() => bundle("nest.js", forNode))
        const program = yield* start(folder, process.execPath, [file], { MQTT_URL: broker.url })
        const message = broker.awaitUntil(() => broker.published.length > 0)
        yield* Effect.raceFirst(message, Effect.promise(() => program.ended))
        assert.deepStrictEqual(published(broker), ["alarms/nest started"], program.text)
        program.child.kill("SIGTERM")
        yield* broker.awaitPacket({ direction: "received", packet: "Disconnect" })
        yield* Effect.promise(() => program.ended)
      }).pipe(Effect.scoped))
  })

  it.live.skipIf(executablePath === undefined)(
    "for React shows the last value of each topic in a browser",
    () =>
      Effect.gen(function*() {
        const broker = yield* ScriptedBroker.make({ webSocket: true })
        yield* broker.publish("sensors/a/temperature", "1", { retain: true })
        const file = yield* Effect.promise(() =>
          bundle("rooms.jsx", { jsx: "automatic", define: { "process.env.NODE_ENV": `"production"` } })
        )
        const script = Fs.readFileSync(file, "utf8").replace("wss://broker.example/mqtt", broker.urls.ws!)
        const url = yield* serve(script)
        const browser = yield* launch
        const tab = yield* Effect.promise(() => browser.newPage())
        const failures: Array<string> = []
        tab.on("pageerror", ({ message }) => failures.push(message))
        yield* Effect.promise(async () => {
          await tab.goto(url)
          await tab.locator("li", { hasText: "sensors/a/temperature: 1" }).waitFor()
        })
        yield* broker.publish("sensors/b/temperature", "3", { qos: 1 })
        yield* broker.publish("sensors/a/temperature", "2", { qos: 1 })
        yield* Effect.promise(() => tab.locator("li", { hasText: "sensors/a/temperature: 2" }).waitFor())
        assert.deepStrictEqual(yield* Effect.promise(() => tab.locator("li").allTextContents()), [
          "sensors/a/temperature: 2",
          "sensors/b/temperature: 3"
        ])
        assert.deepStrictEqual(failures, [])
      }).pipe(Effect.scoped)
  )
})
