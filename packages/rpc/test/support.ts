/**
 * The brokers and versions that RPC is tested on, and programs on them.
 */
import { MqttSession, type SessionOptions, Transport } from "@effect-mqttx/core"
import type { MqttError } from "@effect-mqttx/core/MqttError"
import { MqttRpcClient, MqttRpcError, MqttRpcServer } from "@effect-mqttx/rpc"
import { MosquittoBroker, ScriptedBroker } from "@effect-mqttx/testing"
import * as AedesBroker from "@effect-mqttx/testing/AedesBroker"
import { assert, layer } from "@effect/vitest"
import { type Cause, Context, Effect, Exit, Layer, Option, References, Result, Schema, Scope, Stream } from "effect"
import { Rpc, RpcClient, type RpcClientError, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"

export class Nope extends Schema.TaggedError<Nope>()("Nope", { why: Schema.String }) {}

export class Group extends RpcGroup.make(
  Rpc.make("Add", { payload: { a: Schema.Number, b: Schema.Number }, success: Schema.Number, error: Nope }),
  Rpc.make("Echo", { payload: { text: Schema.String }, success: Schema.String }),
  Rpc.make("Die", { success: Schema.Void }),
  Rpc.make("Wait", { payload: { name: Schema.String }, success: Schema.String }),
  Rpc.make("Count", { payload: { to: Schema.Number }, success: Schema.Number, error: Nope, stream: true }),
  Rpc.make("Who", { success: Schema.String }),
  Rpc.make("Slow", { payload: { to: Schema.Number }, success: Schema.Number, stream: true }),
  Rpc.make("Span", { success: Schema.String })
) {}

/** What handlers have done, and how they are let go. */
export interface Handled {
  readonly ran: Array<string>
  readonly interrupted: Array<string>
  /** Numbers that the stream `Slow` has produced. */
  produced: number
  readonly waits: Map<string, () => void>
  readonly watchers: Set<() => void>
}

export const makeHandled = (): Handled => ({
  ran: [],
  interrupted: [],
  produced: 0,
  waits: new Map(),
  watchers: new Set()
})

/** Succeeds as soon as the condition holds, looked at after each thing that handlers do. */
export const until = (handled: Handled, condition: () => boolean): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const look = (): void => {
      if (!condition()) return
      handled.watchers.delete(look)
      resume(Effect.void)
    }
    handled.watchers.add(look)
    look()
    return Effect.sync(() => handled.watchers.delete(look))
  })

const told = (handled: Handled, list: Array<string>, what: string): Effect.Effect<void> =>
  Effect.sync(() => {
    list.push(what)
    for (const watcher of handled.watchers) watcher()
  })

const handlers = (handled: Handled, name: string) =>
  Group.toLayer(Effect.succeed(Group.of({
    Add: ({ a, b }) =>
      Effect.andThen(
        told(handled, handled.ran, `Add ${a} ${b}`),
        a < 0 ? Effect.fail(new Nope({ why: "negative" })) : Effect.succeed(a + b)
      ),
    Echo: ({ text }) => Effect.as(told(handled, handled.ran, "Echo"), text),
    Die: () => Effect.die(new Error("a defect")),
    Wait: ({ name }) =>
      Effect.callback<string>((resume) => {
        handled.waits.set(name, () => resume(Effect.succeed(name)))
        handled.ran.push(name)
        for (const watcher of handled.watchers) watcher()
      }).pipe(Effect.onInterrupt(() => told(handled, handled.interrupted, name))),
    Count: ({ to }) => to < 0 ? Stream.fail(new Nope({ why: "negative" })) : Stream.range(1, to),
    Who: () => Effect.succeed(name),
    Slow: ({ to }) =>
      Stream.range(1, to).pipe(
        Stream.rechunk(1),
        Stream.tap(() =>
          Effect.sync(() => {
            handled.produced++
            for (const watcher of handled.watchers) watcher()
          })
        ),
        Stream.onExit((exit) => Exit.isSuccess(exit) ? Effect.void : told(handled, handled.interrupted, "Slow"))
      ),
    Span: () => Effect.map(Effect.currentSpan, (span) => span.traceId).pipe(Effect.orDie)
  })))

