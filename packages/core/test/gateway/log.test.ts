/**
 * What the log gets to see of sessions, and what it never does.
 */
import { BadCredentials, ConnectionLost, MqttError } from "@effect-mqttx/core/MqttError"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import type { SessionEvent } from "@effect-mqttx/core/SessionEvent"
import * as SessionLog from "@effect-mqttx/core/SessionLog"
import * as SessionManager from "@effect-mqttx/core/SessionManager"
import * as Transport from "@effect-mqttx/core/Transport"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Context, Effect, Layer, Logger, References, Stream } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { makeWorld } from "../manager/support.ts"
import { makeBroker, makeSession, settle } from "../session/support.ts"

interface Line {
  readonly level: string
  readonly text: string
  readonly annotations: Readonly<Record<string, unknown>>
}

/** A logger that keeps everything, whatever the level. */
const makeLog = () => {
  const lines: Array<Line> = []
  const waiters = new Set<() => void>()
  const logger = Logger.make(({ fiber, logLevel, message }) => {
    lines.push({
      level: logLevel,
      text: Array.isArray(message) ? message.join(" ") : String(message),
      annotations: fiber.getRef(References.CurrentLogAnnotations)
    })
    for (const waiter of waiters) waiter()
  })
  return {
    lines,
    layer: Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "All")),
    until: (found: (line: Line) => boolean): Effect.Effect<Line> =>
      Effect.callback((resume) => {
        const look = (): void => {
          const line = lines.find(found)
          if (line === undefined) return
          waiters.delete(look)
          resume(Effect.succeed(line))
        }
        waiters.add(look)
        look()
      })
  }
}

const event = <Tag extends SessionEvent["_tag"]>(
  _tag: Tag,
  fields: Omit<Extract<SessionEvent, { readonly _tag: Tag }>, "_tag" | "session" | "at">,
  at = 0
): SessionEvent => ({ _tag, session: "plant", at, ...fields }) as SessionEvent

const logged = (events: ReadonlyArray<SessionEvent>, options?: SessionLog.SessionLogOptions) =>
  Effect.suspend(() => {
    const { layer, lines } = makeLog()
    return SessionLog.run(Stream.fromIterable(events), options).pipe(Effect.provide(layer), Effect.as(lines))
  })

