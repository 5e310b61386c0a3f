/**
 * What a session logs by itself, how often, and what it never does.
 */
import { BadCredentials, ConnectionLost, MqttError, PublishRefused } from "@effect-mqttx/core/MqttError"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import type { SessionEvent } from "@effect-mqttx/core/SessionEvent"
import * as SessionLog from "@effect-mqttx/core/SessionLog"
import * as SessionOptions from "@effect-mqttx/core/SessionOptions"
import { SessionStore } from "@effect-mqttx/core/SessionStore"
import * as Transport from "@effect-mqttx/core/Transport"
import { assert, describe, it } from "@effect/vitest"
import { Cause, ConfigProvider, Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as Faulty from "../../../../test/support/faultyStore.ts"
import { makeWorld } from "../../../../test/support/managers.ts"
import { lineOf } from "../../src/internal/session/logLine.ts"
import { makeLog } from "./logged.ts"
import { eventsOf, makeBroker, makeSession, nextEvent, type Options, pass, readySession, settle } from "./support.ts"

const event = <Tag extends SessionEvent["_tag"]>(
  _tag: Tag,
  fields: Omit<Extract<SessionEvent, { readonly _tag: Tag }>, "_tag" | "session" | "at">
): SessionEvent => ({ _tag, session: "plant", at: 0, ...fields }) as SessionEvent

/** Tries again each second. */
const steady: Options["reconnect"] = { initialDelay: "1 second", factor: 1, maxDelay: "1 second", jitter: "none" }

const docs = Fs.readFileSync(Path.join(import.meta.dirname, "../../../../docs/metrics.md"), "utf8")

describe("a session without failures", () => {
  it.live("logs nothing, whatever it sends and receives", () =>
    Effect.gen(function*() {
      const log = makeLog()
      yield* Effect.gen(function*() {
        const { manager, ready } = yield* makeWorld()
        const plant = yield* ready("plant")
        const subscription = yield* plant.subscription("t", { qos: 2 })
        assert.deepStrictEqual(subscription.granted, [2])
        for (const qos of [0, 1, 2] as const) yield* plant.publish("other", "1", { qos })
        yield* manager.disconnect("plant")
        yield* manager.connect("plant")
        yield* manager.awaitReady("plant")
        yield* manager.remove("plant")
      }).pipe(Effect.scoped, Effect.provide(log.layer))
      assert.deepStrictEqual(log.lines, [])
    }))
})

describe("a session that cannot connect", () => {
  it.effect("says so at once, then at growing intervals, and when it is connected", () =>
    Effect.gen(function*() {
      const log = makeLog()
      const broker = yield* makeBroker("memory")
      yield* broker.refuseNetwork
      const session = yield* makeSession(broker, { name: "plant", reconnect: steady! }).pipe(Effect.provide(log.layer))
      const lines: Array<string> = []
      for (let second = 0; second <= 72; second++) {
        yield* settle
        for (const line of log.take()) lines.push(`${second} s ${line}`)
        yield* pass(1000)
      }
      const line = (second: number) =>
        `${second} s Warn Reconnecting: cannot connect, the next attempt is in 1000 ms: no connection to ${broker.url}`
      assert.deepStrictEqual(
        lines.map((each) => each.replace(/(no connection to \S+):.*/, "$1")),
        [line(0), line(10), line(30), line(70)]
      )
      assert.deepStrictEqual(log.lines[0]!.annotations, {
        session: "plant",
        server: broker.url,
        event: "Reconnecting",
        reason: "ConnectionRefused",
        attempt: 2
      })
      yield* broker.acceptNetwork
      yield* pass(1000)
      yield* session.awaitReady
      assert.match(log.take().join("\n"), /^Info Connected: connected after 7\d\.\d s and 7\d attempts$/)
      yield* pass(100_000, 1000)
      assert.deepStrictEqual(log.take(), [])
    }))

  it.effect("says at once when the reason changes, and logs a permanent failure as an error", () =>
    Effect.gen(function*() {
      const log = makeLog()
      const broker = yield* makeBroker("memory")
      yield* broker.refuseNetwork
      yield* makeSession(broker, { reconnect: { ...steady, permanentDelay: "1 second" } }).pipe(
        Effect.provide(log.layer)
      )
      yield* pass(2000)
      log.take()
      yield* broker.refuseConnect(0x86)
      yield* broker.acceptNetwork
      yield* pass(5000)
      assert.deepStrictEqual(log.take(), [
        "Error Reconnecting: cannot connect, the next attempt is in 1000 ms: the server does not accept the credentials: " +
        "Bad User Name or Password (0x86)"
      ])
      assert.strictEqual(log.lines.at(-1)!.annotations["reason"], "BadCredentials")
    }))

  it.effect("says that it makes no further attempt", () =>
    Effect.gen(function*() {
      const log = makeLog()
      const broker = yield* makeBroker("memory")
      yield* broker.refuseConnect(0x87)
      const session = yield* makeSession(broker, { reconnect: { onPermanentFailure: "stop" } }).pipe(
        Effect.provide(log.layer)
      )
      yield* Effect.exit(session.awaitReady)
      assert.deepStrictEqual(log.take(), [
        "Error Disconnected: does not connect any more: the client is not authorized to connect: Not authorized (0x87)"
      ])
    }))
})

describe("a session that loses its connection", () => {
  it.effect("has one line for the loss and one for the new connection", () =>
    Effect.gen(function*() {
      const log = makeLog()
      const broker = yield* makeBroker("memory")
      const session = yield* makeSession(broker, { reconnect: steady! }).pipe(Effect.provide(log.layer))
      yield* session.awaitReady
      yield* broker.cut(1)
      yield* pass(1000)
      yield* session.awaitReady
      assert.deepStrictEqual(log.take().map((line) => line.replace(/(lost: the connection was lost).*/, "$1")), [
        "Warn Disconnected: connection lost: the connection was lost",
        "Info Connected: connected after 1.0 s and 1 attempt"
      ])
    }))

  it.effect("again and again, logs how often at growing intervals", () =>
    Effect.gen(function*() {
      const log = makeLog()
      const broker = yield* makeBroker("memory")
      const session = yield* makeSession(broker, { reconnect: steady! }).pipe(Effect.provide(log.layer))
      for (let connection = 1; connection <= 12; connection++) {
        yield* session.awaitReady
        yield* broker.cut(connection)
        yield* pass(1000)
      }
      yield* session.awaitReady
      const lines = log.take().filter((line) => line.startsWith("Warn"))
      assert.strictEqual(lines.length, 2)
      assert.match(lines[1]!, /^Warn Disconnected: connection lost 10 times, at last: the connection was lost/)
    }))

  it.effect("because the server broke the protocol, says who did", () =>
    Effect.gen(function*() {
      const log = makeLog()
      const broker = yield* makeBroker("memory")
      const session = yield* makeSession(broker, { reconnect: steady! }).pipe(Effect.provide(log.layer))
      yield* session.awaitReady
      yield* broker.sendRaw(1, new Uint8Array([0xf1, 0x00]))
      yield* pass(100)
      assert.match(log.take()[0]!, /^Warn Disconnected: connection lost: the server broke the protocol: /)
    }))
})

describe("messages that are dropped or fail", () => {
  it.effect("are counted by cause, at growing intervals, until the last one", () =>
    Effect.gen(function*() {
      const log = makeLog()
      const broker = yield* makeBroker("memory")
      yield* broker.refuseNetwork
      const session = yield* makeSession(broker, {
        queue: { messages: 1, policy: "dropOldest" },
        reconnect: { initialDelay: "1 hour", maxDelay: "1 hour" }
      }).pipe(Effect.provide(log.layer))
      yield* settle
      log.take()
      const drop = (count: number) =>
        Effect.forEach(Array.from({ length: count }), () => session.enqueue("t", "secret", { qos: 1 }))
      yield* drop(2)
      yield* settle
      assert.deepStrictEqual(log.take(), ["Warn MessageDropped: 1 outbound message dropped"])
      assert.deepInclude(log.lines.at(-1)!.annotations, { reason: "dropOldest", topic: "t" })
      yield* pass(3000)
      yield* drop(100)
      yield* pass(6000)
      yield* drop(200)
      assert.deepStrictEqual(log.take(), [])
      yield* pass(1000)
      assert.deepStrictEqual(log.take(), ["Warn MessageDropped: 300 outbound messages dropped"])
      yield* drop(7)
      yield* session.drain
      assert.deepStrictEqual(log.take(), [
        "Warn MessageFailed: 1 accepted message failed: the session is closed",
        "Warn MessageDropped: 7 outbound messages dropped"
      ])
    }))

  it.effect("after they were accepted, are logged when no fiber awaits their outcome", () =>
    Effect.gen(function*() {
      const log = makeLog()
      const broker = yield* makeBroker("memory")
      const session = yield* makeSession(broker).pipe(Effect.provide(log.layer))
      yield* session.awaitReady
      yield* broker.refusePublish("refused", 0x87)
      const receipt = yield* session.enqueue("refused", "1", { qos: 1 })
      assert.instanceOf((yield* Effect.flip(receipt.acknowledged)).reason, PublishRefused)
      yield* Effect.exit(session.publish("refused", "2", { qos: 1 }))
      yield* settle
      assert.deepStrictEqual(log.take(), [])
      for (let n = 0; n < 3; n++) yield* session.enqueue("refused", "secret", { qos: 1 })
      yield* session.publish("t", "1", { qos: 1 })
      yield* settle
      yield* pass(10_000, 1000)
      const counts = log.take().map((line) => {
        const match =
          /^Warn MessageFailed: (\d) accepted messages? failed: the server refused the message: Not authorized \(0x87\)$/
            .exec(line)
        return Number(match?.[1])
      })
      assert.strictEqual(counts.reduce((sum, count) => sum + count, 0), 3)
      assert.deepInclude(log.lines.at(-1)!.annotations, { reason: "PublishRefused", topic: "refused" })
    }))

  it.effect("because the session ends before they are sent, are logged, unless its store keeps them", () =>
    Effect.gen(function*() {
      for (const persistence of ["process", "durable"] as const) {
        const log = makeLog()
        const broker = yield* makeBroker("memory")
        yield* broker.refuseNetwork
        const scope = yield* Scope.make()
        const session = yield* makeSession(broker, { persistence, drainTimeout: "1 second" }).pipe(
          Effect.provide(log.layer),
          Effect.provideService(SessionStore, Faulty.make().store),
          Scope.provide(scope)
        )
        yield* settle
        for (let n = 0; n < 4; n++) yield* session.enqueue("t", "1", { qos: 1 })
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
        yield* pass(1000)
        yield* Fiber.join(closing)
        assert.deepStrictEqual(
          log.take().filter((line) => line.includes("MessageFailed")),
          persistence === "durable"
            ? []
            : ["Warn MessageFailed: 4 accepted messages failed: the session is closed"]
        )
      }
    }))
})

describe("a store that fails", () => {
  it.effect("is one line, and its recovery another", () =>
    Effect.gen(function*() {
      const log = makeLog()
      const broker = yield* makeBroker("memory")
      const faulty = Faulty.make()
      const session = yield* makeSession(broker, { persistence: "durable" }).pipe(
        Effect.provide(log.layer),
        Effect.provideService(SessionStore, faulty.store)
      )
      yield* session.awaitReady
      faulty.fail("full")
      const waiting = yield* Effect.forkChild(session.enqueue("t", "1", { qos: 1 }))
      yield* pass(5000)
      assert.deepStrictEqual(log.take(), [
        "Error StorageDegraded: the store takes no commits: the session store failed (full): it is full"
      ])
      faulty.mend()
      yield* pass(6000)
      yield* Fiber.join(waiting)
      assert.deepStrictEqual(log.take(), ["Info StorageRecovered: the store takes commits again"])
    }))

  it.effect("finally, is one line", () =>
    Effect.gen(function*() {
      const log = makeLog()
      const broker = yield* makeBroker("memory")
      const faulty = Faulty.make()
      const session = yield* makeSession(broker, { persistence: "durable" }).pipe(
        Effect.provide(log.layer),
        Effect.provideService(SessionStore, faulty.store)
      )
      yield* session.awaitReady
      faulty.fail("fenced")
      yield* Effect.exit(session.enqueue("t", "1", { qos: 1 }))
      yield* settle
      assert.deepStrictEqual(log.take(), [
        "Error StorageDegraded: the store is lost, and the session ends: the session store failed (fenced): it is fenced"
      ])
    }))
})

describe("a subscription that fails", () => {
  it.effect("is logged with its filters, and when it is in force again", () =>
    Effect.gen(function*() {
      const log = makeLog()
      const broker = yield* makeBroker("memory")
      const session = yield* makeSession(broker).pipe(Effect.provide(log.layer))
      yield* session.awaitReady
      yield* broker.refuseSubscribe("secret/#", 0x87)
      for (let n = 0; n < 5; n++) yield* Effect.exit(Effect.scoped(session.subscription("secret/#")))
      assert.deepStrictEqual(log.take(), [
        "Warn SubscriptionFailed: a subscription is not in force: the server refused the subscription to \"secret/#\": " +
        "Not authorized (0x87)"
      ])
      assert.deepInclude(log.lines.at(-1)!.annotations, { reason: "SubscriptionRefused", filters: ["secret/#"] })
      yield* broker.clearRefusals
      yield* session.subscription("secret/#")
      assert.deepStrictEqual(log.take(), ["Info SubscriptionRestored: a subscription is in force again"])
    }))

  it.live("names the route that it belongs to", () =>
    Effect.gen(function*() {
      const log = makeLog()
      const { broker, manager, ready } = yield* makeWorld().pipe(Effect.provide(log.layer))
      yield* ready("plant")
      yield* broker.refuseSubscribe("secret/#", 0x87)
      for (const description of ["alarms", undefined]) {
        const options = description === undefined ? {} : { description }
        const route = yield* manager.handleTo("plant", "secret/#", () => Effect.void, options)
        yield* Effect.exit(route.await)
        const listener = yield* manager.listenerTo("plant", "secret/#", options)
        yield* Effect.exit(listener.await)
      }
      // Of equal lines in one pause there is one.
      assert.deepStrictEqual(log.take(), [
        "Warn SubscriptionFailed: the subscription of route \"alarms\" is not in force: the server refused the subscription " +
        "to \"secret/#\": Not authorized (0x87)"
      ])
    }))

  it.effect("of a durable session without consumers, is logged although no caller waits for it", () =>
    Effect.gen(function*() {
      const log = makeLog()
      const broker = yield* makeBroker("memory")
      const { store } = Faulty.make()
      const open = makeSession(broker, { name: "plant", persistence: "durable" }).pipe(
        Effect.provide(log.layer),
        Effect.provideService(SessionStore, store)
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const session = yield* open
        yield* session.awaitReady
        yield* session.subscription("kept", { qos: 1 })
      }))
      yield* broker.refuseSubscribe("kept", 0x87)
      const session = yield* open
      yield* session.awaitReady
      yield* settle
      assert.match(log.take().join("\n"), /^Warn SubscriptionFailed: .*"kept"/)
      assert.deepStrictEqual(Array.from((yield* session.status).subscriptionFailures.keys()), ["kept"])
    }))
})

