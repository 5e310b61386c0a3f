/**
 * What the tests of a session at its limits share: sessions of a scripted broker, and ledgers of what arrived.
 */
import type { Message } from "@effect-mqttx/core/Message"
import { MqttError, type MqttErrorReason } from "@effect-mqttx/core/MqttError"
import type * as MqttSession from "@effect-mqttx/core/MqttSession"
import type { SessionEvent } from "@effect-mqttx/core/SessionEvent"
import type * as SessionOptions from "@effect-mqttx/core/SessionOptions"
import * as Transport from "@effect-mqttx/core/Transport"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert } from "@effect/vitest"
import { Effect, Queue, type Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { openSession, type Options, type StoreFor } from "./anySession.ts"

export type { Options } from "./anySession.ts"

/** Waiting for the default schedule is not what most of these tests are about. */
export const impatient: NonNullable<Options["reconnect"]> = {
  initialDelay: "1 millis",
  maxDelay: "1 millis",
  factor: 1,
  jitter: "none"
}

export type Network = "memory" | "tcp"

/** A broker, and how its sessions reach it. */
export const makeBroker = (network: Network, options?: ScriptedBroker.ListenOptions) =>
  network === "memory" ? ScriptedBroker.makeMemory(options) : ScriptedBroker.make(options)

let sessions = 0

/** A session of the broker that has begun to connect. */
export const makeSession = <P extends SessionOptions.Persistence = never>(
  broker: ScriptedBroker.Service,
  options?: Options<P>
): Effect.Effect<MqttSession.Session, MqttError, Scope.Scope | StoreFor<P>> => {
  const session = openSession<P>({
    name: `session-${++sessions}`,
    servers: [broker.url],
    reconnect: impatient,
    ...options
  })
  return broker.ports.tcp === undefined
    ? Effect.provideService(session, Transport.Transport, broker.transport)
    : session
}

/** A session that is ready. */
export const readySession = <P extends SessionOptions.Persistence = never>(
  broker: ScriptedBroker.Service,
  options?: Options<P>
): Effect.Effect<MqttSession.Session, MqttError, Scope.Scope | StoreFor<P>> =>
  Effect.tap(makeSession(broker, options), (session) => session.awaitReady)

/** Every event of a session from now on, in a queue. */
export const eventsOf = Effect.fnUntraced(function*(
  session: MqttSession.Session
): Effect.fn.Return<Queue.Dequeue<SessionEvent>, never, Scope.Scope> {
  const queue = yield* Queue.unbounded<SessionEvent>()
  yield* Effect.forkScoped(Stream.runForEach(session.events, (event) => Queue.offer(queue, event)), {
    startImmediately: true
  })
  return queue
})

/** The next event of a kind; those before it are dropped. */
export const nextEvent = <Tag extends SessionEvent["_tag"]>(
  events: Queue.Dequeue<SessionEvent>,
  tag: Tag
): Effect.Effect<Extract<SessionEvent, { readonly _tag: Tag }>> =>
  Effect.gen(function*() {
    while (true) {
      const event = yield* Queue.take(events)
      if (event._tag === tag) return event as Extract<SessionEvent, { readonly _tag: Tag }>
    }
  })

/** The events since the last look, each with its time and what matters of it. */
export const told = (events: Queue.Dequeue<SessionEvent>): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(Effect.andThen(settle, Queue.clear(events)), (all) =>
    all.map((event) => {
      switch (event._tag) {
        case "StateChanged":
          return `${event.at} ${event.from} -> ${event.to}`
        case "Connecting":
          return `${event.at} Connecting ${event.attempt}`
        case "Reconnecting":
          return `${event.at} Reconnecting ${event.attempt} in ${event.delay}`
        default:
          return `${event.at} ${event._tag}`
      }
    }))

/** When the broker got a CONNECT. */
export const connectsOf = (broker: ScriptedBroker.Service, clientId?: string): ReadonlyArray<number> =>
  broker.received("Connect", clientId).map(({ at }) => at)

/** The reason with which an effect fails. */
export const reasonOf = <A, R>(effect: Effect.Effect<A, MqttError, R>): Effect.Effect<MqttErrorReason, A, R> =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, MqttError)
    return error.reason
  })

/** Lets everything run that needs no time: loop turns and microtasks. */
export const settle: Effect.Effect<void> = Effect.callback<void>((resume) => {
  let turns = 0
  const next = (): void => {
    if (++turns > 20) resume(Effect.void)
    else setImmediate(next)
  }
  next()
})

/** Moves the test clock in small steps, and lets everything run after each. */
export const pass = (millis: number, step = 100): Effect.Effect<void> =>
  Effect.gen(function*() {
    yield* settle
    for (let passed = 0; passed < millis; passed += step) {
      yield* TestClock.adjust(Math.min(step, millis - passed))
      yield* settle
    }
  })

/**
 * What arrived of messages that are numbered from 1 on each topic.
 */
export class Ledger {
  readonly #topics = new Map<string, Array<number>>()
  #count = 0
  #listeners = new Set<() => void>()

  note(topic: string, number: number): void {
    let numbers = this.#topics.get(topic)
    if (numbers === undefined) this.#topics.set(topic, numbers = [])
    numbers.push(number)
    this.#count++
    for (const listener of this.#listeners) listener()
  }

  noteMessage(message: Message): void {
    this.note(message.topic, Number(message.text))
  }

  /** Arrivals, those that came again included. */
  get count(): number {
    return this.#count
  }

  /** Topics with what is missing, of `each` messages on each of `topics`. */
  missing(topics: ReadonlyArray<string>, each: number): ReadonlyArray<string> {
    return topics.flatMap((topic) => {
      const seen = new Set(this.#topics.get(topic))
      const missing: Array<string> = []
      for (let number = 1; number <= each; number++) if (!seen.has(number)) missing.push(`${topic}: ${number}`)
      return missing
    })
  }

  get duplicates(): number {
    let count = 0
    for (const numbers of this.#topics.values()) count += numbers.length - new Set(numbers).size
    return count
  }

  /** Messages that came before an earlier one of their topic had come for the first time. */
  get misordered(): ReadonlyArray<string> {
    const found: Array<string> = []
    for (const [topic, numbers] of this.#topics) {
      let highest = 0
      for (const number of numbers) {
        if (number > highest + 1) found.push(`${topic}: ${number} after ${highest}`)
        highest = Math.max(highest, number)
      }
    }
    return found
  }

  /** Succeeds when nothing of `each` messages on each of `topics` is missing. */
  complete(topics: ReadonlyArray<string>, each: number): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const check = (): void => {
        if (this.#count < topics.length * each || this.missing(topics, each).length > 0) return
        this.#listeners.delete(check)
        resume(Effect.void)
      }
      this.#listeners.add(check)
      check()
      return Effect.sync(() => this.#listeners.delete(check))
    })
  }
}
