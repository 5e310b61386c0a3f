/**
 * What a behavioural test gets: sessions of the environment, a way to its server that can be cut, and topics of its
 * own.
 */
import type { Message } from "@effect-mqttx/core/Message"
import { ConnectionRefused, isMqttError, MqttError, type MqttErrorReason } from "@effect-mqttx/core/MqttError"
import type * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as ServerAddress from "@effect-mqttx/core/ServerAddress"
import type { SessionEvent } from "@effect-mqttx/core/SessionEvent"
import type * as SessionOptions from "@effect-mqttx/core/SessionOptions"
import * as Transport from "@effect-mqttx/core/Transport"
import { assert } from "@effect/vitest"
import { type Cause, Context, Effect, Exit, Layer, Queue, Result, Scope, Stream } from "effect"
import { openSession, type Options, type StoreFor } from "../../../../test/support/anySession.ts"
import * as Proxy from "./behaviourProxy.ts"

export type { Options } from "../../../../test/support/anySession.ts"

/**
 * TLS faults that an environment with TLS offers.
 */
export interface TlsFaults {
  /** Options without what trusts the server. */
  readonly unknownAuthority: NonNullable<Options["tls"]>
  /** Options without the certificate that the server asks for. */
  readonly noClientCertificate: NonNullable<Options["tls"]>
  /** The server under a name that its certificate does not have. */
  readonly wrongName: string
  /** A server whose certificate has expired. */
  readonly expired: string
}

/**
 * A running server.
 */
export interface TestServer {
  readonly address: string
  /** What every session needs to get in. */
  readonly options: Options<never>
  /** In place of the default transport. */
  readonly transport: Transport.Transport | undefined
  /** The hosts of `transport` are names in memory. */
  readonly isInMemory: boolean
  /** A user that the server knows; others, with a name, are refused. */
  readonly user: { readonly username: string; readonly password: string }
  /** Whether messages keep their order through lost connections, as MQTT 4.6 demands. */
  readonly keepsOrder: boolean
  /** Stops the server in an orderly way, and starts it with what it saved. */
  readonly restart: Effect.Effect<void>
  readonly tls: TlsFaults | undefined
}

export class Server extends Context.Service<Server, TestServer>()("behaviour/Server") {}

/**
 * A way to the server for one or several sessions.
 */
export interface Link {
  readonly address: string
  /** The address as sessions print it. */
  readonly printed: string
  /** Resets every connection over it. */
  readonly cut: Effect.Effect<void>
  /** Cuts, and refuses whoever connects from now on. */
  readonly close: Effect.Effect<void>
  readonly open: Effect.Effect<void>
  /** Succeeds when there is no connection over it. */
  readonly idle: Effect.Effect<void>
  /** Connections over which anything was sent so far. */
  readonly connections: Effect.Effect<number>
}

export interface World {
  readonly version: 4 | 5
  readonly server: TestServer
  /** A text that no other test uses. */
  readonly unique: string
  /** A topic, or filter, below the level that is this test's own. */
  readonly topic: (below: string) => string
  /** Everything that a session of this environment needs. */
  readonly options: <P extends SessionOptions.Persistence = never>(
    options?: Options<P>
  ) => SessionOptions.SessionOptionsInput<P>
  /** A session that has begun to connect. */
  readonly make: <P extends SessionOptions.Persistence = never>(
    options?: Options<P>
  ) => Effect.Effect<MqttSession.Session, MqttError, Scope.Scope | StoreFor<P>>
  /** A session that is ready. */
  readonly session: World["make"]
  readonly link: Effect.Effect<Link, never, Scope.Scope>
  /** Runs with the environment's network. */
  readonly onNetwork: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Whether anyone is subscribed to a topic, by a message to it and the server's word. */
  readonly isSubscribed: (topic: string) => Effect.Effect<boolean, MqttError>
  /** The same with a server of its own, for what would disturb other tests. */
  readonly alone: Effect.Effect<World, unknown, Scope.Scope>
  /** Makes the server forget the session of a client that is not connected. */
  readonly forget: (clientId: string) => Effect.Effect<void, MqttError>
}

// Waiting for the default schedule is not what these tests are about.
const impatient: NonNullable<Options["reconnect"]> = {
  initialDelay: "10 millis",
  maxDelay: "100 millis",
  jitter: "none"
}

let worlds = 0

