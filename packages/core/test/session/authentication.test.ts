/**
 * Enhanced authentication (MQTT 4.12): the exchange before CONNACK, and renewals while the connection is in use.
 */
import { Authentication, MqttSession } from "@effect-mqttx/core"
import * as Transport from "@effect-mqttx/core/Transport"
import type * as BrokerCore from "@effect-mqttx/testing/BrokerCore"
import type * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { impatient, makeBroker, type Options } from "./support.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (data: Uint8Array | undefined): string => data === undefined ? "none" : new TextDecoder().decode(data)

const open = (
  broker: ScriptedBroker.Service,
  authentication: Authentication.Authenticator,
  options?: Options<"none" | "process">
) =>
  MqttSession.make({ name: "plant", servers: [broker.url], reconnect: impatient, authentication, ...options }).pipe(
    Effect.provideService(Transport.Transport, broker.transport)
  )

/** A server that asks for the reverse of its challenge, and proves itself with "server". */
const reversing =
  (proof = "server") => (request: BrokerCore.AuthenticationRequest): BrokerCore.AuthenticationAnswer => {
    if (request.method !== "REVERSE") return { _tag: "Refuse", reasonCode: 0x8c }
    if (request.round === 1) return { _tag: "Continue", data: bytes("abc") }
    return textOf(request.data) === "cba"
      ? { _tag: "Accept", data: bytes(proof) }
      : { _tag: "Refuse", reasonCode: 0x87 }
  }

const reverse = (data: Uint8Array | undefined) => Effect.succeed(bytes(textOf(data).split("").reverse().join("")))

describe("before CONNACK", () => {
  it.effect("answers the challenge of the server, and is ready [MQTT5-4.12.0-3] [MQTT5-4.12.0-5]", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory", { authenticateEnhanced: reversing() })
      const session = yield* open(broker, Authentication.challenge("REVERSE", reverse, bytes("hello")))
      yield* session.awaitReady
      const [answer] = broker.received("Auth")
      assert.deepStrictEqual(answer?.packet, {
        _tag: "Auth",
        reasonCode: 0x18,
        properties: { authenticationMethod: "REVERSE", authenticationData: bytes("cba") }
      })
      assert.deepInclude(broker.received("Connect")[0]!.packet.properties, {
        authenticationMethod: "REVERSE",
        authenticationData: bytes("hello")
      })
    }))

  it.effect("waits for an answer that takes time, and reads nothing of the server meanwhile", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory", { authenticateEnhanced: reversing() })
      const session = yield* open(
        broker,
        Authentication.challenge("REVERSE", (data) => Effect.delay(reverse(data), "3 seconds"))
      )
      const ready = yield* Effect.forkChild(session.awaitReady)
      yield* broker.awaitPacket({ direction: "sent", packet: "Auth" })
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(ready)
    }))

  it.effect("fails when the server refuses the answer, as a refused password does", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory", { authenticateEnhanced: reversing() })
      const session = yield* open(broker, Authentication.challenge("REVERSE", () => Effect.succeed(bytes("?"))))
      const error = yield* Effect.flip(session.awaitReady)
      assert.strictEqual(error.reason._tag, "NotAuthorized")
      const other = yield* open(broker, Authentication.challenge("OTHER", reverse), { clientId: "other" })
      assert.strictEqual((yield* Effect.flip(other.awaitReady)).reason._tag, "BadCredentials")
    }))

  it.effect("connects only to a server that proves itself, and delivers nothing before the proof", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory", { authenticateEnhanced: reversing("impostor") })
      const authentication: Authentication.Authenticator = {
        method: "REVERSE",
        initiate: () =>
          Effect.succeed({
            data: undefined,
            respond: reverse,
            verify: (data) =>
              Effect.delay(Effect.void, "1 second").pipe(Effect.andThen(
                textOf(data) === "server"
                  ? Effect.void
                  : Effect.fail(
                    new Authentication.CredentialsError({ detail: "not the server", isRetryable: false })
                  )
              ))
          })
      }
      const session = yield* open(broker, authentication)
      const failure = yield* Effect.forkChild(Effect.flip(session.awaitReady))
      yield* broker.awaitPacket({ direction: "sent", packet: "Connack" })
      assert.notStrictEqual((yield* session.status).state, "connected")
      yield* TestClock.adjust("1 second")
      assert.deepInclude((yield* Fiber.join(failure)).reason, { _tag: "CredentialsFailed", detail: "not the server" })
    }))

  it.effect("ends the attempt when the program's answer fails, dies, or is not there", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory", { authenticateEnhanced: reversing() })
      const failing: ReadonlyArray<Authentication.Authenticator> = [
        Authentication.challenge(
          "REVERSE",
          () => Effect.fail(new Authentication.CredentialsError({ detail: "no key", isRetryable: false }))
        ),
        Authentication.challenge("REVERSE", () => Effect.die(new Error("boom"))),
        Authentication.token("REVERSE", Effect.succeed({ bytes: bytes("token") }))
      ]
      for (const [index, authentication] of failing.entries()) {
        const session = yield* open(broker, authentication, { name: `s${index}`, clientId: `s${index}` })
        const error = yield* Effect.flip(session.awaitReady)
        assert.strictEqual(error.reason._tag, "CredentialsFailed")
        assert.strictEqual(error.category, "authentication")
        assert.isFalse(error.isRetryable)
      }
    }))

  it.effect("is refused for MQTT 3.1.1, which has none", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const error = yield* Effect.flip(
        open(broker, Authentication.challenge("REVERSE", reverse), { protocolVersion: 4 })
      )
      assert.strictEqual(error.reason._tag, "NotSupported")
    }))
})

