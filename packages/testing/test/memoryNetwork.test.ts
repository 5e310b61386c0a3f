import type { ByteStreamHandlers, WriteResult } from "@effect-mqttx/core/Transport"
import { assert, it } from "@effect/vitest"
import { build } from "esbuild"
import { fileURLToPath } from "node:url"
import { makePair } from "../src/internal/scripted/memoryNetwork.ts"

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

const ends = () => {
  const log: Array<string> = []
  const handlers = (name: string): ByteStreamHandlers => ({
    onData: (bytes) => log.push(`${name} ${new TextDecoder().decode(bytes).slice(0, 10)}`),
    onDrain: () => log.push(`${name} drain`),
    onClose: (cause) => log.push(`${name} close${cause === undefined ? "" : ` ${String(cause)}`}`)
  })
  const [a, b] = makePair()
  a.attach(handlers("a"))
  b.attach(handlers("b"))
  const write = (text: string): WriteResult => a.write(new TextEncoder().encode(text))
  return { a, b, log, write }
}

it("bytes arrive in order, after the write has returned", async () => {
  const { log, write } = ends()
  write("1")
  write("2")
  assert.deepStrictEqual(log, [])
  await turn()
  assert.deepStrictEqual(log, ["b 1", "b 2"])
})

it("a paused end holds bytes back, congests the writer, and drains when it resumes", async () => {
  const { a, b, log, write } = ends()
  b.pause()
  assert.strictEqual(write("1"), "taken")
  assert.strictEqual(write("2".repeat(70_000)), "congested")
  await turn()
  assert.deepStrictEqual([log, a.pendingBytes()], [[], 70_001])
  b.resume()
  await turn()
  assert.deepStrictEqual([log, a.pendingBytes()], [["b 1", "b 2222222222", "a drain"], 0])
})

it("an orderly end lets what was written arrive, and closes both ends once", async () => {
  const { a, log, write } = ends()
  write("last")
  a.end()
  assert.strictEqual(write("ignored"), "closed")
  await turn()
  assert.deepStrictEqual(log, ["b last", "b close", "a close"])
})

it("destroying discards what has not arrived, and closes both ends once, with the cause", async () => {
  const { a, b, log, write } = ends()
  write("lost")
  a.destroy("broken")
  a.destroy()
  assert.strictEqual(b.write(new Uint8Array(1)), "closed")
  b.end()
  await turn()
  assert.sameMembers(log, ["a close broken", "b close broken"])
})

it("the scripted broker needs nothing of Node in a browser", async () => {
  const result = await build({
    entryPoints: ["ScriptedBroker", "BrokerCore", "Fault", "Journal"].map((name) =>
      fileURLToPath(new URL(`../src/${name}.ts`, import.meta.url))
    ),
    outdir: "unused",
    bundle: true,
    write: false,
    platform: "browser",
    format: "esm",
    conditions: ["@effect-mqttx/source"],
    metafile: true,
    logLevel: "silent"
  })
  const imports = Object.values(result.metafile.inputs).flatMap((input) => input.imports.map(({ path }) => path))
  assert.deepStrictEqual(imports.filter((path) => path.startsWith("node:") || path.includes("node_modules/ws/")), [])
})
