/**
 * Credentials as an effect: asked for before each attempt, renewed before they expire.
 */
import { Credentials, type MqttError, MqttSession } from "@effect-mqttx/core"
import * as Transport from "@effect-mqttx/core/Transport"
import type * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Context, Effect, Fiber, Layer, Redacted, Ref, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import { impatient, makeBroker, type Options, settle } from "./support.ts"

const open = (
  broker: ScriptedBroker.Service,
  credentials: Credentials.Provider,
  options?: Options<"none" | "process">
) =>
  MqttSession.make({
    name: "plant",
    servers: [broker.url],
    reconnect: impatient,
    clientId: "plant",
    credentials,
    ...options
  }).pipe(Effect.provideService(Transport.Transport, broker.transport))

const passwordsOf = (broker: ScriptedBroker.Service): ReadonlyArray<string> =>
  broker.received("Connect").map(({ packet }) => `${packet.username} ${new TextDecoder().decode(packet.password)}`)

/** Numbered passwords that live for some milliseconds. */
const numbered = (lifetime?: number) => {
  let count = 0
  return Effect.map(Clock.currentTimeMillis, (now): Credentials.Credentials => ({
    username: "device",
    password: `secret ${++count}`,
    ...(lifetime === undefined ? undefined : { expiresAt: now + lifetime })
  }))
}

describe("before an attempt", () => {
  for (const protocolVersion of [4, 5] as const) {
    it.effect(`asks again for each connection, MQTT ${protocolVersion}`, () =>
      Effect.gen(function*() {
        const broker = yield* makeBroker("memory")
        const session = yield* open(broker, numbered(), { protocolVersion, persistence: "none" })
        yield* session.awaitReady
        yield* broker.cut("plant")
        yield* broker.awaitPacket({ direction: "received", packet: "Connect", nth: 2 }).pipe(
          Effect.race(Effect.forever(TestClock.adjust("1 second")))
        )
        assert.deepStrictEqual(passwordsOf(broker), ["device secret 1", "device secret 2"])
      }))
  }

  it.effect("passes a function the number of the attempt, and why the last one failed", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory", { users: { device: "good" } })
      const attempts: Array<string> = []
      const session = yield* open(
        broker,
        ({ clientId, lastError, session }) => {
          attempts.push(`${session} ${clientId} ${lastError?.reason._tag}`)
          return Effect.succeed({ username: "device", password: lastError === undefined ? "old" : "good" })
        },
        { reconnect: { ...impatient, permanentDelay: 1000 } }
      )
      const ready = yield* Effect.forkChild(
        session.awaitReady.pipe(Effect.retry(Schedule.spaced("1 second")))
      )
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(ready)
      const [first, second] = attempts
      assert.match(first!, /^plant plant undefined$/)
      assert.match(second!, /^plant plant BadCredentials$/)
    }))

  it.effect("takes services from the layer that provides the session", () =>
    Effect.gen(function*() {
      class Vault extends Context.Service<Vault, { readonly password: Effect.Effect<string> }>()("Vault") {}
      const broker = yield* makeBroker("memory")
      const layer = MqttSession.layer(
        {
          name: "plant",
          servers: [broker.url],
          credentials: Effect.gen(function*() {
            return { username: "device", password: yield* (yield* Vault).password }
          })
        }
      )
      // @ts-expect-error the layer needs the vault
      const incomplete: Layer.Layer<MqttSession.MqttSession, MqttError.MqttError> = layer
      assert.strictEqual<unknown>(incomplete, layer)
      yield* Effect.flatMap(MqttSession.MqttSession, (session) => session.awaitReady).pipe(
        Effect.provide(layer.pipe(
          Layer.provide(Layer.succeed(Vault, { password: Effect.succeed("from the vault") })),
          Layer.provide(Layer.succeed(Transport.Transport, broker.transport))
        ))
      )
      assert.deepStrictEqual(passwordsOf(broker), ["device from the vault"])
    }))

  it.effect("adds user properties, and takes bytes and secrets", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* open(
        broker,
        Effect.succeed({
          password: Redacted.make(new Uint8Array([1, 255])),
          userProperties: [["token", "abc"]]
        }),
        { username: "fixed", connectUserProperties: [["app", "plant"]] }
      )
      yield* session.awaitReady
      const { password, properties, username } = broker.received("Connect")[0]!.packet
      assert.strictEqual(username, "fixed")
      assert.deepStrictEqual(password, new Uint8Array([1, 255]))
      assert.deepStrictEqual(properties.userProperties, [["app", "plant"], ["token", "abc"]])
    }))

  it.effect("tries again by the reconnect policy when the provider fails, and says why", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      let calls = 0
      const session = yield* open(
        broker,
        Effect.suspend(() =>
          ++calls < 3
            ? Effect.fail(new Credentials.CredentialsError({ detail: "the vault is sealed" }))
            : Effect.succeed({ username: "device", password: "x" })
        )
      )
      const ready = yield* Effect.forkChild(session.awaitReady)
      const failures = yield* Effect.forkChild(session.events.pipe(
        Stream.filter((event) => event._tag === "Reconnecting"),
        Stream.take(2),
        Stream.runCollect
      ))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(ready)
      for (const { error } of yield* Fiber.join(failures)) {
        assert.deepInclude(error.reason, { _tag: "CredentialsFailed", detail: "the vault is sealed" })
        assert.isTrue(error.isRetryable)
      }
      assert.lengthOf(broker.received("Connect"), 1)
    }))

  it.effect("fails what waits when the provider says that it is permanent, dies, hangs, or answers nonsense", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const cases: ReadonlyArray<readonly [unknown, string]> = [
        [Effect.fail(new Credentials.CredentialsError({ detail: "revoked", isRetryable: false })), "CredentialsFailed"],
        [Effect.die(new Error("boom")), "CredentialsFailed"],
        [() => {
          throw new Error("boom")
        }, "CredentialsFailed"],
        [() => "no effect", "CredentialsFailed"],
        [Effect.succeed({ password: 7 }), "InvalidOptions"],
        [Effect.succeed({ pasword: "typo" }), "InvalidOptions"],
        [Effect.succeed(undefined), "InvalidOptions"]
      ]
      for (const [index, [credentials, tag]] of cases.entries()) {
        const session = yield* open(broker, credentials as never, { name: `s${index}`, clientId: `s${index}` })
        const error = yield* Effect.flip(session.awaitReady)
        assert.strictEqual(error.reason._tag, tag, String(index))
      }
      const hanging = yield* open(broker, Effect.never, { name: "hanging", connectTimeout: 5000 })
      yield* TestClock.adjust("5 seconds")
      assert.deepInclude((yield* hanging.status).lastError?.reason, { _tag: "Timeout", operation: "credentials" })
      assert.lengthOf(broker.received("Connect"), 0)
    }))

  it.effect("refuses what is neither an effect nor a function", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      for (const credentials of [7, "secret", { username: "x" }, null]) {
        const error = yield* Effect.flip(open(broker, credentials as never))
        assert.strictEqual(error.reason._tag, "InvalidOptions")
        assert.notInclude(error.message, "secret")
      }
    }))
})

