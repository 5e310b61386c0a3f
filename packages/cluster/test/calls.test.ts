import { ClusterSession, type ClusterSessionError } from "@effect-mqttx/cluster"
import { MqttError, MqttSession, SessionOptions, SessionStore } from "@effect-mqttx/core"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Deferred, Effect, Layer, Stream } from "effect"
import { TestRunner } from "effect/cluster"
import { quiet } from "./support/nodes.ts"

class Sites extends ClusterSession.Service<Sites>()("sites") {}

const runner = Layer.merge(TestRunner.layer, SessionStore.layerMemory)

/** One node, whose calls cross the wire all the same. */
const test = <E>(
  input: (broker: ScriptedBroker.Service) => ClusterSession.SessionsInput,
  program: (
    sites: ClusterSession.Sessions,
    broker: ScriptedBroker.Service
  ) => Effect.Effect<void, E>
) =>
  Effect.gen(function*() {
    const broker = yield* ScriptedBroker.ScriptedBroker
    const node = Sites.layer(input(broker)).pipe(Layer.provide(runner))
    yield* Effect.flatMap(Sites, (sites) => program(sites, broker)).pipe(Effect.provide(Layer.fresh(node)))
  }).pipe(Effect.scoped, Effect.provide(ScriptedBroker.layer()), Effect.timeout("30 seconds"), quiet)

const plain = (broker: ScriptedBroker.Service): ClusterSession.SessionsInput => ({
  options: () => ({ servers: [broker.url], log: "off" })
})

const flipped = <A>(effect: Effect.Effect<A, MqttError.MqttError | ClusterSessionError.ClusterSessionError>) =>
  Effect.map(Effect.flip(effect), (error) => MqttError.isMqttError(error) ? error.reason._tag : error.kind)