export interface TestServer {
  readonly address: string
  readonly transport: Transport.Transport | undefined
  /** Only where the broker is the scripted one. */
  readonly broker: ScriptedBroker.Service | undefined
}

export class Broker extends Context.Service<Broker, TestServer>()("rpc/Broker") {}

export const scripted = (options?: ScriptedBroker.ScriptedBrokerOptions): Layer.Layer<Broker> =>
  Layer.effect(
    Broker,
    Effect.map(
      ScriptedBroker.makeMemory(options),
      (broker) => ({ address: broker.url, transport: broker.transport, broker })
    )
  )

const mosquitto = Layer.effect(
  Broker,
  Effect.map(MosquittoBroker.make({ config: ["set_tcp_nodelay true"] }), ({ urls }) => ({
    address: urls.tcp!,
    transport: undefined,
    broker: undefined
  }))
)

const aedes = Layer.effect(
  Broker,
  Effect.map(AedesBroker.make(), ({ url }) => ({ address: url, transport: undefined, broker: undefined }))
)

export type Options = Partial<SessionOptions.SessionOptionsInput<"none" | "process">>

export type Client = RpcClient.RpcClient<RpcGroup.Rpcs<typeof Group>, RpcClientError.RpcClientError>

export interface Side {
  readonly session: MqttSession.Session
  /** Ends it in an orderly way: RPC first, then the session. */
  readonly end: Effect.Effect<void>
}

export interface World extends TestServer {
  readonly version: 4 | 5
  readonly prefix: string
  readonly session: (options?: Options) => Effect.Effect<MqttSession.Session, MqttError, Scope.Scope>
  /** A server that is ready, with a session of its own. */
  readonly server: (
    options?: Partial<MqttRpcServer.MqttRpcServerInput>,
    more?: {
      readonly session?: Options
      readonly name?: string
      readonly fatalDefects?: boolean
      readonly concurrency?: number
    }
  ) => Effect.Effect<Side & { readonly handled: Handled }, MqttError, Scope.Scope>
  readonly client: (
    options?: Partial<MqttRpcClient.MqttRpcClientInput>,
    session?: Options
  ) => Effect.Effect<Side & { readonly client: Client }, MqttError, Scope.Scope>
}

let worlds = 0

export const serializations = {
  binary: RpcSerialization.layerSchemaBinary(),
  json: RpcSerialization.layerJson
}

export const makeWorld = (
  version: 4 | 5,
  serialization: keyof typeof serializations = "binary"
): Effect.Effect<World, never, Broker> =>
  Effect.gen(function*() {
    const broker = yield* Broker
    const prefix = `rpc/w${++worlds}`
    let names = 0
    const session: World["session"] = (options) => {
      const made = Effect.tap(
        MqttSession.make({
          name: `s${worlds}-${++names}`,
          servers: [broker.address],
          protocolVersion: version,
          reconnect: { initialDelay: "10 millis", maxDelay: "100 millis", jitter: "none" },
          ...options
        }),
        (session) => session.awaitReady
      )
      return broker.transport === undefined
        ? made
        : Effect.provideService(made, Transport.Transport, broker.transport)
    }
    const owned = <A, E, R>(build: Effect.Effect<A, E, R>) =>
      Effect.gen(function*() {
        const scope = yield* Effect.acquireRelease(Scope.make(), (each, exit) => Scope.close(each, exit))
        const value = yield* Scope.provide(build, scope)
        return { value, end: Scope.close(scope, Exit.void) }
      })
    return {
      ...broker,
      version,
      prefix,
      session,
      server: (options, more) =>
        Effect.gen(function*() {
          const handled = makeHandled()
          const { end, value } = yield* owned(Effect.gen(function*() {
            const own = yield* session(more?.session)
            const live = RpcServer.layer(Group, {
              disableFatalDefects: more?.fatalDefects !== true,
              ...(more?.concurrency === undefined ? undefined : { concurrency: more.concurrency })
            }).pipe(
              Layer.provide(handlers(handled, more?.name ?? "server")),
              Layer.provide(Layer.effect(RpcServer.Protocol, MqttRpcServer.make(own, { prefix, ...options }))),
              Layer.provide(serializations[serialization])
            )
            yield* Layer.build(live)
            return own
          }))
          return { session: value, end, handled }
        }),
      client: (options, sessionOptions) =>
        Effect.gen(function*() {
          const { end, value } = yield* owned(Effect.gen(function*() {
            const own = yield* session(sessionOptions)
            const context = yield* Layer.build(
              Layer.effect(RpcClient.Protocol, MqttRpcClient.make(own, { prefix, ...options })).pipe(
                Layer.provide(serializations[serialization])
              )
            )
            const client = yield* Effect.provideContext(RpcClient.make(Group), context)
            return { session: own, client: client as Client }
          }))
          return { ...value, end }
        })
    }
  })