describe("how much is logged", () => {
  /** A connection that is lost and comes back. */
  const blip = (options: Options, level: "All" | "Error" = "All") =>
    Effect.gen(function*() {
      const log = makeLog(level)
      const broker = yield* makeBroker("memory")
      yield* Effect.scoped(Effect.gen(function*() {
        const session = yield* makeSession(broker, options)
        const events = yield* eventsOf(session)
        yield* nextEvent(events, "Ready")
        yield* broker.cut(1)
        yield* nextEvent(events, "Ready")
      })).pipe(Effect.provide(log.layer))
      return log.take().map((line) => line.replace(/:.*/, ""))
    })

  it.live("is an option of the session", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* blip({}), ["Warn Disconnected", "Info Connected"])
      assert.deepStrictEqual(yield* blip({ log: "off" }), [])
      assert.deepStrictEqual(yield* blip({ log: "all" }), [
        "Debug StateChanged",
        "Debug Connecting",
        "Info Connected",
        "Debug StateChanged",
        "Info Ready",
        "Warn Disconnected",
        "Debug StateChanged",
        "Debug Reconnecting",
        "Debug Connecting",
        "Info Connected",
        "Info Connected",
        "Debug StateChanged",
        "Info Ready",
        "Info Disconnected",
        "Debug StateChanged"
      ])
    }))

  it.effect("is a variable of the environment, one of three words", () =>
    Effect.gen(function*() {
      const read = (MQTT_LOG: string) =>
        SessionOptions.config().parse(
          ConfigProvider.fromEnv({ env: { MQTT_NAME: "plant", MQTT_SERVERS: "mqtt://a", MQTT_LOG } })
        )
      for (const log of ["warnings", "all", "off"]) assert.strictEqual((yield* read(log)).log, log)
      assert.match(String(yield* Effect.flip(read("loud"))), /log/)
    }))

  it.live("is a setting for all sessions above the layer, where their own options say nothing", () =>
    Effect.gen(function*() {
      const off = Effect.provide(SessionLog.layer({ log: "off" }))
      assert.deepStrictEqual(yield* off(blip({})), [])
      assert.deepStrictEqual(yield* off(blip({ log: "warnings" })), ["Warn Disconnected", "Info Connected"])
    }))

  it.live("levels are settings: given ones are written, and None leaves an event out", () =>
    Effect.gen(function*() {
      const lines = yield* blip({}).pipe(
        Effect.provide(SessionLog.layer({ levels: { Ready: "Trace", Disconnected: "None", Connected: "Debug" } }))
      )
      assert.deepStrictEqual(lines, [
        "Debug Connected",
        "Trace Ready",
        "Debug Connected",
        "Debug Connected",
        "Trace Ready"
      ])
    }))

  it.live("the program's own minimum level holds", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* blip({}, "Error"), [])
    }))

  it.live("the interval is a setting", () =>
    Effect.gen(function*() {
      const log = makeLog()
      const broker = yield* makeBroker("memory")
      yield* broker.refuseNetwork
      const session = yield* makeSession(broker, { queue: { messages: 1, policy: "dropNewest" } }).pipe(
        Effect.provide(Layer.merge(log.layer, SessionLog.layer({ interval: "1 millis" })))
      )
      const enqueue = session.enqueue("t", "", { qos: 1 })
      yield* Effect.repeat(Effect.andThen(Effect.exit(enqueue), Effect.sleep(1)), {
        until: () => log.lines.filter(({ annotations }) => annotations["event"] === "MessageDropped").length > 3
      })
    }))

  it.live("log: all also logs the sessions that a manager adds and removes", () =>
    Effect.gen(function*() {
      const log = makeLog("Info")
      const { manager, ready } = yield* makeWorld().pipe(
        Effect.provide(Layer.merge(log.layer, SessionLog.layer({ log: "all" })))
      )
      yield* ready("plant")
      yield* ready("quiet", { log: "off" })
      yield* manager.remove("plant")
      yield* manager.remove("quiet")
      assert.deepStrictEqual(log.take(), [
        "Info Added: added",
        "Info Connected: connected",
        "Info Ready: ready",
        "Info Disconnected: disconnected",
        "Info Removed: removed"
      ])
    }))
})