describe("calls", () => {
  it.live("a call opens the session of a client identifier, publishes, and close ends it", () => {
    const received = Deferred.makeUnsafe<string>()
    const subscribed = Deferred.makeUnsafe<void>()
    return test((broker) => ({
      ...plain(broker),
      run: (session) =>
        session.consume("in/#", (message) => Deferred.succeed(received, `${message.session} ${message.text}`), {
          qos: 2,
          consumer: "in",
          onSubscribed: () => Deferred.succeed(subscribed, undefined)
        })
    }), (sites, broker) =>
      Effect.gen(function*() {
        const receipt = yield* sites.publish("site-7", "out/a", "hello", { qos: 2 })
        // No matching subscribers (MQTT 5, 3.4.2.1).
        assert.strictEqual(receipt.reasonCode, 0x10)
        const { clientId, node, state } = yield* sites.status("site-7")
        assert.deepStrictEqual({ clientId, node, state }, {
          clientId: "site-7",
          node: "localhost:34431",
          state: "connected"
        })
        assert.isTrue(broker.published.some(({ topic }) => topic === "out/a"))
        yield* Deferred.await(subscribed)
        yield* broker.publish("in/a", "order", { qos: 2 })
        assert.strictEqual(yield* Deferred.await(received), "site-7 order")
        yield* sites.close("site-7")
        yield* broker.awaitNoConnections
      }))
  })

  it.live("every option of publish arrives", () =>
    test(plain, (sites, broker) =>
      Effect.gen(function*() {
        const properties = {
          payloadFormatIndicator: 1,
          messageExpiryInterval: 60,
          contentType: "text/plain",
          responseTopic: "answers",
          correlationData: Uint8Array.of(1, 2, 3),
          userProperties: [["a", "1"], ["a", "2"]]
        } as const
        const session = yield* MqttSession.make({ name: "observer", servers: [broker.url], log: "off" })
        const { messages } = yield* session.subscription("all", { qos: 2, retainAsPublished: true })
        yield* sites.enqueue("site-1", "all", Uint8Array.of(65, 0, 255), {
          qos: 1,
          retain: true,
          properties,
          topicAlias: 3,
          timeout: "10 seconds",
          expiresAfter: "1 minute"
        })
        const [message] = yield* Stream.runCollect(Stream.take(messages, 1))
        assert.deepStrictEqual(Uint8Array.from(message!.payload), Uint8Array.of(65, 0, 255))
        assert.isTrue(message!.retain)
        const { messageExpiryInterval, userProperties, ...others } = message!.properties
        assert.isAtMost(messageExpiryInterval!, 60)
        assert.deepStrictEqual(userProperties, properties.userProperties)
        assert.strictEqual(others.contentType, "text/plain")
        assert.strictEqual(others.responseTopic, "answers")
        assert.deepStrictEqual(Uint8Array.from(others.correlationData!), properties.correlationData)
        assert.strictEqual(others.payloadFormatIndicator, 1)
        const aliases = broker.published.filter(({ topic }) => topic === "all")
        assert.strictEqual(aliases.length, 1)
      }).pipe(Effect.scoped)))

  it.live("a message that can never be published fails at the caller", () =>
    test(plain, (sites, broker) =>
      Effect.gen(function*() {
        assert.strictEqual(yield* flipped(sites.publish("site-1", "a/#", "x")), "InvalidTopic")
        assert.strictEqual(yield* flipped(sites.publish("site-1", "a", 1 as never)), "InvalidPayload")
        assert.strictEqual(yield* flipped(sites.publish("site-1", "a", "x", { qos: 3 as never })), "InvalidOptions")
        for (const id of ["", 7 as never, "x".repeat(256)]) {
          assert.strictEqual(yield* flipped(sites.status(id)), "InvalidOptions")
        }
        assert.strictEqual(broker.connections.length, 0)
      })))

  it.live("an invalid identifier is reported to the caller, and nothing is kept open", () =>
    test((broker) => ({
      options: (clientId) =>
        clientId.startsWith("site-")
          ? { servers: [broker.url], log: "off" }
          : Effect.fail(new MqttError.MqttError({ reason: new MqttError.SessionNotFound({ session: clientId }) }))
    }), (sites) =>
      Effect.gen(function*() {
        assert.strictEqual(yield* flipped(sites.start("nobody")), "SessionNotFound")
        yield* sites.start("site-1")
      })))

  it.live("wrong options are reported to the caller, and the next call asks for them again", () => {
    let asked = 0
    return test((broker) => ({
      options: () => asked++ === 0 ? { servers: [] } : { servers: [broker.url], log: "off" }
    }), (sites) =>
      Effect.gen(function*() {
        assert.strictEqual(yield* flipped(sites.start("site-1")), "InvalidOptions")

        yield* sites.start("site-1").pipe(Effect.eventually)
        assert.strictEqual(asked, 2)
      }))
  })

  it.live("the time limit of a call includes the wait for its owner", () =>
    test(
      (broker) => ({ options: () => Effect.as(Effect.never, { servers: [broker.url] }) }),
      (sites) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(sites.enqueue("site-1", "a", "x", { timeout: "50 millis" }))
          assert.isTrue(MqttError.isMqttError(error) && error.isTimeout)
        })
    ))

  it.live("handlers that fail run again, and the session stays open", () => {
    let runs = 0
    const twice = Deferred.makeUnsafe<void>()
    return test((broker) => ({
      ...plain(broker),
      run: () => ++runs === 1 ? Effect.fail("once") : Effect.andThen(Deferred.succeed(twice, undefined), Effect.never)
    }), (sites, broker) =>
      Effect.gen(function*() {
        yield* sites.publish("site-1", "a", "x", { qos: 1 })
        yield* Deferred.await(twice)
        assert.strictEqual(broker.connections.length, 1)
      }))
  })

  it.live("an incomplete definition is refused where the layer is built", () =>
    Effect.gen(function*() {
      const reasonOf = (input: unknown) =>
        Effect.flip(Effect.scoped(Layer.build(Sites.layer(input as never).pipe(Layer.provide(runner))))).pipe(
          Effect.map((error) => (error as MqttError.MqttError).message)
        )
      assert.match(yield* reasonOf(undefined), /must be a record/)
      assert.match(yield* reasonOf({}), /options: must be a function/)
      assert.match(yield* reasonOf({ options: () => ({}), run: 1 }), /run: must be a function/)
      assert.match(yield* reasonOf({ options: () => ({}), clientIds: [""] }), /clientIds: must be texts/)
      const options = SessionOptions.config("MQTT", { name: "any", servers: ["mqtt://localhost"] })
      const configured = ClusterSession.layerConfig({ options }).pipe(Layer.provide(runner))
      assert.match(String(yield* Effect.flip(Effect.scoped(Layer.build(configured)))), /must be durable/)
    }).pipe(quiet))

  it.live("one Config is the options of all sessions", () =>
    Effect.gen(function*() {
      const broker = yield* ScriptedBroker.ScriptedBroker
      const provider = ConfigProvider.fromUnknown({
        mqtt: { name: "ignored", clientId: "ignored", servers: broker.url, persistence: "durable", log: "off" }
      })
      yield* Effect.gen(function*() {
        const sites = yield* ClusterSession.ClusterSession
        yield* sites.publish("one", "a", "x", { qos: 1 })
        yield* sites.publish("two", "a", "x", { qos: 1 })
        assert.sameMembers(broker.connections.map(({ clientId }) => clientId), ["one", "two"])
      }).pipe(
        Effect.provide(
          ClusterSession.layerConfig({ options: SessionOptions.config("mqtt") }).pipe(Layer.provide(runner))
        ),
        Effect.provide(ConfigProvider.layer(provider))
      )
    }).pipe(Effect.provide(ScriptedBroker.layer()), quiet))
})
