/**
 * A cluster of real processes over a real PostgreSQL and mosquitto, with a proxy between each process and the database
 * that can be cut, and messages that are counted.
 */
import { MqttSession } from "@effect-mqttx/core"
import type { MosquittoBroker, PostgresServer } from "@effect-mqttx/testing"
import { Clock, Effect, Fiber, type Scope, Stream } from "effect"
import { build } from "esbuild"
import { type ChildProcess, spawn } from "node:child_process"
import * as Net from "node:net"
import { fileURLToPath } from "node:url"
import { assignment } from "../../../../test/support/assignment.ts"
import { client } from "../../../store-sql/test/support/postgres.ts"
import { connectionsOf, freePort, identifiers } from "./nodes.ts"
import * as timings from "./timings.ts"

export interface ProgramSettings {
  /** The user name at the broker. */
  readonly name: string
  /** The port of the node in the cluster. */
  readonly port: number
  readonly broker: string
  /** The port of the database, or of its proxy. */
  readonly database: number
  readonly prefix: string
  readonly clientIds: ReadonlyArray<string>
  readonly protocolVersion: 4 | 5
  /** The address of the Redis that has the state of the sessions; undefined: it is in the database. */
  readonly redis?: string
}

// Inside the package, where the bundle finds what it imports.
const script = fileURLToPath(new URL("../../build/program.mjs", import.meta.url))

export const bundle = Effect.promise(() =>
  build({
    entryPoints: [fileURLToPath(new URL("./program.ts", import.meta.url))],
    outfile: script,
    bundle: true,
    platform: "node",
    format: "esm",
    conditions: ["@effect-mqttx/source"],
    external: ["effect", "effect/*", "@effect/*", "redis", "ws"],
    logLevel: "silent"
  })
)

/** A way to a port that can be cut, and mended. */
const makeProxy = Effect.fnUntraced(function*(target: number): Effect.fn.Return<
  { readonly port: number; readonly cut: Effect.Effect<void>; readonly mend: Effect.Effect<void> },
  never,
  Scope.Scope
> {
  const sockets = new Set<Net.Socket>()
  let isCut = false
  const server = Net.createServer((client) => {
    if (isCut) {
      client.destroy()
      return
    }
    const upstream = Net.connect(target, "127.0.0.1")
    for (const [one, other] of [[client, upstream], [upstream, client]] as const) {
      sockets.add(one)
      one.on("error", () => {}).on("close", () => {
        sockets.delete(one)
        other.destroy()
      })
      one.pipe(other)
    }
  })
  yield* Effect.callback<void>((resume) => {
    server.listen(0, "127.0.0.1", () => resume(Effect.void))
  })
  const cut = Effect.sync(() => {
    isCut = true
    for (const socket of sockets) socket.destroy()
  })
  yield* Effect.addFinalizer(() => Effect.andThen(cut, Effect.sync(() => server.close())))
  return {
    port: (server.address() as Net.AddressInfo).port,
    cut,
    mend: Effect.sync(() => {
      isCut = false
    })
  }
})

export interface ClusterSettings {
  readonly prefix: string
  readonly processes: number
  readonly sessions: number
  readonly protocolVersion: 4 | 5
  readonly redis?: string
}

