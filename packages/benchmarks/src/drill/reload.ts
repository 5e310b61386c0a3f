/**
 * One drill: a gateway between two mosquittos whose file changes again and again while messages go through it, or, as
 * a contrast, a third mosquitto as the bridge. The referee counts what was published and what has arrived. `main.ts`
 * runs it and prints the counts.
 */
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as MosquittoBroker from "@effect-mqttx/testing/MosquittoBroker"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { Arrivals } from "./arrivals.ts"
import { Gateway } from "./gateway.ts"
import { MosquittoBridge } from "./mosquittoBridge.ts"

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
  /** `mosquitto`: a mosquitto with two bridges in the place of the gateway. */
  readonly bridge: "gateway" | "mosquitto"
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

/** How long the referee waits for messages that do not come, in milliseconds. */
const patience = 20_000

/** Runs a drill to its end. */
export const drill = (
  { bridge, every, killAfter, qos, rate, seconds, store }: DrillOptions
): Effect.Effect<DrillOutcome, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const config = ["max_queued_messages 0", "max_inflight_messages 1000"]
    const a = yield* MosquittoBroker.make({ config })
    const b = yield* MosquittoBroker.make({ config })
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "drill-"))),
      (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
    )
    const links = { a: a.url, b: b.url }
    const arrivals = new Arrivals()
    const clock = yield* Clock.Clock
    const witness = yield* MqttSession.make({ name: "witness", servers: b.url })
    const { messages } = yield* witness.subscription("drill/#", { qos: 2, onOverflow: "suspend" })
    yield* Effect.forkScoped(Stream.runForEach(messages, ({ text }) =>
      Effect.sync(() =>
        arrivals.see(Number(text), clock.currentTimeMillisUnsafe())
      )))
    const gateway = bridge === "gateway" ? new Gateway(folder, links, store) : new MosquittoBridge(folder, links, qos)
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
      yield* gateway.reload(reloads + 1)
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
