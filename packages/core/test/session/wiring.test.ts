/**
 * What a durable session needs is in its type: wirings without a store do not compile. Where types end, the same
 * wirings fail with `InvalidOptions`, and none of them gets a store in memory.
 */
import {
  type MqttError,
  MqttSession,
  SessionManager,
  SessionMap,
  SessionOptions,
  SessionPool,
  SessionStore,
  type Transport
} from "@effect-mqttx/core"
import * as TransportModule from "@effect-mqttx/core/Transport"
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Duration, Effect, Layer, pipe, type Scope } from "effect"

const options = { name: "plant", servers: "plant.invalid" }
const durable = { ...options, persistence: "durable" } as const
const nowhere: Transport.Transport = { open: () => Effect.never }
const offline = Effect.provideService(TransportModule.Transport, nowhere)

const environment = (env: { readonly [name: string]: string }) =>
  Effect.provideService(
    ConfigProvider.ConfigProvider,
    ConfigProvider.fromEnv({ env: { MQTT_NAME: "plant", MQTT_SERVERS: "plant.invalid", ...env } })
  )

/** A program that is complete: nothing is left to provide. */
type Complete<A> = Effect.Effect<A, MqttError.MqttError | Config.ConfigError, Scope.Scope>

/** What is said of the persistence by a program that is run although it may not compile. */
const refusalOf = (program: Effect.Effect<unknown, unknown, never> | Complete<unknown>): Effect.Effect<string> =>
  Effect.flip(program as Complete<unknown>).pipe(
    Effect.scoped,
    offline,
    Effect.map((error) => {
      assert.strictEqual(error._tag, "MqttError")
      const { reason } = error as MqttError.MqttError
      assert.strictEqual(reason._tag, "InvalidOptions")
      return (reason as MqttError.InvalidOptions).issues.map(({ message, path }) => `${path}: ${message}`).join("; ")
    }),
    Effect.orDie
  )

const noStore = "persistence: a durable session needs a SessionStore, and the program provides none"
const use = (name: string): string => `persistence: a durable session needs a SessionStore: use ${name}`

class Plant extends MqttSession.Service<Plant>()("plant") {}

const storageOf = Effect.flatMap(MqttSession.MqttSession, ({ status }) => Effect.map(status, ({ storage }) => storage))

