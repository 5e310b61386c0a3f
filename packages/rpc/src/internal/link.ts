/**
 * What a client and a server of RPC have in common: their name, and how they send packets over their session.
 */
import type * as Message from "@effect-mqttx/core/Message"
import { InvalidOptions, isMqttError, MqttError } from "@effect-mqttx/core/MqttError"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import type { MessageProperties } from "@effect-mqttx/core/Properties"
import type { PublishReceipt } from "@effect-mqttx/core/Publication"
import { chunksOf } from "effect/Array"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { ClientOptions } from "./options.ts"
import { cut, encode, type FrameKind, overheadOf, type Packet } from "./packets.ts"
import { levelOf, Topics } from "./topics.ts"

/** Parts of one frame that are published at a time. */
export const partsAtOnce = 8
/** The calls in one heartbeat: with long numbers it has 16 kB. */
export const callsPerHeartbeat = 1024
/** How long the end of a side may take to say goodbye, and how often it complains of what it drops. */
const briefly = Duration.seconds(1)
const complaintInterval = 10_000

/** Where parts go: the first one of a request goes elsewhere than the others. */
export interface Destination {
  readonly topic: string
  readonly properties?: MessageProperties | undefined
}

export interface Link {
  readonly session: MqttSession.Session
  readonly topics: Topics
  /** The instance: the client identifier of the session and a random level. */
  readonly name: string
  readonly options: ClientOptions
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number
  /** Number of connections so far. */
  readonly connections: () => number
  /** Publishes a packet and waits for the acknowledgement of the server. */
  readonly publish: (destination: Destination, packet: Packet) => Effect.Effect<PublishReceipt, MqttError>
  /** Hands a packet over to the session. A failure is logged: what it was about ends by its timeout. */
  readonly tell: (topic: string, packet: Packet) => Effect.Effect<void>
  /** Publishes parts of a frame, several at a time. */
  readonly publishParts: (
    topic: string,
    parts: ReadonlyArray<Packet>
  ) => Effect.Effect<ReadonlyArray<PublishReceipt>, MqttError>
  /** The parts of a frame, from a first number. */
  readonly partsOf: (
    destination: Destination,
    frame: {
      readonly kind: FrameKind
      readonly call: number
      readonly sequence: number
      readonly body: Uint8Array
    }
  ) => Effect.Effect<ReadonlyArray<Packet>>
  /** Says which calls there are, if there is a connection. */
  readonly beat: (topic: string, calls: Iterable<readonly [call: number, sent: number]>) => Effect.Effect<void>
  /** Says goodbye, after something else, if there is a connection. Takes a second at most. */
  readonly bye: (before: Effect.Effect<void>, topics: ReadonlyArray<string>) => Effect.Effect<void>
  /** Says at a bearable pace that something was dropped. */
  readonly complain: (message: Message.Message, why: string) => Effect.Effect<void>
}

/** Fails with `InvalidOptions` for what is no session. */
export const checkSession = (session: unknown, method: string): Effect.Effect<void, MqttError> =>
  MqttSession.isSession(session) ? Effect.void : Effect.fail(
    new MqttError({
      method,
      reason: new InvalidOptions({ issues: [{ path: "session", message: "must be a session" }] })
    })
  )

