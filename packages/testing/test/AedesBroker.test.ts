import * as AedesBroker from "@effect-mqttx/testing/AedesBroker"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { build } from "esbuild"
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as Raw from "./support/rawClient.ts"

it.live("accepts clients of both versions over TCP and WebSocket", () =>
  Effect.gen(function*() {
    const broker = yield* AedesBroker.AedesBroker
    for (const version of [4, 5] as const) {
      for (const dial of [Raw.dialTcp(broker.ports.tcp!), Raw.dialWebSocket(broker.urls.ws!)]) {
        const client = yield* Raw.connect(dial, version, "a")
        assert.strictEqual(client.connack.reasonCode, 0)
        yield* Raw.subscribe(client, 1, [Raw.subscribeFilter("t", { qos: 0 })])
        yield* client.send(Raw.publishPacket("t", "hello"))
        assert.strictEqual(Raw.text(yield* client.next("Publish")), "hello")
      }
    }
  }).pipe(Effect.provide(AedesBroker.layer({ webSocket: true }))))

it.live("cuts a client's connection on demand, and knows who is connected", () =>
  Effect.gen(function*() {
    const broker = yield* AedesBroker.AedesBroker
    const client = yield* Raw.connect(Raw.dialTcp(broker.ports.tcp!), 5, "a")
    assert.deepStrictEqual(broker.clients, ["a"])
    assert.isFalse(yield* broker.cut("b"))
    assert.isTrue(yield* broker.cut("a"))
    yield* client.closed
  }).pipe(Effect.provide(AedesBroker.layer())))

it.live("says what to install where aedes is not installed, and nothing else needs it", () =>
  Effect.gen(function*() {
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "aedes-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
    )
    const outfile = join(directory, "program.cjs")
    yield* Effect.promise(() =>
      build({
        stdin: {
          contents: `
            import * as Testing from "@effect-mqttx/testing"
            import * as AedesBroker from "@effect-mqttx/testing/AedesBroker"
            import { Effect } from "effect"
            Effect.runPromise(Effect.flip(Effect.scoped(AedesBroker.make()))).then((error) =>
              console.log(JSON.stringify(["ScriptedBroker" in Testing, error._tag, error.message])))
          `,
          resolveDir: import.meta.dirname
        },
        outfile,
        bundle: true,
        platform: "node",
        format: "cjs",
        conditions: ["@effect-mqttx/source"],
        external: ["aedes"],
        logLevel: "silent"
      })
    )
    const said = JSON.parse(execFileSync(process.execPath, [outfile], { encoding: "utf8" }))
    assert.deepStrictEqual(said.slice(0, 2), [true, "BrokerUnavailable"])
    assert.match(said[2], /^aedes is not available: .*npm install --save-dev aedes@/)
  }))
