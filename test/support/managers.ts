/**
 * What the tests of the manager share: managers on a scripted broker, and ledgers of events and messages.
 */
import type { Message } from "@effect-mqttx/core/Message"
import { MqttError, type MqttErrorReason } from "@effect-mqttx/core/MqttError"
import type { Session } from "@effect-mqttx/core/MqttSession"
import type { SessionEvent } from "@effect-mqttx/core/SessionEvent"
import * as SessionManager from "@effect-mqttx/core/SessionManager"
import type { Persistence, SessionOptionsInput } from "@effect-mqttx/core/SessionOptions"
import * as Transport from "@effect-mqttx/core/Transport"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert } from "@effect/vitest"
import { Effect, Queue, type Scope, Stream } from "effect"
import { addSession, type Options, type StoreFor } from "./anySession.ts"

export type { Options } from "./anySession.ts"

/** Waiting for the default schedule is not what most of these tests are about. */
export const impatient: NonNullable<Options["reconnect"]> = {
  initialDelay: "1 millis",
  maxDelay: "1 millis",
  factor: 1,
  jitter: "none"
}

/** A broker in memory with a manager whose sessions reach it. */
export interface World {
  readonly broker: ScriptedBroker.Service
  readonly manager: SessionManager.SessionManager["Service"]
  /** Options of a session at the broker. */
  readonly options: <P extends Persistence = never>(name: string, options?: Options<P>) => SessionOptionsInput<P>
  /** Adds a session and waits until it is ready. */
  readonly ready: <P extends Persistence = never>(
    name: string,
    options?: Options<P>
  ) => Effect.Effect<Session, MqttError, StoreFor<P>>
}

export const makeWorld = Effect.fnUntraced(function*(
  options: SessionManager.ManagerOptions<"none" | "process"> = {},
  brokerOptions: ScriptedBroker.ScriptedBrokerOptions = {}
): Effect.fn.Return<World, MqttError, Scope.Scope> {
  const broker = yield* ScriptedBroker.makeMemory(brokerOptions)
  const manager = yield* Effect.provideService(SessionManager.make(options), Transport.Transport, broker.transport)
  const sessionOptions: World["options"] = (name, given) => ({
    name,
    servers: [broker.url],
    reconnect: impatient,
    ...given
  })
  return {
    broker,
    manager,
    options: sessionOptions,
    ready: (name, given) => Effect.tap(addSession(manager, sessionOptions(name, given)), ({ awaitReady }) => awaitReady)
  }
})

/** Every event of a manager from now on, and the recent past. */
export interface EventLog {
  readonly all: Array<SessionEvent>
  /** Waits until there has been such an event. */
  readonly until: (found: (event: SessionEvent) => boolean) => Effect.Effect<SessionEvent>
  readonly tags: (session?: string) => ReadonlyArray<SessionEvent["_tag"]>
}

export const logOf = Effect.fnUntraced(function*(
  manager: SessionManager.SessionManager["Service"]
): Effect.fn.Return<EventLog, never, Scope.Scope> {
  const all: Array<SessionEvent> = []
  const waiters = new Set<() => void>()
  yield* Effect.forkScoped(
    Stream.runForEach(manager.events, (event) =>
      Effect.sync(() => {
        all.push(event)
        for (const waiter of waiters) waiter()
      })),
    { startImmediately: true }
  )
  return {
    all,
    until: (found) =>
      Effect.callback((resume) => {
        const look = (): void => {
          const event = all.find(found)
          if (event === undefined) return
          waiters.delete(look)
          resume(Effect.succeed(event))
        }
        waiters.add(look)
        look()
        return Effect.sync(() => waiters.delete(look))
      }),
    tags: (session) => all.filter((event) => session === undefined || event.session === session).map(({ _tag }) => _tag)
  }
})

/** The reason with which an effect fails. */
export const reasonOf = <A, R>(effect: Effect.Effect<A, MqttError, R>): Effect.Effect<MqttErrorReason, A, R> =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, MqttError)
    return error.reason
  })

/** What a handler or a stream got. */
export interface Inbox {
  readonly messages: Array<Message>
  readonly put: (message: Message) => Effect.Effect<void>
  /** The next messages that no one has taken. */
  readonly take: (count: number) => Effect.Effect<ReadonlyArray<Message>>
}

export const makeInbox: Effect.Effect<Inbox> = Effect.map(Queue.unbounded<Message>(), (queue) => {
  const messages: Array<Message> = []
  return {
    messages,
    put: (message) =>
      Effect.suspend(() => {
        messages.push(message)
        return Effect.asVoid(Queue.offer(queue, message))
      }),
    take: (count) => Effect.map(Queue.takeN(queue, count), (taken) => taken)
  }
})

export const texts = (messages: ReadonlyArray<Message>): ReadonlyArray<string> => messages.map(({ text }) => text)

/** The sessions that messages came through. */
export const from = (messages: ReadonlyArray<Message>): ReadonlyArray<string> =>
  messages.map(({ session }) => session).sort()

/** Runs a stream into an inbox, in the background. */
export const collect = <E>(stream: Stream.Stream<Message, E>): Effect.Effect<Inbox, never, Scope.Scope> =>
  Effect.gen(function*() {
    const inbox = yield* makeInbox
    yield* Effect.forkScoped(Stream.runForEach(stream, inbox.put), { startImmediately: true })
    return inbox
  })
