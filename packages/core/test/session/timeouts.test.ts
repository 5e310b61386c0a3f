/**
 * What an error of the kind "took too long" tells of what the session knows.
 */
import { ConnectionRefused, type MqttError, Timeout } from "@effect-mqttx/core/MqttError"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as PayloadCodec from "@effect-mqttx/core/PayloadCodec"
import * as RequestResponse from "@effect-mqttx/core/RequestResponse"
import * as SessionManager from "@effect-mqttx/core/SessionManager"
import { SessionStore } from "@effect-mqttx/core/SessionStore"
import { Fault } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Faulty from "../../../../test/support/faultyStore.ts"
import { freePort } from "../../../../test/support/freePort.ts"
import { makeBroker, makeSession, readySession } from "./support.ts"

/** A session that cannot connect, has tried, and does not try again soon. */
const refused = Effect.gen(function*() {
  const port = yield* freePort
  const options = {
    name: "plant",
    servers: [`mqtt://127.0.0.1:${port}`],
    reconnect: { initialDelay: "1 hour", maxDelay: "1 hour" },
    queue: { messages: 1 },
    drainTimeout: "50 millis"
  } as const
  return { options, why: `the session is not connected: connect ECONNREFUSED 127.0.0.1:${port}` }
})

const untilRefused = (session: MqttSession.Session) =>
  Effect.repeat(Effect.andThen(Effect.yieldNow, session.status), {
    until: ({ lastError }) => lastError !== undefined
  })

const assertLate = (error: MqttError, operation: string, why: string) => {
  assert.instanceOf(error.reason, Timeout)
  assert.strictEqual(error.reason.message, `${operation} took longer than 50 ms; ${why}`)
  assert.isTrue(error.isTimeout)
}

/** The cause is the failure that the session knows, and behind it the error of the socket. */
const assertCause = (error: MqttError) => {
  const known = error.cause as MqttError
  assert.instanceOf(known.reason, ConnectionRefused)
  assert.strictEqual((known.cause as { readonly code?: string }).code, "ECONNREFUSED")
}

const Calibrate = RequestResponse.template("calibrate/:room", {
  request: PayloadCodec.json(Schema.Struct({ offset: Schema.Finite })),
  response: PayloadCodec.json(Schema.Struct({ ok: Schema.Boolean }))
})

describe("a time limit that ends without a connection", () => {
  it.live("publish says why the session is not connected, in its words and as its cause", () =>
    Effect.gen(function*() {
      const { options, why } = yield* refused
      const session = yield* MqttSession.make(options)
      yield* untilRefused(session)
      const error = yield* Effect.flip(session.publish("t", "1", { qos: 1, timeout: "50 millis" }))
      assertLate(error, "publish", why)
      assertCause(error)
    }))

  it.live("enqueue gives up after its timeout, or the session's, when the queue has no room", () =>
    Effect.gen(function*() {
      const { options, why } = yield* refused
      const session = yield* MqttSession.make({ ...options, publishTimeout: "50 millis" })
      yield* untilRefused(session)
      yield* session.enqueue("t", "1", { qos: 1 })
      for (const given of [{ timeout: "50 millis" as const }, {}]) {
        const error = yield* Effect.flip(session.enqueue("t", "2", { qos: 1, ...given }))
        assertLate(error, "enqueue", why)
        assertCause(error)
      }
      assert.strictEqual((yield* session.metrics).queuedMessages, 1)
    }))

  it.live("a manager's awaitReady says so", () =>
    Effect.gen(function*() {
      const { options, why } = yield* refused
      const manager = yield* SessionManager.make({ sessions: [options] })
      yield* Effect.flatMap(manager.get("plant"), untilRefused)
      const error = yield* Effect.flip(manager.awaitReady("plant", { timeout: "50 millis" }))
      assertLate(error, "becoming ready", why)
      assertCause(error)
    }))

  it.live("so does a request", () =>
    Effect.gen(function*() {
      const { options, why } = yield* refused
      const session = yield* MqttSession.make(options)
      yield* untilRefused(session)
      const ask = Calibrate.request(session, { room: "a" }, { offset: 1 }, { timeout: "50 millis" })
      const error = yield* Effect.flip(ask)
      assertLate(error, "request", why)
      assertCause(error)
    }))

  it.live("before the first failure it says which server is being tried", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      yield* broker.inject(Fault.withhold({ direction: "sent", packet: "Connack" }))
      const session = yield* makeSession(broker, { drainTimeout: "50 millis" })
      const error = yield* Effect.flip(session.publish("t", "1", { timeout: "50 millis" }))
      assertLate(error, "publish", `the session is not connected: it is trying ${broker.url}`)
      assert.isUndefined(error.cause)
    }))
})

describe("a time limit that ends with a connection", () => {
  it.live("says that the store fails", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const faulty = Faulty.make()
      const session = yield* readySession(broker, { persistence: "durable", drainTimeout: "50 millis" }).pipe(
        Effect.provideService(SessionStore, faulty.store)
      )
      faulty.fail("full")
      const error = yield* Effect.flip(session.publish("t", "1", { qos: 1, timeout: "50 millis" }))
      assertLate(error, "publish", "the session store failed (full): it is full")
      assert.strictEqual((error.cause as MqttError).reason._tag, "StorageFailed")
    }))

  it.live("says no more than that when nothing else is known", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      yield* broker.inject(Fault.withhold({ direction: "sent", packet: "Puback" }))
      yield* broker.inject(Fault.withhold({ direction: "sent", packet: "Suback" }))
      const session = yield* readySession(broker, {
        subscribeTimeout: "50 millis",
        drainTimeout: "50 millis"
      })
      const publish = yield* Effect.flip(session.publish("t", "1", { qos: 1, timeout: "50 millis" }))
      assert.strictEqual(publish.reason.message, "publish took longer than 50 ms")
      const subscribe = yield* Effect.flip(session.subscription("t"))
      assert.strictEqual(subscribe.reason.message, "subscribe took longer than 50 ms")
    }))
})
