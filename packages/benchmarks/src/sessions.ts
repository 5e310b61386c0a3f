/**
 * The memory of an idle session in a manager, beyond its socket:
 * `node packages/benchmarks/dist/sessions.js [sessions]`.
 *
 * Each row opens the same number of connections in a process of its own: plain sockets that said CONNECT, sessions of a
 * `SessionManager`, and the same with a route over all of them. What is printed is the growth of the heap and of
 * buffers outside of it, per connection, after garbage collections, less that of the sockets. The exit code is 1 beyond
 * the goal.
 */
import { SessionManager } from "@effect-mqttx/core"
import { Effect } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import * as net from "node:net"

const goal = 25

interface Usage {
  readonly heap: number
  readonly resident: number
}

const rows = {
  socket: "a socket",
  session: "an idle session",
  route: "an idle session on a route"
}

type Row = keyof typeof rows

const answer = async <A>(child: ChildProcess): Promise<A> => {
  const exit = once(child, "exit").then(() => Promise.reject(new Error("a process of the benchmark ended early")))
  const [message] = await Promise.race([once(child, "message"), exit])
  exit.catch(() => {})
  return message as A
}

/** Measures, prints, and answers the kilobytes of a session without a route. */
const measure = async (sessions: number): Promise<number> => {
  const peer = fork(new URL("./session/peer.js", import.meta.url), ["64", "idle"])
  try {
    const { port } = await answer<{ readonly port: number }>(peer)
    const used = new Map<Row, Usage>()
    for (const row of Object.keys(rows) as Array<Row>) {
      const side = fork(new URL(import.meta.url), ["side", row, String(port), String(sessions)], {
        execArgv: ["--expose-gc"]
      })
      used.set(row, await answer<Usage>(side))
    }
    const kilobytes = (bytes: number): string => (bytes / 1000).toFixed(1).padStart(8)
    const { heap, resident } = used.get("socket")!
    console.log(`${sessions} connections in one process, KB each, Node ${process.version}`)
    console.log(`${"".padEnd(28)}    heap  resident, both beyond the socket`)
    for (const [row, usage] of used) {
      const [heapBeyond, residentBeyond] = row === "socket" ? [0, 0] : [heap, resident]
      console.log(
        `${rows[row].padEnd(26)}${kilobytes(usage.heap - heapBeyond)}${kilobytes(usage.resident - residentBeyond)}${
          row === "socket" ? "  (the socket itself)" : ""
        }`
      )
    }
    return (used.get("session")!.heap - heap) / 1000
  } finally {
    peer.disconnect()
  }
}

// CONNECT of MQTT 5 with Clean Start and an empty client identifier.
const connect = Buffer.from([0x10, 13, 0, 4, 0x4d, 0x51, 0x54, 0x54, 5, 2, 0, 0, 0, 0, 0])

const sockets: Array<net.Socket> = []

const openSockets = async (port: number, count: number): Promise<void> => {
  for (let i = 0; i < count; i++) {
    const socket = net.connect({ port, host: "127.0.0.1", noDelay: true })
    await once(socket, "connect")
    socket.on("error", () => {})
    socket.write(connect)
    await once(socket, "data")
    socket.on("data", () => {})
    sockets.push(socket)
  }
}

/** Never closed: the process ends with the sessions open. */
const openSessions = (port: number, withRoute: boolean): Promise<(count: number) => Promise<void>> => {
  let opened = 0
  const server = `mqtt://127.0.0.1:${port}`
  const program = Effect.gen(function*() {
    const manager = yield* SessionManager.make()
    if (withRoute) yield* manager.handle("idle/#", () => Effect.void, { qos: 1 })
    return (count: number): Promise<void> =>
      Effect.runPromise(Effect.gen(function*() {
        for (let i = 0; i < count; i++) {
          const name = `idle-${opened++}`
          yield* manager.add({ name, servers: [server], keepAlive: "10 minutes" })
          yield* manager.awaitReady(name)
        }
      }))
  })
  return new Promise((resolve, reject) => {
    Effect.runFork(
      Effect.scoped(Effect.andThen(Effect.map(program, resolve), Effect.never)).pipe(
        Effect.tapCause((cause) => Effect.sync(() => reject(cause)))
      )
    )
  })
}

const settle = async (): Promise<Usage> => {
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => setTimeout(resolve, 50))
    gc!()
  }
  const { arrayBuffers, external, heapUsed, rss } = process.memoryUsage()
  return { heap: heapUsed + Math.max(external, arrayBuffers), resident: rss }
}

const side = async (row: Row, port: number, count: number): Promise<void> => {
  const open = row === "socket"
    ? (count: number) => openSockets(port, count)
    : await openSessions(port, row === "route")
  // The first ones pay for tables and compiled code that all share.
  await open(50)
  const before = await settle()
  await open(count)
  const after = await settle()
  process.send!({ heap: (after.heap - before.heap) / count, resident: (after.resident - before.resident) / count })
  process.exit(0)
}

const [mode, row, port, count] = process.argv.slice(2)
if (mode === "side") {
  await side(row as Row, Number(port), Number(count))
} else {
  const kilobytes = await measure(Number(mode ?? "1000"))
  console.log(`\nThe goal is ${goal} KB beyond the socket for an idle session.`)
  if (kilobytes > goal) process.exitCode = 1
}