export const make = (version: 4 | 5, layer: Layer.Layer<Server, unknown>): Effect.Effect<World, never, Server> =>
  Effect.gen(function*() {
    const server = yield* Server
    const unique = `w${++worlds}-${version}`
    const memory = new Map<string, MemoryLink>()
    let names = 0

    const transport = server.transport !== undefined && server.isInMemory
      ? overLinks(server.transport, memory)
      : server.transport
    const onNetwork: World["onNetwork"] = (effect) =>
      transport === undefined ? effect : Effect.provideService(effect, Transport.Transport, transport)

    const options: World["options"] = (given) => ({
      name: `${unique}-${++names}`,
      servers: [server.address],
      protocolVersion: version,
      reconnect: impatient,
      ...server.options,
      ...given
    })
    const makeSession: World["make"] = (given) => Effect.tap(onNetwork(openSession(options(given))), record)
    const session: World["session"] = (given) => Effect.tap(makeSession(given), (each) => each.awaitReady)

    return {
      version,
      server,
      unique,
      topic: (below) => `${unique}/${below}`,
      options,
      make: makeSession,
      session,
      onNetwork,
      link: server.isInMemory
        ? Effect.sync(() => memoryLink(server.address, `${unique}-link${memory.size}`, memory))
        : tcpLink(server.address),
      isSubscribed: (topic) =>
        Effect.scoped(Effect.gen(function*() {
          const probe = yield* session({ protocolVersion: 5, persistence: "none" })
          const { reasonCode } = yield* probe.publish(topic, "is anyone there?", { qos: 1 })
          return reasonCode !== 0x10
        })),
      alone: Effect.flatMap(Layer.build(Layer.fresh(layer)), (own) => Effect.provide(make(version, layer), own)),
      forget: (clientId) =>
        Effect.scoped(Effect.flatMap(session({ clientId, persistence: "none" }), (each) => each.drain))
    }
  })

const print = (address: string): string => ServerAddress.format(Result.getOrThrow(ServerAddress.parse(address)))

const tcpLink = (server: string): Effect.Effect<Link, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { host, port } = Result.getOrThrow(ServerAddress.parse(server))
    const proxy = yield* Proxy.make(host, port)
    const address = server.replace(`:${port}`, `:${proxy.port}`)
    return { address, printed: print(address), ...proxy }
  })

interface MemoryLink {
  readonly streams: Set<Transport.ByteStream>
  readonly idle: Set<() => void>
  closed: boolean
  connections: number
}

/** Streams to the host of a link are that link's. */
const overLinks = (
  transport: Transport.Transport,
  links: ReadonlyMap<string, MemoryLink>
): Transport.Transport => ({
  open: (request, handlers) => {
    const link = links.get(request.address.host)
    if (link === undefined) return transport.open(request, handlers)
    if (link.closed) return Effect.fail(new MqttError({ reason: new ConnectionRefused({ code: "ECONNREFUSED" }) }))
    return Effect.gen(function*() {
      const stream = yield* transport.open(request, handlers)
      link.connections++
      yield* Effect.acquireRelease(
        Effect.sync(() => link.streams.add(stream)),
        () =>
          Effect.sync(() => {
            link.streams.delete(stream)
            if (link.streams.size === 0) { for (const resume of link.idle) resume() }
          })
      )
      return stream
    })
  }
})

const memoryLink = (server: string, host: string, links: Map<string, MemoryLink>): Link => {
  const link: MemoryLink = { streams: new Set(), idle: new Set(), closed: false, connections: 0 }
  links.set(host, link)
  const address = server.replace(Result.getOrThrow(ServerAddress.parse(server)).host, host)
  const cut = (): void => {
    for (const stream of link.streams) stream.destroy()
  }
  return {
    address,
    printed: print(address),
    cut: Effect.sync(cut),
    close: Effect.sync(() => {
      link.closed = true
      cut()
    }),
    open: Effect.sync(() => {
      link.closed = false
    }),
    idle: Effect.callback((resume) => {
      if (link.streams.size === 0) return resume(Effect.void)
      const done = (): void => {
        link.idle.delete(done)
        resume(Effect.void)
      }
      link.idle.add(done)
      return Effect.sync(() => link.idle.delete(done))
    }),
    connections: Effect.sync(() => link.connections)
  }
}

/**
 * What a stream brings, taken at the test's own pace.
 */
export interface Inbox {
  readonly next: Effect.Effect<Message, MqttError | Cause.Done>
  readonly take: (count: number) => Effect.Effect<ReadonlyArray<Message>, MqttError | Cause.Done>
  /** The messages before the one with this text. */
  readonly until: (text: string) => Effect.Effect<ReadonlyArray<Message>, MqttError | Cause.Done>
  /** All that comes until the stream ends. */
  readonly rest: Effect.Effect<ReadonlyArray<Message>, MqttError>
}