export const makeLink = Effect.fnUntraced(function*(
  session: MqttSession.Session,
  options: ClientOptions
): Effect.fn.Return<Link, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const { clientId } = yield* session.status
  const words = [yield* Random.nextIntBetween(0, 2 ** 32), yield* Random.nextIntBetween(0, 2 ** 32)]
  const name = `${levelOf(clientId)}/${words.map((word) => word.toString(36)).join("")}`
  const overhead = overheadOf(name)
  const { qos } = options
  const now = (): number => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000
  let connections = 0
  yield* session.events.pipe(
    Stream.runForEach(({ _tag }) =>
      Effect.sync(() => {
        if (_tag === "Connected") connections++
      })
    ),
    Effect.forkScoped({ startImmediately: true })
  )

  const isConnected = Effect.map(session.connectionInfo, Option.isSome)
  const publish: Link["publish"] = ({ properties, topic }, packet) =>
    session.publish(topic, encode(packet), {
      qos,
      timeout: options.livenessTimeout,
      expiresAfter: options.livenessTimeout,
      ...(properties === undefined ? undefined : { properties })
    })
  const tell: Link["tell"] = (topic, packet) =>
    session.enqueue(topic, encode(packet), {
      qos,
      timeout: options.livenessTimeout,
      expiresAfter: options.livenessTimeout
    }).pipe(Effect.catch((error) => Effect.logDebug("RPC: a message could not be sent", error)))

  let complaints = 0
  let complainedAt = -Infinity
  return {
    session,
    topics: new Topics(options.prefix),
    name,
    options,
    now,
    connections: () => connections,
    publish,
    tell,
    publishParts: (topic, parts) =>
      Effect.forEach(parts, (part) => publish({ topic }, part), { concurrency: partsAtOnce }),
    partsOf: ({ properties, topic }, { body, call, kind, sequence }) =>
      Effect.map(session.connectionInfo, (info) => {
        // Fixed header, topic, packet identifier and the lengths of properties, generously.
        const around = overhead + 64 + 3 * topic.length + 3 * (properties?.responseTopic?.length ?? 0)
        const room = Option.match(info, {
          onNone: () => Infinity,
          onSome: ({ maximumPacketSize }) => maximumPacketSize - around
        })
        const bodies = cut(body, Math.max(1, Math.min(options.partSize, room)))
        return bodies.map((each, index) => ({
          _tag: "Part",
          kind,
          sender: name,
          call,
          sequence: sequence + index,
          isLast: index === bodies.length - 1,
          body: each
        }))
      }),
    beat: (topic, calls) =>
      Effect.gen(function*() {
        if (!(yield* isConnected)) return
        for (const some of chunksOf(calls, callsPerHeartbeat)) {
          const packet = encode({ _tag: "Heartbeat", sender: name, calls: some })
          // QoS 0: the next one makes a lost one good.
          yield* session.enqueue(topic, packet, { qos: 0, timeout: briefly })
        }
      }).pipe(Effect.ignore),
    bye: (before, topicsOf) =>
      Effect.gen(function*() {
        if (!(yield* isConnected)) return
        yield* before
        yield* Effect.forEach(
          topicsOf,
          (topic) => session.publish(topic, encode({ _tag: "Bye", sender: name }), { qos, timeout: briefly }),
          { concurrency: 64, discard: true }
        )
        // Finalizers cannot be interrupted, and this must not wait for the broker.
      }).pipe(Effect.interruptible, Effect.timeoutOption(briefly), Effect.ignore),
    complain: (message, why) =>
      Effect.suspend(() => {
        complaints++
        if (now() - complainedAt < complaintInterval) return Effect.void
        const count = complaints
        complaints = 0
        complainedAt = now()
        return Effect.logWarning(
          `RPC: ${count === 1 ? "a message was" : `${count} messages were`} ignored, the last one because ${why}`
        ).pipe(Effect.annotateLogs({ session: session.name, topic: message.topic }))
      })
  }
})

/**
 * Subscribes for the life of the scope, and hands out the messages. `onEnd` runs when they end before the scope does.
 */
export const receive = Effect.fnUntraced(function*(
  { session }: Link,
  filters: ReadonlyArray<string>,
  onMessage: (message: Message.Message) => Effect.Effect<void>,
  onEnd: (error: MqttError | undefined) => Effect.Effect<void>
): Effect.fn.Return<void, MqttError, Scope.Scope> {
  if (session.options.persistence === "durable") {
    // A durable session would keep the subscriptions, whose topics no later instance has.
    yield* Effect.addFinalizer(() =>
      Effect.forEach(filters, (filter) => Effect.interruptible(session.unsubscribe(filter)), { discard: true }).pipe(
        Effect.timeoutOption(briefly),
        Effect.ignore
      )
    )
  }
  const { messages } = yield* session.subscription(filters, { qos: 2, retained: "none" })
  yield* Stream.runForEach(messages, onMessage).pipe(
    Effect.matchEffect({
      onFailure: (error) => onEnd(isMqttError(error) ? error : undefined),
      onSuccess: () => onEnd(undefined)
    }),
    Effect.forkScoped({ startImmediately: true })
  )
})

/** Runs `tick` in each interval, and `beat` when a connection comes back, for the life of the scope. */
export const ticking = Effect.fnUntraced(function*(
  { options, session }: Link,
  tick: Effect.Effect<void>,
  beat: Effect.Effect<void>
): Effect.fn.Return<void, never, Scope.Scope> {
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(options.heartbeatInterval), tick)))
  yield* session.events.pipe(
    Stream.runForEach(({ _tag }) => _tag === "Ready" ? beat : Effect.void),
    Effect.forkScoped({ startImmediately: true })
  )
})
