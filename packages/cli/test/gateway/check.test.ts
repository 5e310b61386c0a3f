/**
 * `effect-mqttx gateway --check` and `--schema` as processes.
 */
import { Cli } from "@effect-mqttx/cli"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { gatewayJsonSchema } from "../../src/internal/gateway/jsonSchema.ts"
import { forwarderDescriptions, sessionDescriptions } from "../../src/internal/gateway/optionDescriptions.ts"
import { folder } from "../support/gateway.ts"
import { readDescriptions } from "../support/optionDescriptions.ts"
import { run } from "../support/program.ts"

const { exitCodes } = Cli

const toml = `
[sessions.plant]
servers = "mqtt://127.0.0.1:1883"
username = "gateway"
password = "\${PLANT_PASSWORD}"

[sessions.cloud]
servers = ["mqtt://\${CLOUD_HOST:-cloud.example}"]
password = "\${file:secrets/cloud}"
store = "disk"

[stores.disk]
type = "file"
directory = "state"

[forwarders.up]
sources = "plant"
filters = "sensors/#"
target = "cloud"

[metrics]
`

const yaml = `
sessions:
  plant: { servers: "mqtt://127.0.0.1:1883", username: gateway, password: "\${PLANT_PASSWORD}" }
  cloud:
    servers:
      - mqtt://\${CLOUD_HOST:-cloud.example}
    password: \${file:secrets/cloud}
    store: disk
stores: { disk: { type: file, directory: state } }
forwarders:
  up: { sources: plant, filters: sensors/#, target: cloud }
metrics: {}
`

const json = JSON.stringify({
  sessions: {
    plant: { servers: "mqtt://127.0.0.1:1883", username: "gateway", password: "${PLANT_PASSWORD}" },
    cloud: { servers: ["mqtt://${CLOUD_HOST:-cloud.example}"], password: "${file:secrets/cloud}", store: "disk" }
  },
  stores: { disk: { type: "file", directory: "state" } },
  forwarders: { up: { sources: "plant", filters: "sensors/#", target: "cloud" } },
  metrics: {}
})

const env = { PLANT_PASSWORD: "hunter1" }

