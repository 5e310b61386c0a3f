/**
 * Tokens and certificates that expire, and a server that cuts connections after a day, all under load and in simulated
 * time: nothing is lost, and the session connects when it is planned, and not otherwise.
 */
import { Authentication, type Credentials, MqttSession } from "@effect-mqttx/core"
import * as Transport from "@effect-mqttx/core/Transport"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Redacted, Stream } from "effect"
import { TestClock } from "effect/testing"
import { impatient, settle } from "./support.ts"

const minutes = (count: number): number => count * 60_000

const payloads = (broker: ScriptedBroker.Service): ReadonlyArray<string> =>
  broker.published.filter(({ topic }) => topic === "in").map(({ payload }) => new TextDecoder().decode(payload))

/** Sends in both directions each `step`, and answers what has arrived at the session. */
const underLoad = Effect.fnUntraced(function*(
  broker: ScriptedBroker.Service,
  session: MqttSession.Session,
  duration: number,
  step: number
) {
  const received: Array<string> = []
  const { messages } = yield* session.subscription("out", { qos: 1 })
  yield* Effect.forkScoped(Stream.runForEach(messages, ({ text }) => Effect.sync(() => received.push(text))))
  let sent = 0
  for (let passed = 0; passed < duration; passed += step) {
    yield* session.enqueue("in", String(sent), { qos: 1 })
    yield* broker.publish("out", String(sent++), { qos: 1 })
    // What is in flight needs turns of the event loop, which TestClock does not wait for.
    yield* settle
    yield* TestClock.adjust(step)
  }
  yield* settle
  const all = Array.from({ length: sent }, (_, index) => String(index))
  assert.deepStrictEqual(payloads(broker), all)
  assert.deepStrictEqual(received, all)
})

describe("one hour under load", () => {
  for (const protocolVersion of [4, 5] as const) {
    it.effect(
      `with tokens of five minutes and certificates of ten loses nothing, and connects as planned, MQTT ${protocolVersion}`,
      () =>
        Effect.gen(function*() {
          const broker = yield* ScriptedBroker.makeMemory()
          const clock = yield* Clock.Clock
          /** What the server is shown at each connect: when, with which certificate, and until when it accepts both. */
          const shown: Array<{ readonly at: number; readonly cert: string; readonly expiresAt: number }> = []
          // Another program renews the certificate two minutes before it expires.
          let certificate = { number: 0, expiresAt: 0 }
          const credentials = Effect.map(Clock.currentTimeMillis, (now): Credentials.Credentials => {
            if (certificate.expiresAt - now < minutes(2)) {
              certificate = { number: certificate.number + 1, expiresAt: now + minutes(10) }
            }
            return {
              username: "device",
              password: `until ${now + minutes(5)}`,
              tls: { cert: `certificate ${certificate.number}, until ${certificate.expiresAt}`, key: "key" },
              expiresAt: Math.min(now + minutes(5), certificate.expiresAt)
            }
          })
          const until = (text: string): number => Number(/until (\d+)/.exec(text)![1])
          const transport: Transport.Transport = {
            open: (request, handlers) =>
              Effect.andThen(
                Effect.sync(() => {
                  const now = clock.currentTimeMillisUnsafe()
                  const cert = String(request.tls?.cert)
                  assert.strictEqual(Redacted.value(request.tls!.key!), "key")
                  assert.isAbove(until(cert), now)
                  shown.push({ at: now, cert, expiresAt: until(cert) })
                }),
                broker.transport.open(request, handlers)
              )
          }
          const session = yield* MqttSession.make({
            name: "plant",
            clientId: "plant",
            servers: ["mqtts://broker.test"],
            protocolVersion,
            reconnect: impatient,
            credentials
          }).pipe(Effect.provideService(Transport.Transport, transport))
          yield* session.awaitReady
          yield* underLoad(broker, session, minutes(60), 5000)
          const tokens = broker.received("Connect").map(({ packet }) =>
            until(new TextDecoder().decode(packet.password))
          )
          assert.strictEqual(tokens.length, shown.length)
          if (protocolVersion === 4) {
            // There a session for the life of the process begins with a clean connect of its own.
            tokens.shift()
            shown.shift()
          }
          const lives = shown.map(({ at, expiresAt }, index) => Math.min(expiresAt, tokens[index]!) - at)
          for (const [index, { at }] of shown.entries()) {
            assert.isAbove(lives[index]!, 0)
            if (index === 0) continue
            // Planned at 80 to 90 % of what was left of token and certificate, and seen with the next step.
            const used = at - shown[index - 1]!.at
            assert.isAtLeast(used, lives[index - 1]! * 0.8 - 1)
            assert.isAtMost(used, lives[index - 1]! * 0.9 + 5000)
          }
          assert.isAtLeast(shown.length, 13)
          assert.isAtMost(shown.length, 24)
          assert.isAtLeast(new Set(shown.map(({ cert }) => cert)).size, 7)
        }),
      180_000
    )
  }
})

describe("a day under load", () => {
  it.effect(
    "with tokens that are renewed on the connection every five minutes connects again once, after the server's cut",
    () =>
      Effect.gen(function*() {
        const renewals: Array<boolean> = []
        const broker = yield* ScriptedBroker.makeMemory({
          profile: "aws-iot",
          throttling: false,
          authenticateEnhanced: ({ isRenewal }) => {
            renewals.push(isRenewal)
            return { _tag: "Accept" }
          }
        })
        const token = Effect.map(Clock.currentTimeMillis, (now) => ({
          bytes: new TextEncoder().encode(`until ${now}`),
          expiresAt: now + minutes(5)
        }))
        const session = yield* MqttSession.make({
          name: "plant",
          clientId: "plant",
          servers: ["wss://broker.test/mqtt"],
          reconnect: impatient,
          authentication: Authentication.token("TOKEN", token)
        }).pipe(Effect.provideService(Transport.Transport, broker.transport))
        yield* session.awaitReady
        yield* underLoad(broker, session, minutes(25 * 60), minutes(1))
        assert.lengthOf(broker.received("Connect"), 2)
        const onConnection = renewals.filter((isRenewal) => isRenewal).length
        // Each after 80 to 90 % of five minutes.
        assert.isAtLeast(onConnection, 25 * 60 / 4.5 - 2)
        assert.isAtMost(onConnection, 25 * 60 / 4)
      }),
    180_000
  )
})
