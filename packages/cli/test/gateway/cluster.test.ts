/**
 * `effect-mqttx gateway` with `[cluster]`: three processes with one file, PostgreSQL, and two real mosquittos.
 */
import { Cli } from "@effect-mqttx/cli"
import { ClusterTimings } from "@effect-mqttx/cluster"
import { MosquittoBroker, PostgresServer, RedisServer } from "@effect-mqttx/testing"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { ShardingConfig } from "effect/cluster"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assignment } from "../../../../test/support/assignment.ts"
import { connectionsOf } from "../../../../test/support/mosquittoLog.ts"
import { ask, awaitStatus, broker, folder, freePort, numbers, publishing, witness } from "../support/gateway.ts"
import { start } from "../support/program.ts"

const { exitCodes } = Cli

/** The file of all nodes; the name of the node is its user name at the brokers. */
const fileFor = (
  postgres: PostgresServer.Service,
  tablePrefix: string,
  timings: string,
  a: string,
  b: string
): string => `
[cluster]
timings = "${timings}"
host = "127.0.0.1"
port = "\${NODE_PORT}"

[stores.shared]
type = "sql"
url = "${postgres.url}"
tablePrefix = "${tablePrefix}"

[sessions.plant]
servers = "${a}"
clientId = "plant"
username = "\${NODE}"

[sessions.cloud]
servers = "${b}"
clientId = "cloud"
username = "\${NODE}"

[forwarders.up]
sources = "plant"
filters = "sensors/#"
target = "cloud"
mapping = [{ from = "sensors/+", to = "plant/{1}" }]

[metrics]
port = "\${METRICS_PORT}"

[admin]
port = "\${ADMIN_PORT}"
`

/** The same, with the state of the sessions in Redis. */
const withRedis = (file: string, url: string): string =>
  file.replaceAll("username =", "store = \"cache\"\nusername =") + `
[stores.cache]
type = "redis"
url = "${url}"
`

interface State {
  readonly cluster: { readonly node: string; readonly role: "owner" | "standby" }
  readonly sessions: ReadonlyArray<{ readonly name: string; readonly state: string }>
  readonly forwarders: ReadonlyArray<{ readonly name: string; readonly state: string }>
}

/** A node of the gateway as a process, which can be started again. */
const makeNode = Effect.fnUntraced(function*(file: string, name: string) {
  const [nodePort, metrics, admin] = yield* Effect.all([freePort, freePort, freePort])
  const env = {
    NODE: name,
    NODE_PORT: String(nodePort),
    METRICS_PORT: String(metrics),
    ADMIN_PORT: String(admin)
  }
  const process = yield* start(["gateway", file], { env })
  yield* process.says("the gateway runs")
  return {
    name,
    address: `127.0.0.1:${nodePort}`,
    process,
    metrics,
    state: Effect.map(ask(admin, "/state"), ({ text }) => JSON.parse(text) as State),
    kill: Effect.suspend(() => {
      process.child.kill("SIGKILL")
      return process.ended
    })
  }
})

type Node = Effect.Success<ReturnType<typeof makeNode>>

/** The node that is the owner now; waits for one. */
const ownerOf = (nodes: ReadonlyArray<Node>): Effect.Effect<Node> =>
  Effect.forEach(nodes, (node) => Effect.map(node.state, ({ cluster }) => ({ node, role: cluster.role }))).pipe(
    Effect.map((all) => all.find(({ role }) => role === "owner")?.node),
    Effect.repeat({ until: (owner) => owner !== undefined, schedule: Schedule.spaced("20 millis") }),
    Effect.map((owner) => owner!)
  )

const make = Effect.fnUntraced(function*(tablePrefix: string, timings = "failover", redis?: string) {
  const a = yield* broker
  const b = yield* broker
  const text = fileFor(yield* PostgresServer.PostgresServer, tablePrefix, timings, a.url, b.url)
  const at = yield* folder({ "gateway.toml": redis === undefined ? text : withRedis(text, redis) })
  const file = Path.join(at, "gateway.toml")
  const received = yield* witness(b.url, "plant/#")
  const nodes = yield* Effect.forEach(["one", "two", "three"], (name) => makeNode(file, name), { concurrency: 3 })
  yield* ownerOf(nodes).pipe(
    Effect.flatMap((node) => Effect.map(node.state, ({ forwarders }) => ({ node, forwarders }))),
    Effect.repeat({ until: ({ forwarders }) => forwarders.length > 0, schedule: Schedule.spaced("20 millis") }),
    // The subscription is in force then.
    Effect.flatMap(({ node }) => awaitStatus(node.metrics, "/readyz", 200))
  )
  const traffic = yield* publishing(a.url, "sensors/1", 2, 200)
  // A node that joins may get the gateway: the tests begin when it runs where it belongs.
  const shards = timings === "failover" ? ClusterTimings.failover : ShardingConfig.defaults
  const addressOf = yield* assignment(nodes.map(({ address }) => address), shards.shardsPerGroup)
  const owner = nodes.find(({ address }) => address === addressOf("@effect-mqttx/cluster/gateway"))!
  yield* Effect.sleep("20 millis").pipe(
    Effect.repeat({
      until: () =>
        connectionsOf(a.log(), "plant").at(-1)?.user === owner.name &&
        connectionsOf(b.log(), "cloud").at(-1)?.user === owner.name
    })
  )
  const before = [connectionsOf(a.log(), "plant").length - 1, connectionsOf(b.log(), "cloud").length - 1]
  /** The connections at both brokers, beginning with that of the owner. */
  const connections = () => [
    connectionsOf(a.log(), "plant").slice(before[0]),
    connectionsOf(b.log(), "cloud").slice(before[1])
  ]
  /** Ends the traffic: every message has arrived once and in order. */
  const finish = Effect.gen(function*() {
    const count = yield* traffic.stop
    yield* received.has(count)
    assert.deepStrictEqual(received.payloads, numbers(count))
  })
  return { file, nodes, owner, received, connections, finish }
})