export const inbox = Effect.fnUntraced(function*(
  messages: Stream.Stream<Message, MqttError>
): Effect.fn.Return<Inbox, never, Scope.Scope> {
  const queue = yield* Queue.unbounded<Message, MqttError | Cause.Done>()
  yield* Effect.forkScoped(Stream.runIntoQueue(messages, queue), { startImmediately: true })
  const next = Queue.take(queue)
  return {
    next,
    take: (count) => Effect.replicateEffect(next, count),
    until: (text) =>
      Effect.gen(function*() {
        const before: Array<Message> = []
        while (true) {
          const message = yield* next
          if (message.text === text) return before
          before.push(message)
        }
      }),
    rest: Queue.collect(queue)
  }
})

/**
 * The inbox of a new subscription.
 */
export const subscribe = (
  session: MqttSession.Session,
  ...parameters: Parameters<MqttSession.Session["subscription"]>
): Effect.Effect<Inbox, MqttError, Scope.Scope> =>
  Effect.flatMap(session.subscription(...parameters), ({ messages }) => inbox(messages))

/**
 * Something with a scope of its own, that ends with the test at the latest.
 */
export const owned = Effect.fnUntraced(function*<A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.fn.Return<
  { readonly value: A; readonly end: Effect.Effect<void> },
  E,
  Exclude<R, Scope.Scope> | Scope.Scope
> {
  const scope = yield* Effect.acquireRelease(Scope.make(), (each, exit) => Scope.close(each, exit))
  const value = yield* Scope.provide(effect, scope)
  return { value, end: Scope.close(scope, Exit.void) }
})

/**
 * Succeeds when the server has done everything that the session asked for before, in the order of the wire.
 */
export const fence = (session: MqttSession.Session): Effect.Effect<void, MqttError> =>
  Effect.asVoid(session.publish(`fence/${session.name}`, "", { qos: 1 }))

export const texts = (messages: ReadonlyArray<Message>): ReadonlyArray<string> => messages.map(({ text }) => text)

/**
 * Messages without repetitions, in the order that the server keeps, if it does.
 */
export const inOrder = (world: World, messages: ReadonlyArray<string>): ReadonlyArray<string> => {
  const distinct = Array.from(new Set(messages))
  return world.server.keepsOrder ? distinct : distinct.sort((a, b) => Number(a) - Number(b))
}

export const numbers = (from: number, to: number): ReadonlyArray<string> =>
  Array.from({ length: to - from + 1 }, (_, i) => String(from + i))

interface History {
  readonly events: Array<SessionEvent>
  readonly waiters: Set<() => void>
}

const histories = new WeakMap<MqttSession.Session, History>()

/** Writes down all events of a session, of which late listeners would see the last 16 only. */
const record = Effect.fnUntraced(function*(session: MqttSession.Session): Effect.fn.Return<void, never, Scope.Scope> {
  const history: History = { events: [], waiters: new Set() }
  histories.set(session, history)
  yield* session.events.pipe(
    Stream.runForEach((each) =>
      Effect.sync(() => {
        history.events.push(each)
        for (const waiter of history.waiters) waiter()
      })
    ),
    Effect.forkScoped({ startImmediately: true })
  )
})

/**
 * The n-th event of a kind in the life of a session, as soon as it is there.
 */
export const event = <Tag extends SessionEvent["_tag"]>(
  session: MqttSession.Session,
  tag: Tag,
  nth = 1
): Effect.Effect<Extract<SessionEvent, { readonly _tag: Tag }>> =>
  Effect.callback((resume) => {
    const { events, waiters } = histories.get(session)!
    const look = (): void => {
      const found = events.filter(({ _tag }) => _tag === tag)[nth - 1]
      if (found === undefined) return
      waiters.delete(look)
      resume(Effect.succeed(found as Extract<SessionEvent, { readonly _tag: Tag }>))
    }
    waiters.add(look)
    look()
    return Effect.sync(() => waiters.delete(look))
  })

/**
 * The reason with which an effect fails.
 */
export const reason = <A, E, R, Tag extends MqttErrorReason["_tag"]>(
  effect: Effect.Effect<A, E, R>,
  ...tags: ReadonlyArray<Tag>
): Effect.Effect<Extract<MqttErrorReason, { readonly _tag: Tag }>, A, R> =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.isTrue(isMqttError(error), String(error))
    const { reason } = error as unknown as MqttError
    assert.include(tags as ReadonlyArray<string>, reason._tag, reason.message)
    return reason as Extract<MqttErrorReason, { readonly _tag: Tag }>
  })