describe("effect-mqttx gateway --check", () => {
  it.effect.each([["toml", toml], ["yaml", yaml], ["yml", yaml], ["json", json]] as const)(
    "a valid file, %s: says what the gateway would do, and no secret",
    ([extension, text]) =>
      Effect.gen(function*() {
        const at = yield* folder({ [`gateway.${extension}`]: text, "secrets/cloud": "hunter2\n" })
        const file = Path.join(at, `gateway.${extension}`)
        assert.deepStrictEqual(yield* run(["gateway", file, "--check"], { env }), {
          code: exitCodes.done,
          stdout: `${file} is valid
stores
  memory  memory
  disk    file ${Path.join(at, "state")}
sessions
  plant  mqtt://127.0.0.1:1883; MQTT 5; with a user name; store memory
  cloud  mqtt://cloud.example:1883; MQTT 5; store disk
forwarders
  up  plant to cloud: sensors/#; QoS as published
metrics: http://127.0.0.1:9464/
admin: none
`,
          stderr: ""
        })
        // It has made nothing.
        assert.isFalse(Fs.existsSync(Path.join(at, "state")))
      }).pipe(Effect.scoped)
  )

  it.effect("a file with mistakes: each with its line and column, and exit code 2", () =>
    Effect.gen(function*() {
      const at = yield* folder({
        "gateway.toml": `[sessions.plant]
servers = "mqtt://127.0.0.1:1883"
keepAlive = "soon"
  pasword = "hunter1"
password = "\${PLANT_PASSWORD}"

[sessions.cloud]
password = "\${file:missing}"

[forwarders.up]
sources = [
  "plant",
  "plnat"
]
filters = "sensors/#"
target = "cloud"
`
      })
      const file = Path.join(at, "gateway.toml")
      const outcome = yield* run(["gateway", file, "--check"])
      assert.deepStrictEqual(outcome, {
        code: exitCodes.usage,
        stdout: "",
        stderr: `${file}:3:1: sessions.plant.keepAlive: expected a duration of whole seconds from 0 to 65535 seconds
${file}:4:3: sessions.plant.pasword: no such option
${file}:5:1: sessions.plant.password: the variable PLANT_PASSWORD is not set
${file}:7:1: sessions.cloud.servers: expected at least one server, for example mqtts://broker.example
${file}:8:1: sessions.cloud.password: the file missing cannot be read: NotFound
${file}:13:3: forwarders.up.sources.1: there is no session plnat: expected one of plant, cloud
effect-mqttx: the file has 6 mistakes
  docs/gateway.md lists all keys; \`effect-mqttx gateway --schema\` helps an editor to complete them.
`
      })
      // Without --check it is the same, and nothing is connected.
      assert.deepStrictEqual(yield* run(["gateway", file]), outcome)
      const { code, stdout } = yield* run(["gateway", file, "--check", "--json"])
      assert.strictEqual(code, exitCodes.usage)
      const { mistakes, valid } = JSON.parse(stdout) as { valid: boolean; mistakes: ReadonlyArray<unknown> }
      assert.isFalse(valid)
      assert.deepStrictEqual(mistakes[1], {
        path: ["sessions", "plant", "pasword"],
        message: "no such option",
        line: 4,
        column: 3
      })
    }).pipe(Effect.scoped))

  it.effect("a node of a cluster: says its address, where the locks are, and where a store is not shared", () =>
    Effect.gen(function*() {
      const text = `
[cluster]
host = "\${NODE_ADDRESS}"

[stores.shared]
type = "sql"
url = "postgres://plant:hunter2@db.example/plant"

[stores.disk]
type = "file"
directory = "state"

[sessions.plant]
servers = "mqtt://127.0.0.1:1883"
`
      const at = yield* folder({ "right.toml": text, "wrong.toml": `${text}store = "disk"\n` })
      const settings = { env: { NODE_ADDRESS: "10.0.0.1" } }
      const right = yield* run(["gateway", Path.join(at, "right.toml"), "--check"], settings)
      assert.include(
        right.stdout,
        "cluster: node 10.0.0.1:34431; locks in the store shared; timings failover; one node at a time has all sessions"
      )
      assert.include(right.stdout, "plant  mqtt://127.0.0.1:1883; MQTT 5; store shared")
      assert.notInclude(right.stdout, "hunter2")
      const asJson = yield* run(["gateway", Path.join(at, "right.toml"), "--check", "--json"], settings)
      assert.deepStrictEqual(JSON.parse(asJson.stdout).cluster, {
        node: "10.0.0.1:34431",
        store: "shared",
        timings: "failover"
      })
      const file = Path.join(at, "wrong.toml")
      const wrong = yield* run(["gateway", file, "--check"], settings)
      assert.strictEqual(wrong.code, exitCodes.usage)
      assert.include(
        wrong.stderr,
        `${file}:15:1: sessions.plant.store: expected a store that all nodes of the cluster reach`
      )
    }).pipe(Effect.scoped))

  it.effect("a file that is not a gateway's ends with exit code 2 and says why", () =>
    Effect.gen(function*() {
      const at = yield* folder({ "a.toml": "[sessions", "a.txt": "", "a.json": "{ \"sessions\": hunter2 }" })
      const says = (name: string, text: string) =>
        Effect.map(run(["gateway", Path.join(at, name), "--check"]), ({ code, stderr }) => {
          assert.strictEqual(code, exitCodes.usage)
          assert.include(stderr, text)
          assert.notInclude(stderr, "hunter2")
        })
      yield* says("a.toml", "a.toml:1:10: ")
      yield* says("a.txt", "expected a file that ends with .toml, .yaml, .yml or .json")
      yield* says("a.json", "a.json:1:15: not JSON")
      yield* says("missing.toml", "cannot be read: NotFound")
      const { code, stderr } = yield* run(["gateway"])
      assert.strictEqual(code, exitCodes.usage)
      assert.include(stderr, "there is no file")
    }).pipe(Effect.scoped))

  it.effect("--check --json reports the same for programs", () =>
    Effect.gen(function*() {
      const at = yield* folder({ "gateway.toml": toml, "secrets/cloud": "hunter2\n" })
      const { code, stdout } = yield* run(["gateway", Path.join(at, "gateway.toml"), "--check", "--json"], { env })
      assert.strictEqual(code, exitCodes.done)
      assert.notInclude(stdout, "hunter")
      const { forwarders, sessions, valid } = JSON.parse(stdout)
      assert.isTrue(valid)
      assert.deepStrictEqual(forwarders.up.sources, ["plant"])
      assert.deepStrictEqual(sessions.cloud.servers, ["mqtt://cloud.example:1883"])
    }).pipe(Effect.scoped))

  it("the JSON Schema describes every key", () => {
    const missing: Array<string> = []
    const look = (value: unknown, path: ReadonlyArray<string>, isMap: boolean): void => {
      if (typeof value !== "object" || value === null) return
      for (const [key, inner] of Object.entries(value)) {
        const isProperty = isMap && path.at(-1) === "properties"
        if (isProperty && !("description" in inner && inner.description.length > 5)) {
          missing.push([...path, key].join("."))
        }
        look(inner, [...path, key], !isMap && (key === "properties" || key === "$defs"))
      }
    }
    const schema = gatewayJsonSchema()
    look(schema, [], false)
    assert.deepStrictEqual(missing, [])
    assert.isAbove(JSON.stringify(schema).split("\"description\":").length, 200)
  })

  // `npm run describe` writes them.
  it("the descriptions of options are what the core's sources say", () => {
    const { forwarder, session } = readDescriptions(Path.join(import.meta.dirname, "../../../.."))
    assert.deepStrictEqual(sessionDescriptions, session)
    assert.deepStrictEqual(forwarderDescriptions, forwarder)
    assert.isAbove(Object.keys(session).length, 80)
  })

  it.effect("--schema prints the published JSON Schema", () =>
    Effect.gen(function*() {
      const { code, stdout } = yield* run(["gateway", "--schema"])
      assert.strictEqual(code, exitCodes.done)
      const published = Fs.readFileSync(Path.join(import.meta.dirname, "../../gateway.schema.json"), "utf8")
      assert.strictEqual(stdout, published)
    }))
})