describe.skipIf(!PostgresServer.isPresent() || !MosquittoBroker.isPresent())("a gateway on three nodes", () => {
  layer(PostgresServer.layer({ settings: { fsync: "off" } }), { excludeTestServices: true, timeout: "1 minute" })(
    (it) => {
      it.effect(
        "kill -9 of the owner, twice: another node continues, every message once, one owner at a time",
        () =>
          Effect.gen(function*() {
            const { connections, finish, nodes, owner, received } = yield* make("killed")
            yield* owner.kill
            const rest = nodes.filter((node) => node !== owner)
            const second = yield* ownerOf(rest)
            yield* received.has(received.payloads.length + 300)
            yield* second.kill
            const third = rest.find((node) => node !== second)!
            yield* ownerOf([third])
            yield* received.has(received.payloads.length + 300)
            yield* finish
            const names = [owner, second, third].map(({ name }) => name)
            for (const each of connections()) {
              // Each node once, and none of them while another one was there.
              assert.deepStrictEqual(each, names.map((user) => ({ user, isTakeover: false })))
            }
          }).pipe(Effect.scoped),
        180_000
      )

      it.effect.each(["failover", "patient"])(
        "SIGTERM of the owner under traffic: it ends with 0, another node continues, every message once, timings %s",
        (timings) =>
          Effect.gen(function*() {
            const { connections, finish, nodes, owner, received } = yield* make(`ended_${timings}`, timings)
            owner.process.child.kill("SIGTERM")
            const { code, stderr } = yield* owner.process.ended
            assert.strictEqual(code, exitCodes.done, stderr)
            const next = yield* ownerOf(nodes.filter((node) => node !== owner))
            yield* received.has(received.payloads.length + 300)
            yield* finish
            for (const each of connections()) {
              assert.deepStrictEqual(each, [owner, next].map(({ name }) => ({ user: name, isTakeover: false })))
            }
          }).pipe(Effect.scoped),
        180_000
      )

      it.effect.skipIf(!RedisServer.isPresent())(
        "state in Redis, locks in PostgreSQL: kill -9 of the owner, every message once",
        () =>
          Effect.gen(function*() {
            const { url } = yield* RedisServer.make({ appendonly: true, appendfsync: "always" })
            const { connections, finish, nodes, owner, received } = yield* make("redis", "failover", url)
            yield* owner.kill
            const next = yield* ownerOf(nodes.filter((node) => node !== owner))
            yield* received.has(received.payloads.length + 300)
            yield* finish
            for (const each of connections()) {
              assert.deepStrictEqual(each, [owner, next].map(({ name }) => ({ user: name, isTakeover: false })))
            }
          }).pipe(Effect.scoped),
        180_000
      )

      it.effect(
        "a paused owner does not come back as a second one, and every message arrives once",
        () =>
          Effect.gen(function*() {
            const { connections, finish, nodes, owner, received } = yield* make("paused")
            owner.process.child.kill("SIGSTOP")
            const next = yield* ownerOf(nodes.filter((node) => node !== owner))
            yield* received.has(received.payloads.length + 300)
            owner.process.child.kill("SIGCONT")
            yield* owner.process.says("this node of the cluster stands by")
            yield* received.has(received.payloads.length + 300)
            yield* finish
            // The next owner ends the connection of the paused one, which ends none.
            for (const each of connections()) {
              assert.deepStrictEqual(each.flatMap(({ isTakeover, user }) => isTakeover ? [user] : []), [next.name])
            }
          }).pipe(Effect.scoped),
        180_000
      )

      it.effect(
        "a standby node is ready and says so, and applies a new file when it becomes the owner",
        () =>
          Effect.gen(function*() {
            const { file, finish, nodes, owner, received } = yield* make("standby")
            const standby = nodes.filter((node) => node !== owner)
            for (const node of standby) {
              assert.strictEqual((yield* ask(node.metrics, "/readyz")).status, 200)
              assert.strictEqual((yield* ask(node.metrics, "/healthz")).status, 200)
              const { cluster, forwarders, sessions } = yield* node.state
              assert.deepStrictEqual({ cluster, forwarders, sessions }, {
                cluster: { node: node.address, role: "standby" },
                forwarders: [],
                sessions: []
              })
            }
            const { cluster, forwarders, sessions } = yield* owner.state
            assert.deepStrictEqual(cluster, { node: owner.address, role: "owner" })
            assert.deepStrictEqual(sessions.map(({ name }) => name), ["plant", "cloud"])
            assert.deepStrictEqual(forwarders.map(({ name }) => name), ["up"])

            const text = Fs.readFileSync(file, "utf8")
            Fs.writeFileSync(file, text.replace("plant/{1}", "plant/new/{1}"))
            yield* Effect.forEach(nodes, ({ process }) => process.says("the file is applied"), { discard: true })
            const before = received.payloads.length
            yield* owner.kill
            yield* ownerOf(standby)
            yield* received.has(before + 300)
            yield* finish
            assert.deepStrictEqual(Array.from(new Set(received.topics)), ["plant/1", "plant/new/1"])

            // Another cluster is another gateway.
            Fs.writeFileSync(file, text.replace("tablePrefix = \"standby\"", "tablePrefix = \"other\""))
            yield* standby[0]!.process.says("cluster, with its store, is that of the start")
          }).pipe(Effect.scoped),
        180_000
      )
    }
  )
})