describe("a durable session", () => {
  it.effect("does not compile without a store, and is refused without one", () =>
    Effect.gen(function*() {
      // @ts-expect-error: nothing provides a SessionStore
      const made: Complete<unknown> = MqttSession.makeDurable(options)
      assert.strictEqual(yield* refusalOf(made), noStore)
      // @ts-expect-error: nothing provides a SessionStore
      const provided: Complete<unknown> = Effect.provide(storageOf, MqttSession.layerDurable(options))
      assert.strictEqual(yield* refusalOf(provided), noStore)
      // @ts-expect-error: nothing provides a SessionStore
      const named: Complete<unknown> = Effect.provide(Plant, Plant.layerDurable({ servers: "plant.invalid" }))
      assert.strictEqual(yield* refusalOf(named), noStore)
      // @ts-expect-error: nothing provides a SessionStore
      const configured: Complete<unknown> = Effect.provide(
        storageOf,
        MqttSession.layerDurableConfig(SessionOptions.config("MQTT"))
      )
      assert.strictEqual(yield* refusalOf(configured.pipe(environment({}))), noStore)
    }))

  it.effect("does not compile with a store that is merged and not provided, and is refused with one", () =>
    Effect.gen(function*() {
      const merged = Layer.mergeAll(MqttSession.layerDurable(options), SessionStore.layerMemory)
      // @ts-expect-error: layers that are merged do not provide each other
      const program: Complete<unknown> = Effect.provide(storageOf, merged)
      assert.strictEqual(yield* refusalOf(program), noStore)
    }))

  it.effect("does not compile with a store in the wrong order, and is refused with one", () =>
    Effect.gen(function*() {
      // @ts-expect-error: the store is provided to the program, and not to the session
      const program: Complete<unknown> = storageOf.pipe(
        Effect.provide(SessionStore.layerMemory),
        Effect.provide(MqttSession.layerDurable(options))
      )
      assert.strictEqual(yield* refusalOf(program), noStore)
      const layer = SessionStore.layerMemory.pipe(Layer.provide(MqttSession.layerDurable(options)))
      // @ts-expect-error: the session is provided to the store
      const upsideDown: Complete<unknown> = Effect.provide(Effect.void, layer)
      assert.strictEqual(yield* refusalOf(upsideDown), noStore)
    }))

  it.effect("is what a store makes of the same options, provided in one line", () =>
    Effect.gen(function*() {
      const one: Complete<unknown> = storageOf.pipe(
        Effect.provide(MqttSession.layerDurable(options)),
        Effect.provide(SessionStore.layerMemory)
      )
      const other: Complete<unknown> = Effect.provide(
        storageOf,
        MqttSession.layerDurable(durable).pipe(Layer.provide(SessionStore.layerMemory))
      )
      for (const program of [one, other]) {
        assert.deepStrictEqual(yield* offline(program), { durability: "session", volatile: true, failure: undefined })
      }
    }))

  it.effect("is not made by the functions for the others, which name the one that makes it", () =>
    Effect.gen(function*() {
      // @ts-expect-error: durable sessions are made by makeDurable
      const made = MqttSession.make(durable)
      assert.strictEqual(yield* refusalOf(made), use("MqttSession.makeDurable"))
      // @ts-expect-error: durable sessions are made by layerDurable
      const provided = Effect.provide(storageOf, MqttSession.layer(durable))
      assert.strictEqual(yield* refusalOf(provided), use("MqttSession.layerDurable"))
      // @ts-expect-error: durable sessions are made by layerDurable
      const named = Effect.provide(Plant, Plant.layer({ servers: "plant.invalid", persistence: "durable" }))
      assert.strictEqual(yield* refusalOf(named), use("layerDurable of this class"))
      const configured = Effect.provide(storageOf, MqttSession.layerConfig(SessionOptions.config("MQTT")))
      assert.strictEqual(
        yield* refusalOf(configured.pipe(environment({ MQTT_PERSISTENCE: "durable" }))),
        use("MqttSession.layerDurableConfig")
      )
      const namedConfigured = Effect.provide(Plant, Plant.layerConfig(SessionOptions.config("MQTT")))
      assert.strictEqual(
        yield* refusalOf(namedConfigured.pipe(environment({ MQTT_PERSISTENCE: "durable" }))),
        use("layerDurableConfig of this class")
      )
    }))

  it.effect("is made by the functions for the others where types end, if the program provides a store", () =>
    Effect.gen(function*() {
      // @ts-expect-error: durable sessions are made by makeDurable
      const made = MqttSession.make(durable)
      const { storage } = yield* Effect.flatMap(made, ({ status }) => status).pipe(
        Effect.scoped,
        Effect.provide(SessionStore.layerMemory)
      )
      assert.isTrue(storage?.volatile)
    }))

  it.effect("is refused together with everything else that is wrong", () =>
    Effect.gen(function*() {
      const wrong = MqttSession.make({ ...options, keepAlive: -1, persistence: "durable" as never })
      const said = yield* refusalOf(wrong)
      assert.match(said, /^keepAlive: .*; persistence: a durable session needs a SessionStore/)
    }))

  it.effect("of another persistence is refused by the functions for durable ones", () =>
    Effect.gen(function*() {
      const other = (name: string) => `persistence: must be "durable" or absent here: use ${name}`
      const provide = Effect.provide(SessionStore.layerMemory)
      // @ts-expect-error: makeDurable makes durable sessions only
      const made = MqttSession.makeDurable({ ...options, persistence: "process" })
      assert.strictEqual(yield* refusalOf(provide(made)), other("MqttSession.make"))
      // @ts-expect-error: layerDurable makes durable sessions only
      const layer = MqttSession.layerDurable({ ...options, persistence: "none" })
      assert.strictEqual(yield* refusalOf(provide(Effect.provide(storageOf, layer))), other("MqttSession.layer"))
      const config = MqttSession.layerDurableConfig(SessionOptions.config("MQTT"))
      assert.strictEqual(
        yield* refusalOf(provide(Effect.provide(storageOf, config)).pipe(environment({ MQTT_PERSISTENCE: "none" }))),
        other("MqttSession.layerConfig")
      )
      const complete = MqttSession.layerDurableConfig(Config.map(SessionOptions.config("MQTT"), (given) => ({
        ...given,
        persistence: "process" as const
      })))
      assert.strictEqual(
        yield* refusalOf(provide(Effect.provide(storageOf, complete)).pipe(environment({}))),
        other("MqttSession.layerConfig")
      )
    }))

  it.effect("from Config has the defaults of durable sessions, also behind other Configs", () =>
    Effect.gen(function*() {
      const expiries: Array<number> = []
      const config = Config.map(Config.all([SessionOptions.config("MQTT")]), ([given]) => {
        expiries.push(Duration.toDays(given.sessionExpiry))
        return given
      })
      const program = Effect.provide(storageOf, MqttSession.layerDurableConfig(config)).pipe(
        Effect.provide(SessionStore.layerMemory)
      )
      assert.isDefined(yield* offline(program).pipe(environment({})))
      assert.isDefined(yield* offline(program).pipe(environment({ MQTT_SESSION_EXPIRY: "1 hour" })))
      assert.deepStrictEqual(expiries, [7, 1 / 24])
      // Elsewhere the default is what it was.
      assert.strictEqual((yield* SessionOptions.config("MQTT").pipe(environment({}))).persistence, "process")
    }))

  it.effect("has a valid store, or is refused", () =>
    Effect.gen(function*() {
      const made = Effect.provideService(MqttSession.makeDurable(options), SessionStore.SessionStore, {} as never)
      assert.strictEqual(yield* refusalOf(made), "SessionStore: must be a SessionStore, got an object")
    }))
})