/** Starts the processes, and publishes a message to each session every 250 milliseconds until `finish`. */
export const cluster = Effect.fnUntraced(function*(
  postgres: PostgresServer.Service,
  broker: MosquittoBroker.Service,
  { prefix, processes, protocolVersion, redis, sessions }: ClusterSettings
) {
  // The nodes of another test know nothing of these sessions.
  yield* postgres.query(`CREATE DATABASE ${prefix}`)
  const { query } = yield* client(postgres, { database: prefix }).pipe(
    Effect.map((sql) => ({ query: (text: string) => sql.unsafe<{ readonly row: string }>(text) }))
  )
  yield* query("CREATE TABLE rows (site text, text text)")
  const clientIds = identifiers(prefix, sessions)
  const errors: Array<string> = []
  const start = (settings: ProgramSettings) =>
    Effect.sync(() => {
      const child = spawn(process.execPath, [script, JSON.stringify(settings)], { stdio: ["ignore", "ignore", "pipe"] })
      child.stderr.on("data", (chunk: Buffer) => {
        errors.push(`${settings.name}: ${chunk.toString()}`)
      })
      return child
    })
  const ended = (child: ChildProcess) =>
    Effect.callback<void>((resume) => {
      if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
      child.once("exit", () => resume(Effect.void))
    })
  const makeNode = Effect.fnUntraced(function*(number: number) {
    const proxy = yield* makeProxy(postgres.port)
    const settings: ProgramSettings = {
      name: `${prefix}-node-${number}`,
      port: yield* freePort,
      broker: broker.url,
      database: proxy.port,
      prefix,
      clientIds,
      protocolVersion,
      ...(redis === undefined ? undefined : { redis })
    }
    let child: ChildProcess = yield* Effect.acquireRelease(start(settings), () =>
      Effect.suspend(() => {
        child.kill("SIGKILL")
        return ended(child)
      }))
    const signal = (name: NodeJS.Signals) => Effect.sync(() => child.kill(name))
    return {
      name: settings.name,
      address: `127.0.0.1:${settings.port}`,
      cut: proxy.cut,
      mend: proxy.mend,
      pause: signal("SIGSTOP"),
      resume: signal("SIGCONT"),
      kill: Effect.suspend(() => Effect.andThen(signal("SIGKILL"), ended(child))),
      /** Answers with the exit code. */
      leave: Effect.suspend(() => Effect.andThen(signal("SIGTERM"), ended(child))).pipe(
        Effect.map(() => child.exitCode)
      ),
      start: Effect.map(start(settings), (next) => {
        child = next
      })
    }
  })
  const observer = yield* MqttSession.make({ name: `${prefix}-observer`, servers: [broker.url], log: "off" })
  const out = yield* observer.subscription(`${prefix}/+/out`, { qos: 2, consumer: "out" })
  const received: Array<string> = []
  /** The node that last published for each session. */
  const servedBy = new Map<string, string>()
  yield* out.messages.pipe(
    Stream.runForEach((message) =>
      Effect.sync(() => {
        const site = message.topic.split("/")[1]!
        const [number, node] = message.text.split(" ")
        if (number !== "-1") received.push(`${site} ${number}`)
        servedBy.set(site, node!)
      })
    ),
    Effect.forkScoped({ startImmediately: true })
  )
  /** The sessions whose wills were published. */
  const wills: Array<string> = []
  const willing = yield* observer.subscription(`${prefix}/+/will`, { qos: 1 })
  yield* willing.messages.pipe(
    Stream.runForEach(({ topic }) => Effect.sync(() => wills.push(topic.split("/")[1]!))),
    Effect.forkScoped({ startImmediately: true })
  )
  const nodes = yield* Effect.forEach(Array.from({ length: processes }, (_, n) => n), makeNode)
  /** Waits until it holds, and dies after 90 seconds in which no message arrived that had not arrived before. */
  const until = (holds: () => boolean, what: string) =>
    Effect.gen(function*() {
      let arrived = -1
      let since = yield* Clock.currentTimeMillis
      while (!holds()) {
        const now = yield* Clock.currentTimeMillis
        const count = new Set(received).size
        if (count !== arrived) since = now
        else if (now - since > 90_000) {
          const logs = `${errors.join("").slice(-4000)}\n${broker.log().slice(-6000)}`
          return yield* Effect.die(new Error(`${what}: ${count} messages arrived\n${logs}`))
        }
        arrived = count
        yield* Effect.sleep("50 millis")
      }
    })
  const send = (id: string, number: number) => observer.publish(`${prefix}/${id}/in`, String(number), { qos: 2 })
  const ownerOf = yield* assignment(nodes.map(({ address }) => address), timings.sharding.shardsPerGroup)
  const isSettled = () =>
    clientIds.every((id) => nodes.find(({ address }) => address === ownerOf(id))!.name === servedBy.get(id))
  // What is published before a session has subscribed does not count.
  yield* Effect.forEach(clientIds, (id) => send(id, -1), { discard: true }).pipe(
    Effect.andThen(Effect.sleep("100 millis")),
    Effect.repeat({ until: isSettled }),
    Effect.timeoutOrElse({ duration: "90 seconds", orElse: () => until(isSettled, "each session is where it belongs") })
  )
  // Nodes that had joined late took sessions over.
  wills.length = 0
  const published: Array<string> = []
  const load = { isFinished: false }
  const publishing = yield* Effect.gen(function*() {
    for (let number = 0; !load.isFinished; number++) {
      yield* Effect.forEach(clientIds, (id) => {
        published.push(`${id} ${number}`)
        return send(id, number)
      }, { concurrency: "unbounded" })
      yield* Effect.sleep("250 millis")
    }
  }).pipe(Effect.forkScoped)
  return {
    clientIds,
    nodes,
    servedBy,
    wills,
    until,
    connections: (id: string) => connectionsOf(broker.log(), id),
    /** Ends the load, waits for the rest, and answers with what was published, stored and received. */
    finish: Effect.gen(function*() {
      load.isFinished = true
      yield* Fiber.join(publishing)
      yield* until(() => new Set(received).size >= published.length, "everything arrives")
      const rows = yield* query("SELECT site || ' ' || text AS row FROM rows WHERE text <> '-1'")
      return {
        published: published.toSorted(),
        rows: rows.map(({ row }) => row).sort(),
        received: received.toSorted()
      }
    })
  }
})
