import type { ForwarderHooks } from "@effect-mqttx/core/ForwarderOptions"
import type { Message } from "@effect-mqttx/core/Message"
import type { MqttError } from "@effect-mqttx/core/MqttError"
import * as MqttErrors from "@effect-mqttx/core/MqttError"
import * as SessionStore from "@effect-mqttx/core/SessionStore"
import { keyOf, type StoreChange, type StoreRecord } from "@effect-mqttx/core/StoreRecord"
import type * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { makeMemory } from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Scope } from "effect"
import type { Forwarder } from "../../src/Forwarder.ts"

import { netOf, settled, until } from "../../../../test/support/forwarders.ts"
import { seeded } from "../session/seeded.ts"

/** What two processes share: the records of their sessions. */
type Disk = Map<string, Map<string, StoreRecord>>

/** Where a process dies: at its n-th commit, before or after that is on the disk. */
interface Death {
  readonly commit: number
  readonly when: "before" | "after"
}

interface Process {
  readonly forwarder: Forwarder["Service"]
  readonly forwarders: ReadonlyArray<Forwarder["Service"]>
  readonly crashed: Deferred.Deferred<void>
  readonly commits: () => number
}

const apply = (records: Map<string, StoreRecord>, changes: ReadonlyArray<StoreChange>): void => {
  for (const change of changes) {
    if (change._tag === "Put") records.set(keyOf(change.record), change.record)
    else records.delete(change.key)
  }
}

const durable = {
  persistence: "durable" as const,
  drainTimeout: "20 millis"
}

/** A process with both sessions, a forwarder, and a fate. */
const startProcess = Effect.fnUntraced(function*(
  brokers: Readonly<Record<string, ScriptedBroker.Service>>,
  disk: Disk,
  death: Death | undefined,
  prefixes: ReadonlyArray<string> = [""],
  hooks: ForwarderHooks = {}
): Effect.fn.Return<Process, MqttError, Scope.Scope> {
  const crashed = yield* Deferred.make<void>()
  let commits = 0
  let dead = false
  const store: SessionStore.SessionStore["Service"] = {
    open: (session) =>
      Effect.sync(() => {
        const records = disk.get(session) ?? new Map<string, StoreRecord>()
        disk.set(session, records)
        return {
          durability: "session",
          load: Effect.sync(() => ({ records: Array.from(records.values()), damage: undefined })),
          commit: (changes) =>
            Effect.suspend(() => {
              if (dead) return Effect.never
              const dies = ++commits === death?.commit
              if (dies && death.when === "before") dead = true
              else apply(records, changes)
              if (!dies) return Effect.void
              dead = true
              return Effect.andThen(Deferred.succeed(crashed, undefined), Effect.never)
            }),
          clear: Effect.sync(() => records.clear())
        }
      })
  }
  const transportOf = (broker: ScriptedBroker.Service) => ({
    open: ((...given: Parameters<typeof broker.transport.open>) =>
      Effect.suspend(() =>
        dead
          ? Effect.fail(new MqttErrors.MqttError({ reason: new MqttErrors.Closed({}) }))
          : broker.transport.open(...given)
      )) as typeof broker.transport.open
  })
  const net = yield* netOf(brokers)
  for (const name of ["a", "b"]) {
    yield* net.manager.addDurable({
      name,
      servers: [`mqtt://${name}.invalid`],
      reconnect: { initialDelay: "1 millis", maxDelay: "1 millis", factor: 1, jitter: "none" },
      ...durable
    }, { transport: transportOf(brokers[name]!) as never }).pipe(
      Effect.provideService(SessionStore.SessionStore, store)
    )
  }
  const forwarders: Array<Forwarder["Service"]> = []
  for (const prefix of prefixes) {
    forwarders.push(
      yield* net.forward({
        name: `forwarder${prefix}`,
        filters: ["t/#"],
        stopTimeout: "1 millis",
        ...(prefix === "" ? undefined : { mapping: [{ from: "t/#", to: `${prefix}/{1}` }] })
      }, hooks)
    )
  }
  return { forwarder: forwarders[0]!, forwarders, crashed, commits: () => commits }
})

const kill = (brokers: Readonly<Record<string, ScriptedBroker.Service>>, scope: Scope.Closeable) =>
  Effect.gen(function*() {
    for (const broker of Object.values(brokers)) {
      for (const { clientId } of broker.sessions) yield* Effect.ignore(broker.cut(clientId, { reset: true }))
    }
    yield* Effect.forkDetach(Scope.close(scope, Exit.void))
  })