describe("the types of options", () => {
  it("know which persistence was written, through the combinators", () => {
    const layers: ReadonlyArray<Layer.Layer<MqttSession.MqttSession, MqttError.MqttError, SessionStore.SessionStore>> =
      [
        MqttSession.layer(SessionOptions.quickConnect("plant", "plant.invalid")),
        MqttSession.layerDurable(SessionOptions.quickConnect("plant", "plant.invalid")),
        MqttSession.layer(pipe(options, SessionOptions.withKeepAlive("30 seconds"))),
        MqttSession.layerDurable(
          pipe(options, SessionOptions.withAuth("me"), SessionOptions.withPersistence("durable"))
        ),
        MqttSession.layer(pipe(durable, SessionOptions.withPersistence("none"), SessionOptions.withoutReconnect)),
        // @ts-expect-error: a durable session
        MqttSession.layer(pipe(options, SessionOptions.withPersistence("durable"), SessionOptions.withKeepAlive(0))),
        // @ts-expect-error: options of any persistence
        MqttSession.layer(options as SessionOptions.SessionOptionsInput),
        // @ts-expect-error: options of any persistence
        MqttSession.layerDurable(options as SessionOptions.SessionOptionsInput)
      ]
    assert.isTrue(layers.every(Layer.isLayer))
  })
})