describe("a line", () => {
  it("has the level that the table in docs/metrics.md says", () => {
    const permanent = new MqttError({ reason: new BadCredentials({}) })
    const passing = new MqttError({ reason: new ConnectionLost({}) })
    const server = "mqtt://localhost:1883"
    const events: ReadonlyArray<SessionEvent> = [
      event("Reconnecting", { attempt: 2, delay: 1, error: permanent }),
      event("Disconnected", { error: permanent }),
      event("StorageDegraded", { error: passing }),
      event("StorageDamaged", { kept: 2, lost: 1, detail: "a torn file" }),
      event("Reconnecting", { attempt: 2, delay: 1, error: passing }),
      event("Disconnected", { error: passing }),
      event("CredentialsNotRefreshed", { error: passing, expiresAt: undefined }),
      event("CertificateExpiring", { certificate: "server", subject: "CN=a", expiresAt: 1, daysLeft: 1 }),
      event("SessionLost", { unacknowledged: 0, subscriptions: 0 }),
      event("MessageDropped", { direction: "inbound", cause: "unclaimed", topic: "t", count: 1 }),
      event("MessageFailed", { error: permanent, count: 1 }),
      event("SubscriptionFailed", { filters: ["t"], consumer: undefined, error: permanent }),
      event("SlowConsumer", { filters: ["t"], absent: [], topic: "t", waiting: 1 }),
      event("ConsumerForgotten", { consumer: "billing", error: permanent }),
      event("MemoryLimitReached", { bytes: 2, limit: 1, isClosing: true }),
      event("ReceiveMaximumExceeded", { receiveMaximum: 2 }),
      event("SharedSubscriptionAtRisk", { filters: ["t"], persistence: "process" }),
      event("Connected", {
        server,
        clientId: "a",
        cleanStart: true,
        sessionPresent: false,
        persistent: true,
        autoReconnect: true,
        subscriptions: 0
      }),
      event("Ready", { subscriptions: 0 }),
      event("CredentialsRefreshed", { expiresAt: 1 }),
      event("Disconnected", { error: undefined }),
      event("SubscriptionRestored", { filters: ["t"] }),
      event("StorageRecovered", {}),
      event("Added", {}),
      event("Removed", {}),
      event("Connecting", { server, attempt: 1 }),
      event("Reconnecting", { attempt: 1, delay: 1, error: permanent }),
      event("StateChanged", { from: "connecting", to: "connected" }),
      event("HandlerFailed", {
        outcome: "skip",
        topic: "t",
        attempt: 1,
        delay: undefined,
        cause: Cause.fail("no"),
        error: undefined,
        count: 1
      })
    ]
    const table = Array.from(
      docs.matchAll(/^\| `(Error|Warn|Info|Debug)` +\| (.*?) +\|$/gm),
      ([, level, tags]) => ({ level: level!, tags: tags!.match(/\b[A-Z]\w+/g)! })
    )
    assert.deepStrictEqual(
      events.map((each) => {
        const line = lineOf(each)
        return [each._tag, "key" in line ? line.line(1).level : line.level]
      }),
      table.flatMap(({ level, tags }) => tags.map((tag) => [tag, level]))
    )
  })

  it("is one line, whatever a peer writes into topics, filters and identifiers", () => {
    const hostile = "a\r\nERROR all is lost\u001b[2J\u202e\u2028\ud800"
    const long = "x".repeat(10_000)
    const texts = [
      event("MessageDropped", { direction: "inbound", cause: "unclaimed", topic: hostile + long, count: 1 }),
      event("SlowConsumer", { filters: [hostile], absent: [hostile], topic: hostile, waiting: 1 }),
      event("StorageDamaged", { kept: 0, lost: 0, detail: hostile })
    ].map((each) => {
      const line = lineOf(each)
      const { annotations, text } = "key" in line ? line.line(1) : line
      return [text, annotations["topic"], annotations["filters"]].flat().join(" ")
    })
    for (const text of texts) {
      assert.notMatch(text, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u)
      assert.isBelow(text.length, 500)
    }
  })

  it.live("never has a password, payload, will, key or certificate, whatever happens", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory", { users: { me: "secret-password" } })
      const log = makeLog()
      const context = Context.make(Transport.Transport, broker.transport)
      yield* Effect.gen(function*() {
        const session = yield* MqttSession.make({
          name: "plant",
          servers: ["mqtts://me:secret-password@broker.test:8883"],
          username: "me",
          password: "secret-password",
          will: { topic: "will", payload: "secret-will" },
          tls: { key: "secret-key", cert: "secret-certificate", passphrase: "secret-passphrase" },
          reconnect: { initialDelay: "1 millis", maxDelay: "1 millis", factor: 1, jitter: "none" },
          queue: { messages: 1, policy: "dropOldest" },
          unclaimed: { hold: "1 millis" },
          log: "all"
        })
        yield* session.awaitReady
        yield* session.publish("t", "secret-payload", { qos: 1 })
        yield* broker.refusePublish("refused", 0x87)
        yield* Effect.exit(session.publish("refused", "secret-payload", { qos: 1 }))
        yield* session.enqueue("refused", "secret-payload", { qos: 1 })
        yield* Effect.exit(session.publish("bad/#", "secret-payload"))
        yield* broker.cut(1)
        yield* broker.refuseConnect(0x86, { times: 1 })
        for (let n = 0; n < 5; n++) yield* Effect.exit(session.enqueue("t", "secret-payload", { qos: 1 }))
        yield* log.until(({ annotations }) => annotations["reason"] === "BadCredentials")
      }).pipe(Effect.scoped, Effect.provideContext(context), Effect.provide(log.layer))
      assert.isAbove(log.lines.length, 5)
      assert.notInclude(JSON.stringify(log.lines), "secret")
    }))

  it.live("that makes a broken logger die harms nothing", () =>
    Effect.gen(function*() {
      const { Logger } = yield* Effect.promise(() => import("effect"))
      const broker = yield* makeBroker("memory")
      const broken = Logger.make(() => {
        throw new Error("no log")
      })
      const session = yield* readySession(broker, { log: "all" }).pipe(Effect.provide(Logger.layer([broken])))
      yield* broker.cut(1)
      yield* session.publish("t", "1", { qos: 1 })
    }))
})