export interface Environment {
  readonly name: string
  readonly version: 4 | 5
  readonly serialization: keyof typeof serializations
  readonly broker: Layer.Layer<Broker, unknown>
  readonly missing?: string | undefined
}

const installed = MosquittoBroker.isPresent() ? undefined : "mosquitto is not installed"

export const environments: ReadonlyArray<Environment> = [
  { name: "scripted 5", version: 5, serialization: "binary", broker: scripted() },
  { name: "scripted 5 json", version: 5, serialization: "json", broker: scripted() },
  { name: "scripted 3.1.1", version: 4, serialization: "binary", broker: scripted() },
  // aedes is a broker of 3.1.1.
  { name: "aedes 3.1.1", version: 4, serialization: "json", broker: aedes },
  { name: "mosquitto 5", version: 5, serialization: "binary", broker: mosquitto, missing: installed },
  { name: "mosquitto 3.1.1", version: 4, serialization: "binary", broker: mosquitto, missing: installed }
]

type Define = (
  name: string,
  body: (world: World) => Effect.Effect<void, unknown, Scope.Scope>,
  where?: (environment: Environment) => boolean
) => void

/** One suite for every environment. */
export const everywhere = (
  title: string,
  suite: (test: Define, environment: Environment) => void,
  where: (environment: Environment) => boolean = () => true
): void => {
  for (const environment of environments.filter(where)) {
    const { broker, missing, name, serialization, version } = environment
    layer(missing === undefined ? broker : Layer.empty as never, { excludeTestServices: true, timeout: "90 seconds" })(
      `${title} on ${name}`,
      (it) =>
        suite((test, body, isHere) => {
          if (isHere?.(environment) === false) return
          const run = missing === undefined ? it.effect : it.effect.skip
          run(test, () =>
            Effect.scoped(Effect.flatMap(makeWorld(version, serialization), body)).pipe(
              // Most of these tests provoke what is logged.
              Effect.provideService(References.MinimumLogLevel, "None")
            ))
        }, environment)
    )
  }
}

/** The error with which a call over MQTT fails. */
export const failureOf = <A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<MqttRpcError.MqttRpcError, A, R> =>
  Effect.map(Effect.flip(call), (error) => {
    const found = MqttRpcError.fromClientError(error as RpcClientError.RpcClientError)
    assert.isTrue(Option.isSome(found), String(error))
    return Option.getOrThrow(found)
  })

export const causeOf = <A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<Cause.Cause<E>, never, R> =>
  Effect.flatMap(
    Effect.exit(call),
    (exit) => Exit.isFailure(exit) ? Effect.succeed(exit.cause) : Effect.die(new Error("it has succeeded"))
  )

export { Result }
