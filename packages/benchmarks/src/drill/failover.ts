/**
 * The drill of a cluster: three processes that own sessions together, one PostgreSQL, one mosquitto, and messages at
 * QoS 2 through each session. One process after the other is killed, paused, or cut off from the database. The referee
 * counts rows and messages, measures how long sessions stand still, and reads in the broker's log who owned them.
 */
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import * as PostgresServer from "@effect-mqttx/testing/PostgresServer"
import { PgClient } from "@effect/sql-pg"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { SqlClient } from "effect/sql"
import * as Stream from "effect/Stream"
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as CuttableProxy from "./cuttableProxy.ts"
import type { NodeOrders } from "./failoverNode.ts"
import { freePort } from "./freePort.ts"

export interface FailoverDrill {
  /** The number of faults. */
  readonly kills: number
  readonly seed: number
  readonly sessions: number
  /** Messages a second for each session. */
  readonly rate: number
}

const kinds = ["kill", "pause", "cut"] as const

type Kind = typeof kinds[number]

export interface FailoverOutcome {
  readonly published: number
  readonly lost: number
  readonly doubled: number
  /** Takeovers of a session by the process with the fault, or from one without a fault. */
  readonly secondOwners: number
  /** Milliseconds from the fault to the first message by the next owner, for each session of the process. */
  readonly gaps: Readonly<Record<Kind, ReadonlyArray<number>>>
  readonly faults: Readonly<Record<Kind, number>>
}

interface Node {
  readonly name: string
  readonly fail: (kind: Kind) => Effect.Effect<void>
  readonly mend: (kind: Kind) => Effect.Effect<void>
}

const nodeCount = 3
const script = new URL("./failoverNode.js", import.meta.url).pathname

const ended = (child: ChildProcess): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
  })

const makeNode = Effect.fnUntraced(function*(
  number: number,
  database: URL,
  broker: string,
  clientIds: ReadonlyArray<string>
): Effect.fn.Return<Node, never, Scope.Scope> {
  const proxy = yield* CuttableProxy.make(Number(database.port))
  const way = new URL(database)
  way.port = String(proxy.port)
  const name = `node-${number}`
  const orders: NodeOrders = { name, port: yield* freePort, broker, database: way.href, clientIds }
  const start = Effect.sync(() => {
    child = spawn(process.execPath, [script, JSON.stringify(orders)], { stdio: ["ignore", "ignore", "ignore"] })
  })
  let child!: ChildProcess
  yield* Effect.acquireRelease(start, () =>
    Effect.suspend(() => {
      child.kill("SIGKILL")
      return ended(child)
    }))
  const signal = (kind: NodeJS.Signals) => Effect.sync(() => child.kill(kind))
  return {
    name,
    fail: (kind) =>
      kind === "kill"
        ? Effect.suspend(() => Effect.andThen(signal("SIGKILL"), ended(child)))
        : kind === "pause"
        ? signal("SIGSTOP")
        : proxy.cut,
    mend: (kind) => kind === "kill" ? start : kind === "pause" ? signal("SIGCONT") : proxy.mend
  }
})

/** Reads who owned which session in the log of mosquitto, from where it stopped the last time. */
class BrokerLog {
  readonly #path: string
  readonly #owners = new Map<string, string>()
  readonly #ending = new Set<string>()
  #position = 0

  constructor(path: string) {
    this.#path = path
  }