const arrivals = (broker: ScriptedBroker.Service): ReadonlyArray<string> =>
  // A batch is its messages with commas between them.
  broker.published.flatMap(({ payload }) => new TextDecoder().decode(payload).split(","))

const messages = ["1", "2", "3"]

/**
 * Lets one process after the other die, the last one finish, until the disk has what it should, and answers how many
 * came so far as to die.
 */
const run = (
  deaths: ReadonlyArray<Death>,
  qos: 1 | 2 = 2,
  isFinished: (disk: Disk) => boolean = () => true,
  prefixes: ReadonlyArray<string> = [""],
  hooks: ForwarderHooks = {}
) =>
  Effect.gen(function*() {
    const brokers = { a: yield* makeMemory({ record: true }), b: yield* makeMemory({ record: true }) }
    const disk: Disk = new Map()
    const published = new Set<string>()
    const publish = Effect.fnUntraced(function*(all: ReadonlyArray<string>) {
      for (const message of all) {
        if (published.has(message)) continue
        published.add(message)
        yield* brokers.a.publish("t/1", message, { qos })
      }
    })
    let died = 0
    for (const death of deaths) {
      const scope = yield* Scope.make()
      const { crashed, forwarder, forwarders } = yield* Scope.provide(
        startProcess(brokers, disk, death, prefixes, hooks),
        scope
      )
      const work = Effect.gen(function*() {
        for (const each of forwarders) yield* each.active
        yield* until(forwarder, ({ targetConnected }) => targetConnected)
        yield* publish(messages)
        yield* brokers.a.awaitIdle
        for (const each of forwarders) yield* until(each, ({ inFlight }) => inFlight === 0)
        yield* brokers.b.awaitIdle
        // The last records are about to go.
        yield* Effect.sleep("20 millis")
      })
      yield* Effect.raceFirst(work, Effect.andThen(Deferred.await(crashed), Effect.sync(() => died++)))
      yield* kill(brokers, scope)
    }
    const scope = yield* Scope.make()
    const { forwarders } = yield* Scope.provide(startProcess(brokers, disk, undefined, prefixes, hooks), scope)
    for (const each of forwarders) yield* each.active
    yield* publish([...messages, "last"])
    yield* brokers.b.awaitUntil(() => arrivals(brokers.b).filter((text) => text === "last").length >= prefixes.length)
    yield* brokers.a.awaitIdle
    let duplicates = 0
    for (const each of forwarders) duplicates += (yield* until(each, ({ inFlight }) => inFlight === 0)).duplicates
    while (!isFinished(disk)) yield* Effect.sleep("2 millis")
    yield* kill(brokers, scope)
    const topics = brokers.b.published.map(({ payload, topic }) => `${topic} ${new TextDecoder().decode(payload)}`)
    return { died, arrived: arrivals(brokers.b), topics, duplicates, disk }
  })

