import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { build } from "esbuild"
import { fileURLToPath } from "node:url"
import * as Vm from "node:vm"
import { WebSocket } from "ws"
import { connack, listen } from "../../../../test/support/peers.ts"

const bundle = Effect.promise(async () => {
  const { metafile, outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("./reactNativeProgram.ts", import.meta.url))],
    bundle: true,
    write: false,
    metafile: true,
    platform: "neutral",
    mainFields: ["react-native", "module", "main"],
    // As Metro sets them.
    conditions: ["@effect-mqttx/source", "react-native", "import"],
    format: "iife",
    logLevel: "silent"
  })
  return { text: outputFiles[0]!.text, modules: Object.keys(metafile.inputs) }
})

it.live("a session runs with what React Native has, by the export condition react-native", () =>
  Effect.gen(function*() {
    const { modules, text } = yield* bundle
    assert.deepStrictEqual(modules.filter((path) => /internal\/node\/|node_modules\/ws\//.test(path)), [])
    const listener = yield* listen({
      protocol: "ws",
      serve: (peer) =>
        Effect.gen(function*() {
          yield* peer.received("Connect")
          peer.send(connack())
          const { packetIdentifier } = yield* peer.received("Publish")
          peer.send({ _tag: "Puback", packetIdentifier, reasonCode: 0, properties: {} })
        })
    })
    const { host, path, port } = listener.address
    const outcomes = yield* Effect.callback<unknown>((resume) => {
      // What Hermes and React Native have: no MessageChannel, process, Buffer, crypto or structuredClone. A context of
      // its own has the classes of JavaScript, as in the bytes that the WebSocket gives.
      const context = Vm.createContext({
        ArrayBuffer,
        Uint8Array,
        AbortController,
        TextDecoder,
        TextEncoder,
        URL,
        WebSocket,
        clearInterval,
        clearTimeout,
        console,
        done: (found: unknown) => resume(Effect.succeed(found)),
        performance,
        queueMicrotask,
        server: `ws://${host}:${port}${path}`,
        setImmediate,
        setInterval,
        setTimeout
      })
      Vm.runInContext(text, context)
    })
    assert.deepEqual(outcomes, { reasonCode: 0, refused: "NotSupported" })
    assert.strictEqual((yield* listener.peer()).packets[0]?._tag, "Connect")
  }))