describe("before they expire", () => {
  for (const protocolVersion of [4, 5] as const) {
    it.effect(`one hour of tokens that live for five minutes: nothing is lost, MQTT ${protocolVersion}`, () =>
      Effect.gen(function*() {
        const broker = yield* makeBroker("memory", { record: true })
        const session = yield* open(broker, numbered(300_000), { protocolVersion })
        const received = yield* Ref.make<ReadonlyArray<string>>([])
        const subscription = yield* session.subscription("out/#", { qos: 1 })
        yield* Effect.forkScoped(
          Stream.runForEach(subscription.messages, ({ text }) => Ref.update(received, (all) => [...all, text]))
        )
        yield* session.awaitReady
        let sent = 0
        for (let second = 0; second < 3600; second += 5) {
          yield* session.enqueue("in/x", String(sent), { qos: 1 })
          yield* broker.publish("out/x", String(sent++), { qos: 1 })
          // What is in flight needs turns of the event loop, which TestClock does not wait for.
          yield* settle
          yield* TestClock.adjust("5 seconds")
        }
        const connects = broker.received("Connect")
        // Renewed at 80 to 90 % of five minutes.
        assert.isAtLeast(connects.length, 13)
        assert.isAtMost(connects.length, 16)
        assert.deepStrictEqual(new Set(passwordsOf(broker)).size, connects.length)
        const inbound = broker.published.filter(({ topic }) => topic === "in/x").map(({ payload }) =>
          new TextDecoder().decode(payload)
        )
        assert.deepStrictEqual(inbound, Array.from({ length: sent }, (_, index) => String(index)))
        assert.deepStrictEqual(yield* Ref.get(received), inbound)
      }))
  }

  it.effect("keeps the connection while new ones cannot be fetched, tries again, and reports it", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const next = numbered(100_000)
      let isSealed = false
      const session = yield* open(
        broker,
        Effect.suspend(() => isSealed ? Effect.fail(new Credentials.CredentialsError({ detail: "sealed" })) : next)
      )
      yield* session.awaitReady
      isSealed = true
      const told = yield* Effect.forkChild(
        session.events.pipe(
          Stream.filter(({ _tag }) => _tag.startsWith("Credentials")),
          Stream.map(({ _tag }) => _tag),
          Stream.takeUntil((tag) => tag === "CredentialsRefreshed"),
          Stream.runCollect
        )
      )
      yield* TestClock.adjust("95 seconds")
      assert.strictEqual((yield* session.status).state, "connected")
      assert.lengthOf(broker.received("Connect"), 1)
      isSealed = false
      yield* TestClock.adjust("60 seconds")
      const tags = yield* Fiber.join(told)
      assert.isAbove(tags.length, 1)
      assert.deepStrictEqual(passwordsOf(broker), ["device secret 1", "device secret 2"])
    }))

  it.effect("does not connect again and again for credentials that expire at once", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* open(broker, numbered(1))
      yield* session.awaitReady
      yield* TestClock.adjust("60 seconds")
      assert.isAtMost(broker.received("Connect").length, 13)
    }))

  it.effect("renews on request, by a planned reconnect, and succeeds when the new ones are in force", () =>
    Effect.gen(function*() {
      const broker = yield* makeBroker("memory")
      const session = yield* open(broker, numbered())
      yield* session.awaitReady
      yield* session.refreshCredentials
      assert.deepStrictEqual(passwordsOf(broker), ["device secret 1", "device secret 2"])
      const [closed] = broker.received("Disconnect")
      assert.strictEqual(closed?.packet.reasonCode, 0)
    }))
})