describe("Forwarder: exactly once, from QoS 2 and a durable session to QoS 2 and a durable session", () => {
  it.live("wherever the process dies, every message arrives once and in order", () =>
    Effect.gen(function*() {
      let recognised = 0
      let deaths = 0
      for (let commit = 1;; commit++) {
        let died = false
        for (const when of ["before", "after"] as const) {
          const outcome = yield* run([{ commit, when }])
          const what = `death ${when} commit ${commit}`
          assert.deepStrictEqual(outcome.arrived, [...messages, "last"], what)
          recognised += outcome.duplicates
          died ||= outcome.died > 0
          deaths += outcome.died
        }
        if (!died) break
      }
      // The test is worth something only if it has met the moment that the ledger is for.
      assert.isAbove(deaths, 15)
      assert.isAbove(recognised, 0)
    }), 180_000)

  it.live(
    "wherever the process dies, every message of two forwarders between the same sessions arrives once",
    () =>
      Effect.gen(function*() {
        const prefixes = ["x", "y"]
        const expected = prefixes.flatMap((prefix) => [...messages, "last"].map((text) => `${prefix}/1 ${text}`))
        for (let commit = 1;; commit++) {
          let died = false
          for (const when of ["before", "after"] as const) {
            const outcome = yield* run([{ commit, when }], 2, undefined, prefixes)
            assert.sameMembers([...outcome.topics], expected, `death ${when} commit ${commit}`)
            died ||= outcome.died > 0
          }
          if (!died) break
        }
      }),
    180_000
  )

  it.live(
    "wherever the process dies, every message of a batch arrives once and in order",
    () =>
      Effect.gen(function*() {
        const join = (batch: ReadonlyArray<Message>): string => batch.map(({ text }) => text).join(",")
        let recognised = 0
        let deaths = 0
        for (let commit = 1;; commit++) {
          let died = false
          for (const when of ["before", "after"] as const) {
            const hooks = { batch: { messages: 2, time: "5 millis", join } } as const
            const outcome = yield* run([{ commit, when }], 2, undefined, [""], hooks)
            assert.deepStrictEqual(outcome.arrived, [...messages, "last"], `death ${when} commit ${commit}`)
            recognised += outcome.duplicates
            died ||= outcome.died > 0
            deaths += outcome.died
          }
          if (!died) break
        }
        assert.isAbove(deaths, 10)
        assert.isAbove(recognised, 1)
      }),
    180_000
  )

  it.live("wherever two processes die one after the other", () =>
    Effect.gen(function*() {
      const random = seeded(7)
      const draw = (): Death => ({ commit: 1 + Math.floor(random() * 14), when: random() < 0.5 ? "before" : "after" })
      for (let i = 0; i < 40; i++) {
        const deaths = [draw(), draw()]
        const { arrived } = yield* run(deaths)
        assert.deepStrictEqual(arrived, [...messages, "last"], JSON.stringify(deaths))
      }
    }), 180_000)

  it.live("forgets origins when the source has released their identifiers", () =>
    Effect.gen(function*() {
      const forgets = (disk: Disk) => Array.from(disk.get("b")!.values()).every(({ _tag }) => _tag !== "Origin")
      const { arrived } = yield* run([{ commit: Infinity, when: "after" }], 2, forgets)
      assert.deepStrictEqual(arrived, [...messages, "last"])
    }))

  it.live("a stale origin does not suppress a new message with the same identifier", () =>
    Effect.gen(function*() {
      const brokers = { a: yield* makeMemory({ record: true }), b: yield* makeMemory({ record: true }) }
      const disk: Disk = new Map()
      const first = yield* Scope.make()
      const one = yield* Scope.provide(startProcess(brokers, disk, undefined), first)
      yield* one.forwarder.active
      yield* brokers.a.publish("t/1", "0", { qos: 2 })
      yield* settled(one.forwarder, 1)
      yield* brokers.a.awaitIdle
      yield* Scope.close(first, Exit.void)
      // As if other messages had been forwarded before, under every identifier that the new ones can have.
      for (let packetIdentifier = 1; packetIdentifier <= 100; packetIdentifier++) {
        const origin = {
          forwarder: one.forwarder.name,
          session: "a",
          packetIdentifier,
          use: `earlier.${packetIdentifier}`
        }
        apply(disk.get("b")!, [{ _tag: "Put", record: { _tag: "Origin", origin } }])
      }
      const two = yield* startProcess(brokers, disk, undefined)
      yield* two.forwarder.active
      for (const message of messages.concat(messages)) yield* brokers.a.publish("t/1", message, { qos: 2 })
      const metrics = yield* settled(two.forwarder, 6)
      yield* brokers.b.awaitUntil(() => brokers.b.published.length === 7)
      assert.deepStrictEqual(arrivals(brokers.b), ["0", ...messages, ...messages])
      assert.strictEqual(metrics.duplicates, 0)
    }))

  it.live("a stop in the middle returns what the target's queue holds, and the next start recognises it", () =>
    Effect.gen(function*() {
      const brokers = { a: yield* makeMemory({ record: true }), b: yield* makeMemory({ record: true }) }
      const net = yield* netOf(brokers)
      yield* net.ready("a", durable)
      yield* brokers.b.refuseNetwork
      yield* net.add("b", durable)
      const forwarder = yield* net.forward({ acceptance: "acknowledged", stopTimeout: "20 millis" })
      yield* forwarder.active
      for (const message of messages) yield* brokers.a.publish("t/1", message, { qos: 2 })
      yield* until(forwarder, ({ inFlight }) => inFlight === 3)
      yield* forwarder.stop
      assert.strictEqual((yield* forwarder.metrics).returned, 3)
      yield* forwarder.start
      const metrics = yield* settled(forwarder, 6)
      assert.strictEqual(metrics.duplicates, 3)
      yield* brokers.b.acceptNetwork
      yield* brokers.b.awaitUntil(() => brokers.b.published.length === 3)
      yield* brokers.a.awaitIdle
      yield* brokers.b.awaitIdle
      assert.deepStrictEqual(arrivals(brokers.b), messages)
    }).pipe(Effect.provide(SessionStore.layerMemory)))

  it.live("at QoS 1 every message arrives at least once", () =>
    Effect.gen(function*() {
      for (let commit = 1; commit <= 12; commit++) {
        const { arrived } = yield* run([{ commit, when: "after" }], 1)
        for (const message of [...messages, "last"]) assert.include(arrived, message, `death after commit ${commit}`)
      }
    }), 180_000)
})
