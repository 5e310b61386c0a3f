import type { Publish } from "@effect-mqttx/core/Packet"
import * as BrokerCore from "@effect-mqttx/testing/BrokerCore"
import * as FileJournal from "@effect-mqttx/testing/FileJournal"
import * as Journal from "@effect-mqttx/testing/Journal"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { build } from "esbuild"
import { type ChildProcess, spawn } from "node:child_process"
import { appendFileSync, mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { makeRandom } from "../src/internal/scripted/random.ts"
import { Harness } from "./support/coreHarness.ts"
import * as Raw from "./support/rawClient.ts"

const bytes = (value: string): Uint8Array => new TextEncoder().encode(value)

const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "journal-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** What must be the same before and after a crash. */
const durableState = (core: BrokerCore.BrokerCore) => {
  const sessions: Record<string, unknown> = {}
  for (const session of core.sessions()) {
    if (session.sessionExpiryInterval === 0) continue
    sessions[session.clientId] = { ...session, connection: undefined, unreleased: new Set(session.unreleased) }
  }
  return { sessions, retained: Object.fromEntries(core.retained().map((message) => [message.topic, message])) }
}

/** Clients that do anything at random, over a broker with a journal. */
const riot = (seed: number, journal: Journal.Journal, steps: number): Harness => {
  const random = makeRandom(seed)
  const harness = new Harness({ journal })
  let connections = 0
  const live = new Map<number, { readonly version: 4 | 5; readonly inbox: Array<Publish> }>()
  for (let step = 0; step < steps; step++) {
    const ids = [...live.keys()]
    const id = ids[random.between(0, Math.max(0, ids.length - 1))]
    const roll = random.between(0, 9)
    if (id === undefined || roll === 0) {
      const next = ++connections
      const client = random.between(1, 4)
      const version = client % 2 === 0 ? 4 : 5
      harness.connect(next, version, `c${client}`, {
        ...Raw.persistent(version),
        cleanStart: random.between(0, 5) === 0
      })
      live.set(next, { version, inbox: [] })
    } else if (roll === 1) {
      harness.lose(id)
      live.delete(id)
    } else if (roll <= 3) {
      harness.subscribe(id, `t/${random.between(0, 3)}`, { qos: random.between(0, 2) as 0 | 1 | 2 })
    } else if (roll <= 6) {
      const qos = random.between(0, 2) as 0 | 1 | 2
      const retain = random.between(0, 4) === 0
      const payload = random.between(0, 5) === 0 ? "" : `${step}`
      const packetIdentifier = qos === 0 ? 0 : random.between(1, 5)
      harness.send(
        id,
        Raw.publishPacket(`t/${random.between(0, 3)}`, payload, { qos, retain, packetIdentifier, dup: qos === 2 })
      )
      if (random.between(0, 1) === 0) harness.send(id, Raw.acknowledge("Pubrel", packetIdentifier || 1))
    } else {
      for (const packet of harness.take(id)) {
        if (packet._tag === "Publish" && packet.qos === 1 && random.between(0, 1) === 0) {
          harness.send(id, Raw.acknowledge("Puback", packet.packetIdentifier))
        } else if (packet._tag === "Publish" && packet.qos === 2 && random.between(0, 1) === 0) {
          harness.send(id, Raw.acknowledge("Pubrec", packet.packetIdentifier))
          if (random.between(0, 1) === 0) harness.send(id, Raw.acknowledge("Pubcomp", packet.packetIdentifier))
        }
      }
    }
    for (const known of live.keys()) if (harness.isClosed(known)) live.delete(known)
  }
  return harness
}

describe("a journal", () => {
  it("holds everything that a broker must know after a crash, for 200 seeds", () => {
    let sessions = 0
    let inflight = 0
    for (let seed = 1; seed <= 200; seed++) {
      const journal = Journal.makeMemory()
      const harness = riot(seed, journal, 80)
      const before = durableState(harness.core)
      const restored = BrokerCore.makeBrokerCore({ journal }, harness.now)
      assert.deepStrictEqual(durableState(restored), before, `seed ${seed}`)
      // And once more, from the journal that the second life has condensed.
      assert.deepStrictEqual(durableState(BrokerCore.makeBrokerCore({ journal }, harness.now)), before, `seed ${seed}`)
      sessions += restored.sessions().length
      inflight += restored.outstanding()
    }
    assert.isAbove(sessions, 200)
    assert.isAbove(inflight, 200)
  })

  it.effect("in a file reads back what was written, payloads and optional fields included", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const path = join(directory, "journal")
      const memory = Journal.makeMemory()
      riot(5, memory, 80)
      const written = memory.load()
      const file = yield* FileJournal.make(path)
      file.append(written.slice(0, 10))
      file.append(written.slice(10))
      // A line that the crash has cut.
      appendFileSync(path, "{\"_tag\":\"Sess")
      assert.deepStrictEqual(
        (yield* FileJournal.make(path)).load(),
        // JSON has no undefined.
        written.map((entry) =>
          Object.fromEntries(
            Object.entries(entry).filter(([, value]) => value !== undefined)
          ) as unknown as Journal.JournalEntry
        )
      )
      file.replace(written.slice(0, 3))
      file.append(written.slice(3, 4))
      assert.strictEqual(file.load().length, 4)
    }))

  it.effect("restores a broker that crashed: sessions, unfinished flows in both directions, retained messages", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.makeMemory({ journal: Journal.makeMemory() })
      const dial = Raw.dialMemory(broker.transport)
      const client = yield* Raw.connect(dial, 5, "a", Raw.persistent(5))
      yield* Raw.subscribe(client, 1, [Raw.subscribeFilter("t")])
      yield* client.send(
        Raw.publishPacket("kept", "r", { retain: true }),
        Raw.publishPacket("u", "mine", { qos: 2, packetIdentifier: 9 })
      )
      yield* client.next("Pubrec")
      const publication = yield* broker.publish("t", "x", { qos: 2 })
      const { packetIdentifier } = yield* client.next("Publish")
      yield* broker.restart
      yield* client.closed
      const next = yield* Raw.connect(dial, 5, "a", Raw.persistent(5))
      assert.isTrue(next.connack.sessionPresent)
      const again = yield* next.next("Publish")
      assert.deepStrictEqual([again.packetIdentifier, again.dup], [packetIdentifier, true])
      yield* next.send(Raw.publishPacket("u", "mine", { qos: 2, packetIdentifier: 9, dup: true }))
      assert.strictEqual((yield* next.next("Pubrec")).reasonCode, 0)
      yield* next.send(Raw.acknowledge("Pubrel", 9), Raw.acknowledge("Pubrec", packetIdentifier))
      yield* next.next("Pubcomp")
      yield* next.next("Pubrel")
      yield* next.send(Raw.acknowledge("Pubcomp", packetIdentifier))
      assert.deepStrictEqual((yield* publication.settled).map(({ outcome }) => outcome), ["Acknowledged"])
      assert.deepStrictEqual(broker.published.filter(({ topic }) => topic === "u").length, 1)
      assert.deepStrictEqual(broker.retained.map(({ topic }) => topic), ["kept"])
    }))

  it("ends what a crash ends: sessions without an expiry interval, and the waiting of a will", () => {
    const journal = Journal.makeMemory()
    const harness = new Harness({ journal })
    harness.connect(1, 5, "mortal")
    harness.connect(2, 4, "clean")
    const will = { topic: "w", payload: bytes("gone"), qos: 1, retain: false, properties: {} } as const
    harness.connect(3, 5, "kept", { ...Raw.persistent(5), will })
    harness.connect(4, 5, "watcher", Raw.persistent(5))
    harness.subscribe(4, "w", { qos: 1 })
    const restored = BrokerCore.makeBrokerCore({ journal }, harness.now)
    assert.sameMembers(restored.sessions().map(({ clientId }) => clientId), ["kept", "watcher"])
    restored.tick(harness.now)
    assert.strictEqual(restored.session("watcher")!.queued, 1)
    restored.tick(harness.now + 3_600_000)
    assert.deepStrictEqual(restored.sessions(), [])
  })
})