describe("a manager", () => {
  it.effect("does not compile with durable sessions and without a store, and is refused without one", () =>
    Effect.gen(function*() {
      // @ts-expect-error: durable sessions are for makeDurable
      const made = SessionManager.make({ sessions: [durable] })
      assert.strictEqual(yield* refusalOf(made), use("SessionManager.makeDurable"))
      // @ts-expect-error: durable sessions are for layerDurable
      const layer = SessionManager.layer({ sessions: [durable] })
      assert.strictEqual(
        yield* refusalOf(Effect.provide(SessionManager.SessionManager, layer)),
        use("SessionManager.layerDurable")
      )
      const config = SessionManager.layerConfig(Config.all([SessionOptions.config("MQTT")]))
      assert.strictEqual(
        yield* refusalOf(
          Effect.provide(SessionManager.SessionManager, config).pipe(environment({ MQTT_PERSISTENCE: "durable" }))
        ),
        use("SessionManager.layerDurableConfig")
      )
      // @ts-expect-error: nothing provides a SessionStore
      const durably: Complete<unknown> = SessionManager.makeDurable({ sessions: [durable] })
      assert.strictEqual(yield* refusalOf(durably), noStore)
      const merged = Layer.mergeAll(SessionManager.layerDurable({ sessions: [options] }), SessionStore.layerMemory)
      // @ts-expect-error: layers that are merged do not provide each other
      const beside: Complete<unknown> = Effect.provide(SessionManager.SessionManager, merged)
      assert.strictEqual(yield* refusalOf(beside), noStore)
    }))

  it.effect("adds a durable session with a store only, whatever it was made with", () =>
    Effect.gen(function*() {
      const manager = yield* SessionManager.makeDurable().pipe(Effect.provide(SessionStore.layerMemory))
      // @ts-expect-error: durable sessions are added by addDurable
      const added = manager.add(durable)
      assert.strictEqual(yield* refusalOf(added), use("SessionManager's addDurable"))
      // @ts-expect-error: nothing provides a SessionStore
      const without: Complete<unknown> = manager.addDurable(options)
      assert.strictEqual(yield* refusalOf(without), noStore)
      // @ts-expect-error: addDurable adds durable sessions only
      const other = manager.addDurable({ ...options, persistence: "none" })
      assert.strictEqual(
        yield* refusalOf(Effect.provide(other, SessionStore.layerMemory)),
        "persistence: must be \"durable\" or absent here: use SessionManager's add"
      )
      assert.deepStrictEqual(yield* manager.list, [])
      const session = yield* Effect.provide(manager.addDurable(options), SessionStore.layerMemory)
      assert.isDefined((yield* session.status).storage)
    }).pipe(Effect.scoped, offline))

  it.effect("of layerDurable has durable sessions, unless they say otherwise", () =>
    Effect.gen(function*() {
      const persistences = Effect.gen(function*() {
        const manager = yield* SessionManager.SessionManager
        return yield* Effect.forEach(yield* manager.list, (name) =>
          Effect.map(manager.options(name), ({ persistence }) => persistence))
      })
      const layer = SessionManager.layerDurable({
        sessions: [options, { ...durable, name: "b" }, { ...options, name: "c", persistence: "process" }]
      })
      const config = SessionManager.layerDurableConfig(Config.all([SessionOptions.config("MQTT")]))
      const store = Effect.provide(SessionStore.layerMemory)
      assert.deepStrictEqual(yield* store(Effect.provide(persistences, layer)), ["durable", "durable", "process"])
      assert.deepStrictEqual(yield* store(Effect.provide(persistences, config)), ["durable"])
      const written = store(Effect.provide(persistences, config)).pipe(environment({ MQTT_PERSISTENCE: "none" }))
      assert.deepStrictEqual(yield* written, ["none"])
    }).pipe(offline, environment({})))
})

describe("a pool and a map", () => {
  it.effect("of durable sessions do not compile without a store, and are refused without one", () =>
    Effect.gen(function*() {
      const pool = { name: "workers", size: 2, servers: "plant.invalid" }
      // @ts-expect-error: durable sessions are for makeDurable
      const made = SessionPool.make({ ...pool, persistence: "durable" })
      assert.strictEqual(yield* refusalOf(made), use("SessionPool.makeDurable"))
      // @ts-expect-error: nothing provides a SessionStore
      const durably: Complete<unknown> = SessionPool.makeDurable(pool)
      assert.strictEqual(yield* refusalOf(durably), noStore)
      // @ts-expect-error: durable sessions are for makeDurable
      const found = SessionMap.make({ lookup: () => durable })
      assert.strictEqual(
        yield* refusalOf(Effect.flatMap(found, (map) => map.get("a"))),
        use("SessionMap.makeDurable")
      )
      // @ts-expect-error: nothing provides a SessionStore
      const map: Complete<unknown> = SessionMap.makeDurable({ lookup: () => options })
      assert.strictEqual(yield* refusalOf(map), noStore)
    }))

  it.effect("have durable sessions with one", () =>
    Effect.gen(function*() {
      const pool = yield* SessionPool.makeDurable({ name: "workers", size: 2, servers: "plant.invalid" })
      for (const { status } of pool.sessions) assert.isDefined((yield* status).storage)
      const map = yield* SessionMap.makeDurable({ lookup: (name: string) => ({ name, servers: "plant.invalid" }) })
      assert.isDefined((yield* (yield* map.get("a")).status).storage)
    }).pipe(Effect.scoped, offline, Effect.provide(SessionStore.layerMemory)))
})
