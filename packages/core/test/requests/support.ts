/**
 * The servers, networks and versions that typed topics and requests are tested on.
 */
import { type MqttSession, type SessionOptions, Transport } from "@effect-mqttx/core"
import { isMqttError, type MqttError, type MqttErrorReason } from "@effect-mqttx/core/MqttError"
import { MosquittoBroker, ScriptedBroker } from "@effect-mqttx/testing"
import { assert, layer } from "@effect/vitest"
import { type Cause, Context, Effect, Layer, Queue, References, type Scope, Stream } from "effect"
import { openSession, type Options, type StoreFor } from "../../../../test/support/anySession.ts"

export type { Options } from "../../../../test/support/anySession.ts"

export interface TestServer {
  readonly address: string
  readonly transport: Transport.Transport | undefined
  /** Only where the server is the scripted one. */
  readonly broker: ScriptedBroker.Service | undefined
}

export class Server extends Context.Service<Server, TestServer>()("requests/Server") {}

export interface World extends TestServer {
  readonly version: 4 | 5
  /** A first level that no other test uses. */
  readonly unique: string
  /** A session that is ready. */
  readonly session: <P extends SessionOptions.Persistence = never>(
    options?: Options<P>
  ) => Effect.Effect<MqttSession.Session, MqttError, Scope.Scope | StoreFor<P>>
}

export const scripted = (network: "memory" | "tcp"): Layer.Layer<Server> =>
  Layer.effect(
    Server,
    Effect.map(
      network === "memory" ? ScriptedBroker.makeMemory() : ScriptedBroker.make(),
      (broker) => ({
        address: broker.url,
        transport: network === "memory" ? broker.transport : undefined,
        broker
      })
    )
  )

const mosquitto = Layer.effect(
  Server,
  // Without it, Nagle's algorithm makes it wait for our delayed acknowledgement of TCP with each small packet.
  Effect.map(MosquittoBroker.make({ config: ["set_tcp_nodelay true"] }), ({ urls }) => ({
    address: urls.tcp!,
    transport: undefined,
    broker: undefined
  }))
)

export interface Environment {
  readonly name: string
  readonly version: 4 | 5
  readonly server: Layer.Layer<Server, unknown>
  readonly missing: string | undefined
}

const installed = MosquittoBroker.isPresent() ? undefined : "mosquitto is not installed"

export const environments: ReadonlyArray<Environment> = ([4, 5] as const).flatMap((version) =>
  ([["scripted memory", scripted("memory"), undefined], ["scripted tcp", scripted("tcp"), undefined], [
    "mosquitto",
    mosquitto,
    installed
  ]] as const).map(([name, server, missing]) => ({
    name: `${name} ${version === 4 ? "3.1.1" : "5"}`,
    version,
    server,
    missing
  }))
)

let worlds = 0

export const makeWorld = (version: 4 | 5): Effect.Effect<World, never, Server> =>
  Effect.gen(function*() {
    const server = yield* Server
    const unique = `t${++worlds}`
    let names = 0
    return {
      ...server,
      version,
      unique,
      session: <P extends SessionOptions.Persistence = never>(options?: Options<P>) => {
        const made = Effect.tap(
          openSession<P>({
            name: `${unique}-${++names}`,
            servers: [server.address],
            protocolVersion: version,
            reconnect: { initialDelay: "10 millis", maxDelay: "100 millis", jitter: "none" },
            ...options
          }),
          (session) => session.awaitReady
        )
        return server.transport === undefined
          ? made
          : Effect.provideService(made, Transport.Transport, server.transport)
      }
    }
  })

type Define = (name: string, body: (world: World) => Effect.Effect<void, unknown, Scope.Scope>) => void

/** One suite for every environment. */
export const everywhere = (title: string, suite: (test: Define, environment: Environment) => void): void => {
  for (const environment of environments) {
    const { missing, name, server, version } = environment
    layer(missing === undefined ? server : Layer.empty as never, { excludeTestServices: true, timeout: "90 seconds" })(
      `${title} on ${name}`,
      (it) =>
        suite((test, body) => {
          const run = missing === undefined ? it.effect : it.effect.skip
          run(test, () =>
            Effect.scoped(Effect.flatMap(makeWorld(version), body)).pipe(
              // Most of these tests provoke what is logged.
              Effect.provideService(References.MinimumLogLevel, "None")
            ))
        }, environment)
    )
  }
}

/** What a stream brings, taken at the test's own pace. */
export const inbox = Effect.fnUntraced(function*<A, E, R>(
  messages: Stream.Stream<A, E, R>
): Effect.fn.Return<Effect.Effect<A, E | Cause.Done>, never, Scope.Scope | R> {
  const queue = yield* Queue.unbounded<A, E | Cause.Done>()
  yield* Effect.forkScoped(Stream.runIntoQueue(messages, queue), { startImmediately: true })
  return Queue.take(queue)
})

/** Succeeds when the server has done everything that the session asked for before. */
export const fence = (session: MqttSession.Session): Effect.Effect<void, MqttError> =>
  Effect.asVoid(session.publish(`fence/${session.name}`, "", { qos: 1 }))

/** The reason with which an effect fails. */
export const reason = <A, E, R, Tag extends MqttErrorReason["_tag"]>(
  effect: Effect.Effect<A, E, R>,
  tag: Tag
): Effect.Effect<Extract<MqttErrorReason, { readonly _tag: Tag }>, A, R> =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.isTrue(isMqttError(error), String(error))
    const { reason } = error as unknown as MqttError
    assert.strictEqual(reason._tag, tag, reason.message)
    return reason as Extract<MqttErrorReason, { readonly _tag: Tag }>
  })
