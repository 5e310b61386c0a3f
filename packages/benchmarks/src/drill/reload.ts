/**
 * One drill: a gateway between two mosquittos whose file changes again and again while messages go through it. The
 * referee counts what was published and what has arrived. `main.ts` runs it and prints the counts.
 */
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { Arrivals } from "./arrivals.ts"

export interface DrillOptions {
  /** Milliseconds between two reloads. */
  readonly every: number
  readonly seconds: number
  /** Messages a second. */
  readonly rate: number
  readonly qos: 1 | 2
  /** Where the gateway keeps its sessions. `memory` is the control: a kill loses it. */
  readonly store: "file" | "memory"
  /** Kills the gateway with SIGKILL after so many reloads, again and again; 0: never. */
  readonly killAfter: number
}

export interface DrillOutcome {
  readonly reloads: number
  readonly kills: number
  readonly published: number
  readonly arrived: number
  readonly lost: number
  readonly duplicates: number
  readonly disordered: number
  /** The longest time without an arrival while messages were published, in milliseconds. */
  readonly longestGap: number
}

const program = Path.join(
  fileURLToPath(import.meta.resolve("@effect-mqttx/cli/package.json")),
  "../dist/internal/main.js"
)

/** The file of a round: the forwarder changes in each, one of the sessions in each second one. */
const fileOf = (a: string, b: string, round: number, store: DrillOptions["store"]): string => `
[log]
sessions = "off"
[reload]
watch = false
[stores.state]
type = "${store}"
${store === "file" ? "directory = \"state\"" : ""}
[sessions.plant]
servers = "${a}"
store = "state"
keepAlive = ${round % 4 === 1 ? 30_000 : 60_000}
[sessions.cloud]
servers = "${b}"
store = "state"
keepAlive = ${round % 4 === 3 ? 30_000 : 60_000}
[forwarders.up]
sources = "plant"
filters = "drill/#"
target = "cloud"
metadata = { round = "${round}" }
`

/** The gateway as a process, which may be killed and started again. */
class Gateway {
  readonly #file: string
  #child: ChildProcess | undefined
  #log = ""

  constructor(file: string) {
    this.#file = file
  }

  #awaitLog(text: string, times: number): Effect.Effect<void> {
    return Effect.promise(async () => {
      while (this.#log.split(text).length - 1 < times) {
        if (this.#child?.exitCode !== null) throw new Error(`the gateway has ended: ${this.#log}`)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    })
  }

  get start(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#log = ""
      this.#child = spawn(process.execPath, [program, "gateway", this.#file], { stdio: ["ignore", "ignore", "pipe"] })
      this.#child.stderr!.setEncoding("utf8").on("data", (text: string) => {
        this.#log += text
      })
      return this.#awaitLog("the gateway runs", 1)
    })
  }

  /** Succeeds when the file is applied. */
  get reload(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const before = this.#log.split("the file is applied").length
      this.#child!.kill("SIGHUP")
      return this.#awaitLog("the file is applied", before)
    })
  }

  end(signal: "SIGTERM" | "SIGKILL"): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const child = this.#child
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
      child.once("exit", () => resume(Effect.void))
      child.kill(signal)
    })
  }
}

/** How long the referee waits for messages that do not come, in milliseconds. */
const patience = 20_000

/** Runs a drill to its end. */
export const drill = (
  { every, killAfter, qos, rate, seconds, store }: DrillOptions
): Effect.Effect<DrillOutcome, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const config = ["max_queued_messages 0", "max_inflight_messages 1000"]
    const a = yield* MosquittoBroker.make({ config })
    const b = yield* MosquittoBroker.make({ config })
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "drill-"))),
      (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
    )
    const file = Path.join(folder, "gateway.toml")
    Fs.writeFileSync(file, fileOf(a.url, b.url, 0, store))
    const arrivals = new Arrivals()
    const clock = yield* Clock.Clock
    const witness = yield* MqttSession.make({ name: "witness", servers: b.url })
    const { messages } = yield* witness.subscription("drill/#", { qos: 2, onOverflow: "suspend" })
    yield* Effect.forkScoped(Stream.runForEach(messages, ({ text }) =>
      Effect.sync(() =>
        arrivals.see(Number(text), clock.currentTimeMillisUnsafe())
      )))
    const gateway = new Gateway(file)
    yield* Effect.acquireRelease(gateway.start, () =>
      gateway.end("SIGKILL"))
    const publisher = yield* MqttSession.make({ name: "publisher", servers: a.url })
    yield* publisher.awaitReady
    // A broker keeps nothing for a subscription that it does not have yet: the first message shows that it has.
    while (!arrivals.isThere) {
      yield* publisher.publish("drill/0", "-1", { qos })
      yield* Effect.sleep(50)
    }
    let next = 0
    const perTick = Math.max(1, Math.round(rate / 100))
    const traffic = yield* Stream.tick("10 millis").pipe(
      Stream.take(seconds * 100),
      Stream.flatMap(() => Stream.fromIterable(Array.from({ length: perTick }, () => next++))),
      Stream.map((number) => ({ topic: "drill/1", payload: String(number), options: { qos } })),
      (stream) => publisher.publishAll(stream),
      Effect.forkScoped
    )
    let [reloads, kills] = [0, 0]
    while (traffic.pollUnsafe() === undefined) {
      yield* Effect.sleep(every)
      Fs.writeFileSync(`${file}.new`, fileOf(a.url, b.url, reloads + 1, store))
      Fs.renameSync(`${file}.new`, file)
      yield* gateway.reload
      reloads++
      if (killAfter > 0 && reloads % killAfter === 0) {
        yield* gateway.end("SIGKILL")
        yield* gateway.start
        kills++
      }
    }
    const { published } = yield* Fiber.join(traffic)
    const { longestGap } = arrivals
    for (let idle = 0, before = -1; arrivals.distinct < published && idle < patience; idle += 50) {
      if (arrivals.arrived !== before) idle = 0
      before = arrivals.arrived
      yield* Effect.sleep(50)
    }
    yield* gateway.end("SIGTERM")
    // What came twice may still be on its way.
    yield* Effect.sleep(500)
    return {
      reloads,
      kills,
      published,
      arrived: arrivals.arrived,
      lost: published - arrivals.distinct,
      duplicates: arrivals.arrived - arrivals.distinct,
      disordered: arrivals.disordered,
      longestGap
    }
  })