describe("on the open connection", () => {
  /** A server that accepts one token after the other. */
  const tokens = () => {
    const seen: Array<string> = []
    return {
      seen,
      authenticateEnhanced: (request: BrokerCore.AuthenticationRequest): BrokerCore.AuthenticationAnswer => {
        seen.push(`${request.isRenewal ? "renewal" : "connect"} ${textOf(request.data)}`)
        return textOf(request.data) === "bad" ? { _tag: "Refuse", reasonCode: 0x87 } : { _tag: "Accept" }
      }
    }
  }

  const expiring = (next: (n: number) => string) => {
    let count = 0
    return Authentication.token(
      "CUSTOM-JWT",
      Effect.map(Clock.currentTimeMillis, (now) => ({ bytes: bytes(next(++count)), expiresAt: now + 600_000 }))
    )
  }

  it.effect("sends a new token before the old one expires, while messages flow, and stays connected", () =>
    Effect.gen(function*() {
      const server = tokens()
      const broker = yield* makeBroker("memory", { authenticateEnhanced: server.authenticateEnhanced })
      const session = yield* open(broker, expiring((n) => `token ${n}`))
      yield* session.awaitReady
      const events = yield* Effect.forkChild(
        session.events.pipe(
          Stream.filter(({ _tag }) => _tag === "CredentialsRefreshed"),
          Stream.take(1),
          Stream.runCollect
        )
      )
      for (let minute = 0; minute < 10; minute++) {
        yield* TestClock.adjust("1 minute")
        yield* session.publish("a/b", String(minute), { qos: 1 })
      }
      assert.deepStrictEqual(server.seen.slice(0, 2), ["connect token 1", "renewal token 2"])
      assert.lengthOf(yield* Fiber.join(events), 1)
      assert.lengthOf(broker.received("Connect"), 1)
      assert.lengthOf(broker.received("Publish"), 10)
    }))

  it.effect("renews on request, by the method of CONNECT [MQTT5-4.12.1-1]", () =>
    Effect.gen(function*() {
      const server = tokens()
      const broker = yield* makeBroker("memory", { authenticateEnhanced: server.authenticateEnhanced })
      const session = yield* open(broker, expiring((n) => `token ${n}`))
      yield* session.awaitReady
      yield* session.refreshCredentials
      assert.deepStrictEqual(server.seen, ["connect token 1", "renewal token 2"])
      assert.deepStrictEqual(broker.received("Auth").map(({ packet }) => [packet.reasonCode, packet.properties]), [
        [0x19, { authenticationMethod: "CUSTOM-JWT", authenticationData: bytes("token 2") }]
      ])
    }))

  it.effect("ends with DISCONNECT when this client does not accept the result [MQTT5-4.12.1-2]", () =>
    Effect.gen(function*() {
      const server = tokens()
      const broker = yield* makeBroker("memory", { authenticateEnhanced: server.authenticateEnhanced })
      let count = 0
      const session = yield* open(broker, {
        method: "CUSTOM-JWT",
        initiate: () =>
          Effect.sync(() =>
            ++count === 1
              ? { data: bytes("good") }
              : {
                data: bytes("good"),
                verify: () => Effect.fail(new Authentication.CredentialsError({ detail: "no proof" }))
              }
          )
      })
      yield* session.awaitReady
      const error = yield* Effect.flip(session.refreshCredentials)
      assert.deepInclude(error.reason, { _tag: "CredentialsFailed", detail: "no proof" })
      yield* broker.awaitPacket({ direction: "received", packet: "Disconnect" })
    }))

  it.effect("loses the connection when the server refuses the new token, and the request fails", () =>
    Effect.gen(function*() {
      const server = tokens()
      const broker = yield* makeBroker("memory", { authenticateEnhanced: server.authenticateEnhanced })
      const session = yield* open(broker, expiring((n) => n === 2 ? "bad" : `token ${n}`))
      yield* session.awaitReady
      const error = yield* Effect.flip(session.refreshCredentials)
      assert.strictEqual(error.reason._tag, "NotAuthorized")
    }))

  it.effect("ends a connection whose server does not answer within the connect timeout", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory", {
        authenticateEnhanced: ({ isRenewal }) => isRenewal ? { _tag: "Continue" } : { _tag: "Accept" }
      })
      const credentialsOf = (): Effect.Effect<Authentication.Exchange> =>
        Effect.succeed({ data: undefined, respond: () => Effect.never })
      const session = yield* open(broker, { method: "SLOW", initiate: credentialsOf }, { connectTimeout: 5000 })
      yield* session.awaitReady
      const failed = yield* Effect.forkChild(Effect.flip(session.refreshCredentials))
      yield* broker.awaitPacket({ direction: "sent", packet: "Auth" })
      yield* TestClock.adjust("5 seconds")
      assert.deepInclude((yield* Fiber.join(failed)).reason, { _tag: "Timeout", operation: "authentication" })
    }))

  it.effect("takes an AUTH for which it did not ask as a protocol error", () =>
    Effect.gen(function*() {
      const server = tokens()
      const broker = yield* makeBroker("memory", { authenticateEnhanced: server.authenticateEnhanced })
      const session = yield* open(broker, expiring((n) => `token ${n}`), { clientId: "plant" })
      yield* session.awaitReady
      const lost = yield* Effect.forkChild(
        session.events.pipe(Stream.filter(({ _tag }) => _tag === "Disconnected"), Stream.take(1), Stream.runCollect)
      )
      yield* broker.sendPacket("plant", {
        _tag: "Auth",
        reasonCode: 0x18,
        properties: { authenticationMethod: "CUSTOM-JWT" }
      })
      const [event] = yield* Fiber.join(lost)
      assert.strictEqual(event?._tag === "Disconnected" && event.error?.reason._tag, "ProtocolViolation")
    }))
})