  /** The takeovers since the last call: from whom, and by whom. */
  takeovers(): ReadonlyArray<{ readonly from: string | undefined; readonly to: string }> {
    const text = Fs.readFileSync(this.#path, "utf8")
    const end = text.lastIndexOf("\n") + 1
    const found: Array<{ readonly from: string | undefined; readonly to: string }> = []
    for (const line of text.slice(this.#position, end).split("\n")) {
      const taken = /Client (drill-\d+) already connected/.exec(line)
      if (taken !== null) this.#ending.add(taken[1]!)
      const [, id, user] = /New client connected from \S+ as (drill-\d+) \(.*u'([^']*)'\)/.exec(line) ?? []
      if (id === undefined || user === undefined) continue
      if (this.#ending.delete(id)) found.push({ from: this.#owners.get(id), to: user })
      this.#owners.set(id, user)
    }
    this.#position = end
    return found
  }
}

/** The rows that the handlers wrote, but for those of the messages that wait for the begin. */
const countRows = (sql: SqlClient.SqlClient) =>
  Effect.map(
    sql.unsafe<{ readonly n: string; readonly all: string }>(
      "SELECT count(DISTINCT site || ' ' || number)::text AS n, count(*)::text AS all FROM drill_rows WHERE number <> '-1'"
    ),
    ([row]) => ({ distinct: Number(row!.n), doubled: Number(row!.all) - Number(row!.n) })
  )

const until = (holds: () => boolean, what: string): Effect.Effect<void> =>
  Effect.sleep(10).pipe(
    Effect.repeat({ until: holds }),
    Effect.timeoutOrElse({
      duration: "2 minutes",
      orElse: () => Effect.die(new Error(`not within 2 minutes: ${what}`))
    })
  )

export const drillFailover = ({ kills, rate, sessions }: FailoverDrill): Effect.Effect<FailoverOutcome> =>
  Effect.gen(function*() {
    const postgres = yield* PostgresServer.make({
      settings: {
        fsync: "off",
        // A paused process must not keep the locks of a transaction that it has begun.
        idle_in_transaction_session_timeout: "2s",
        max_connections: "200"
      }
    })
    const directory = yield* Effect.acquireRelease(
      Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "drill-"))),
      (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
    )
    const logPath = Path.join(directory, "mosquitto.log")
    const broker = yield* MosquittoBroker.make({ config: ["max_queued_messages 0", `log_dest file ${logPath}`] })
    const log = new BrokerLog(logPath)
    const clientIds = Array.from({ length: sessions }, (_, n) => `drill-${n}`)
    const sql = yield* SqlClient.SqlClient.pipe(
      Effect.provide(yield* Layer.build(PgClient.layer({ url: Redacted.make(postgres.url) })))
    )
    yield* sql.unsafe("CREATE TABLE drill_rows (site text, number text)")
    const nodes = yield* Effect.forEach(
      Array.from({ length: nodeCount }, (_, n) => n),
      (number) => makeNode(number, new URL(postgres.url), broker.url, clientIds)
    )

    const referee = yield* MqttSession.make({ name: "referee", servers: [broker.url], log: "off" })
    const out = yield* referee.subscription("drill/+/out", { qos: 2, consumer: "out" })
    /** How often each message arrived. */
    const received = new Map<string, number>()
    /** The last message of each session. */
    const served = new Map<string, { readonly node: string; readonly at: number }>()
    /** When the first message of its present owner arrived. */
    const changed = new Map<string, number>()
    yield* out.messages.pipe(
      Stream.runForEach((message) =>
        Effect.sync(() => {
          const site = message.topic.split("/")[1]!
          const [number, node] = message.text.split(" ")
          const at = performance.now()
          if (served.get(site)?.node !== node) changed.set(site, at)
          served.set(site, { node: node!, at })
          if (number === "-1") return
          const key = `${site} ${number}`
          received.set(key, (received.get(key) ?? 0) + 1)
        })
      ),
      Effect.forkScoped({ startImmediately: true })
    )
    const send = (id: string, number: number) => referee.publish(`drill/${id}/in`, String(number), { qos: 2 })

    // Until every session has subscribed.
    yield* Effect.forEach(clientIds, (id) => send(id, -1), { discard: true }).pipe(
      Effect.andThen(Effect.sleep("200 millis")),
      Effect.repeat({ until: () => served.size === sessions })
    )
    const load = { isFinished: false, rounds: 0 }
    const publishing = yield* Effect.gen(function*() {
      while (!load.isFinished) {
        const number = load.rounds++
        yield* Effect.forEach(clientIds, (id) => send(id, number), { concurrency: "unbounded", discard: true })
        yield* Effect.sleep(1000 / rate)
      }
    }).pipe(Effect.forkScoped)
    const isSteady = () => {
      const now = performance.now()
      return clientIds.every((id) => now - served.get(id)!.at < 1000)
    }
    const owns = (name: string) => clientIds.some((id) => served.get(id)!.node === name)
    yield* until(() => isSteady() && nodes.every(({ name }) => owns(name)), "every node has sessions")
    log.takeovers()

    const gaps: Record<Kind, Array<number>> = { kill: [], pause: [], cut: [] }
    const faults: Record<Kind, number> = { kill: 0, pause: 0, cut: 0 }
    let secondOwners = 0
    for (let kill = 0; kill < kills; kill++) {
      const node = nodes[yield* Random.nextIntBetween(0, nodes.length - 1)]!
      const kind = kinds[kill % kinds.length]!
      faults[kind]++
      const affected = clientIds.filter((id) => served.get(id)!.node === node.name)
      const begin = performance.now()
      yield* node.fail(kind)
      yield* until(() => affected.every((id) => served.get(id)!.node !== node.name), `others take over after ${kind}`)
      for (const id of affected) gaps[kind].push(changed.get(id)! - begin)
      yield* node.mend(kind)
      yield* until(() => owns(node.name) && isSteady(), `${node.name} is back after ${kind}`)
      for (const { from, to } of log.takeovers()) if (from !== node.name || to === node.name) secondOwners++
      const gap = Math.round(Math.max(0, ...gaps[kind].slice(-affected.length)))
      console.log(`${kill + 1} ${kind} ${node.name}: ${affected.length} sessions, ${gap} ms`)
    }

    load.isFinished = true
    yield* Fiber.join(publishing)
    const published = load.rounds * sessions
    // What has not arrived when nothing arrives any more is lost.
    let before = -1
    yield* Effect.suspend(() => {
      const isStill = received.size === before || received.size >= published
      before = received.size
      return isStill ? Effect.void : Effect.fail("messages arrive")
    }).pipe(Effect.retry(Schedule.spaced("15 seconds")), Effect.orDie)
    const { distinct, doubled } = yield* countRows(sql)
    let twice = doubled
    for (const count of received.values()) twice += count - 1
    return {
      published,
      lost: published - distinct + (published - received.size),
      doubled: twice,
      secondOwners,
      gaps,
      faults
    }
  }).pipe(Effect.scoped, Effect.orDie)