describe("kill -9", () => {
  const startBroker = (script: string, path: string) =>
    Effect.acquireRelease(
      Effect.callback<{ readonly process: ChildProcess; readonly port: number }>((resume) => {
        const child = spawn(process.execPath, [script, path], { stdio: ["ignore", "pipe", "inherit"] })
        child.stdout.once("data", (data: Buffer) =>
          resume(Effect.succeed({ process: child, port: Number(data.toString()) })))
        child.once("error", (error) =>
          resume(Effect.die(error)))
      }),
      ({ process: child }) => Effect.sync(() => child.kill("SIGKILL"))
    )

  it.live("of the broker's process loses no acknowledged message, and QoS 2 stays exactly once", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      // Inside the package, where the bundle finds what it imports.
      const script = fileURLToPath(new URL("../build/brokerProcess.mjs", import.meta.url))
      yield* Effect.promise(() =>
        build({
          entryPoints: [fileURLToPath(new URL("./support/brokerProcess.ts", import.meta.url))],
          outfile: script,
          bundle: true,
          platform: "node",
          format: "esm",
          conditions: ["@effect-mqttx/source"],
          external: ["effect", "effect/*", "ws", "mqtt"],
          logLevel: "silent"
        })
      )
      const journal = join(directory, "journal")
      const acknowledged: Array<string> = []
      const received = new Map<string, number>()
      let unfinished: { readonly payload: string; readonly qos: 1 | 2; released: boolean } | undefined
      let sent = 0
      // A subscriber and a publisher with windows of one, both by the book, through five lives of the broker.
      const seen = new Set<number>()
      for (let life = 0; life < 5; life++) {
        yield* Effect.scoped(Effect.gen(function*() {
          const broker = yield* startBroker(script, journal)
          const dial = Raw.dialTcp(broker.port)
          const subscriber = yield* Raw.connect(dial, 5, "subscriber", Raw.persistent(5))
          if (life === 0) yield* Raw.subscribe(subscriber, 1, [Raw.subscribeFilter("t")])
          assert.strictEqual(subscriber.connack.sessionPresent, life > 0)
          const publisher = yield* Raw.connect(dial, 5, "publisher", Raw.persistent(5))
          const isComplete = (): boolean => life === 4 && acknowledged.every((payload) => received.has(payload))
          const consume = Effect.gen(function*() {
            while (!isComplete()) {
              const waiting = subscriber.waiting()[0]
              if (waiting === undefined) {
                if (subscriber.isClosed()) return
                yield* Effect.sleep(1)
                continue
              }
              if (waiting._tag === "Pubrel") {
                yield* subscriber.next("Pubrel")
                seen.delete(waiting.packetIdentifier)
                yield* subscriber.send(Raw.acknowledge("Pubcomp", waiting.packetIdentifier))
                continue
              }
              const message = yield* subscriber.next("Publish")
              const isCopy = message.qos === 2 && seen.has(message.packetIdentifier)
              if (!isCopy) received.set(Raw.text(message), (received.get(Raw.text(message)) ?? 0) + 1)
              if (message.qos === 2) seen.add(message.packetIdentifier)
              yield* subscriber.send(Raw.acknowledge(message.qos === 2 ? "Pubrec" : "Puback", message.packetIdentifier))
            }
          })
          const publish = Effect.gen(function*() {
            while (true) {
              const dup = unfinished !== undefined
              unfinished ??= { payload: `${sent}`, qos: sent % 2 === 0 ? 1 : 2, released: false }
              if (!dup) sent++
              if (!unfinished.released) {
                const { payload, qos } = unfinished
                yield* publisher.send(Raw.publishPacket("t", payload, { qos, dup, packetIdentifier: 1 }))
                yield* publisher.next(qos === 1 ? "Puback" : "Pubrec")
              }
              if (unfinished.qos === 2) {
                unfinished.released = true
                yield* publisher.send(Raw.acknowledge("Pubrel", 1))
                yield* publisher.next("Pubcomp")
              }
              acknowledged.push(unfinished.payload)
              unfinished = undefined
            }
          })
          const kill = Effect.gen(function*() {
            // Not before there was something to lose.
            yield* Effect.repeat(Effect.sleep(1), { until: () => acknowledged.length >= 6 * (life + 1) })
            yield* Effect.sleep(20 + life * 15)
            broker.process.kill("SIGKILL")
          })
          // The publisher dies of "closed while waiting" when the broker is gone.
          if (life < 4) {
            yield* Effect.all([consume, Effect.exit(publish), kill], { concurrency: "unbounded", discard: true })
          } else yield* Effect.timeoutOption(consume, "60 seconds")
        }))
      }
      assert.isAbove(acknowledged.length, 20)
      assert.deepStrictEqual(acknowledged.filter((payload) => !received.has(payload)), [])
      const twice = [...received].filter(([payload, count]) => Number(payload) % 2 === 1 && count > 1)
      assert.deepStrictEqual(twice, [])
    }))
})