describe("SessionLog", () => {
  it.live("the library is quiet without it", () =>
    Effect.gen(function*() {
      const log = makeLog()
      yield* Effect.gen(function*() {
        const { broker, manager, ready } = yield* makeWorld()
        yield* ready("plant")
        yield* broker.cut(1)
        yield* broker.awaitConnections(2)
        yield* manager.awaitReady("plant")
        yield* manager.remove("plant")
      }).pipe(Effect.scoped, Effect.provide(log.layer))
      assert.deepStrictEqual(log.lines, [])
    }))

  it.live("says what happens to the sessions of a manager, with session, server and reason", () =>
    Effect.gen(function*() {
      const { broker, manager, options } = yield* makeWorld()
      const log = makeLog()
      yield* Layer.build(
        SessionLog.layer().pipe(
          Layer.provide(Layer.succeed(SessionManager.SessionManager, manager)),
          Layer.provideMerge(log.layer)
        )
      )
      yield* manager.add(options("plant"))
      yield* manager.awaitReady("plant")
      yield* broker.cut(1)
      const lost = yield* log.until(({ annotations }) => annotations.reason === "ConnectionLost")
      assert.deepStrictEqual(
        [lost.level, lost.annotations.session, lost.annotations.server],
        ["Warn", "plant", broker.url]
      )
      yield* manager.awaitReady("plant")
      yield* manager.remove("plant")
      yield* log.until(({ text }) => text === "removed")
      assert.deepStrictEqual(
        log.lines.filter(({ level }) => level === "Info").map(({ text }) => text),
        [
          "added",
          "connected",
          "ready",
          "connected, and the server knew the session",
          "ready",
          "disconnected",
          "removed"
        ]
      )
    }))

  it.live("a permanent failure is an error", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      yield* broker.refuseConnect(0x86)
      const log = makeLog()
      const session = yield* makeSession(broker, { reconnect: { enabled: false } })
      yield* Effect.forkScoped(SessionLog.run(session.events).pipe(Effect.provide(log.layer)))
      yield* Effect.exit(session.awaitReady)
      yield* settle
      const levels = yield* logged([
        event("Reconnecting", {
          attempt: 2,
          delay: 60_000,
          error: yield* Effect.flip(session.awaitReady)
        })
      ])
      assert.strictEqual(levels[0]!.level, "Error")
      assert.strictEqual(levels[0]!.annotations.reason, "BadCredentials")
    }))

  it.effect("levels are those of the table in docs/metrics.md", () =>
    Effect.gen(function*() {
      const permanent = new MqttError({ reason: new BadCredentials({}) })
      const passing = new MqttError({ reason: new ConnectionLost({}) })
      const server = "mqtt://localhost:1883"
      const lines = yield* logged([
        event("Reconnecting", { attempt: 1, delay: 1, error: permanent }),
        event("Disconnected", { error: permanent }),
        event("StorageDegraded", { error: passing }),
        event("StorageDamaged", { kept: 2, lost: 1, detail: "a torn file" }),
        event("Reconnecting", { attempt: 1, delay: 1, error: passing }),
        event("Disconnected", { error: passing }),
        event("SessionLost", { unacknowledged: 0, subscriptions: 0 }),
        event("MessageDropped", { direction: "inbound", cause: "unclaimed", topic: "t", count: 1 }),
        event("SlowConsumer", { filters: ["t"], absent: [], topic: "t", waiting: 1 }),
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
        event("Disconnected", { error: undefined }),
        event("StorageRecovered", {}),
        event("Added", {}),
        event("Removed", {}),
        event("Connecting", { server, attempt: 1 }),
        event("StateChanged", { from: "connecting", to: "connected" }),
        event("HandlerFailed", {
          outcome: "retry",
          topic: "t",
          attempt: 1,
          delay: 1000,
          cause: Cause.fail("no"),
          error: undefined,
          count: 1
        })
      ])
      const docs = Fs.readFileSync(Path.join(import.meta.dirname, "../../../../docs/metrics.md"), "utf8")
      const table = Array.from(
        docs.matchAll(/^\| `(Error|Warn|Info|Debug)` +\| (.*?) +\|$/gm),
        ([, level, events]) => ({
          level: level!,
          events: events!.match(/[A-Z]\w+/g)!
        })
      )
      assert.deepStrictEqual(
        lines.map(({ level }) => level),
        table.flatMap(({ events, level }) => events.map(() => level))
      )
    }))

  it.effect("levels are options, and None leaves an event out", () =>
    Effect.gen(function*() {
      const lines = yield* logged(
        [event("Added", {}), event("Ready", { subscriptions: 2 }), event("Removed", {})],
        { levels: { Added: "None", Ready: "Debug" } }
      )
      assert.deepStrictEqual(lines.map(({ level, text }) => [level, text]), [["Debug", "ready"], ["Info", "removed"]])
    }))

  it.effect("a flood of drops is one line in ten seconds, and none of them is forgotten", () =>
    Effect.gen(function*() {
      const drop = (at: number, count: number) =>
        event("MessageDropped", { direction: "inbound", cause: "streamOverflow", topic: "t", count }, at)
      const lines = yield* logged([drop(0, 5), drop(10, 100), drop(9999, 200), drop(10_000, 1), drop(10_001, 1)])
      assert.deepStrictEqual(lines.map(({ text }) => text), [
        "5 inbound messages dropped",
        "301 inbound messages dropped"
      ])
    }))

  it.live("no password, payload, will, key or certificate is ever logged, whatever happens", () =>
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
          unclaimed: { hold: "1 millis" }
        })
        yield* Effect.forkScoped(SessionLog.run(session.events), { startImmediately: true })
        yield* session.awaitReady
        yield* session.publish("t", "secret-payload", { qos: 1 })
        yield* broker.refusePublish("refused", 0x87)
        yield* Effect.exit(session.publish("refused", "secret-payload", { qos: 1 }))
        yield* Effect.exit(session.publish("bad/#", "secret-payload"))
        yield* broker.cut(1)
        yield* broker.refuseConnect(0x86, { times: 1 })
        for (let n = 0; n < 5; n++) yield* Effect.exit(session.enqueue("t", "secret-payload", { qos: 1 }))
        yield* log.until(({ annotations }) => annotations.reason === "BadCredentials")
      }).pipe(Effect.scoped, Effect.provideContext(context), Effect.provide(log.layer))
      assert.isAbove(log.lines.length, 5)
      assert.notInclude(JSON.stringify(log.lines), "secret")
    }))
})
