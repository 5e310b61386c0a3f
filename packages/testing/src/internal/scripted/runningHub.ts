/**
 * Runs the hub of a scripted broker with its records and its clock.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import type { ClientViolation, DeliveryOutcome, PublishedMessage } from "../broker/contract.ts"
import { mistakeOf, orDie } from "../checks.ts"
import { makeGuard } from "../profiles/guard.ts"
import { profiles } from "../profiles/profiles.ts"
import { brokerChecks } from "./checks.ts"
import type { ListenOptions } from "./contract.ts"
import { Hub } from "./hub.ts"
import { Lifetimes } from "./lifetimes.ts"
import type { Accept } from "./listening.ts"
import { makeRandom } from "./random.ts"
import { makeRecorder, type Recorder } from "./recorder.ts"
import { makeRefusals, type Refusals } from "./refusals.ts"

const mebibyte = 1_048_576
// Milliseconds. A deadline is awaited in several sleeps, because timers of the platform are limited to 24 days.
const longestSleep = 3_600_000

/**
 * A hub with its logs and its clock.
 */
export interface RunningHub {
  readonly hub: Hub
  readonly recorder: Recorder
  readonly refusals: Refusals
  readonly accept: Accept
  readonly published: Array<PublishedMessage>
  readonly deliveries: Array<DeliveryOutcome>
  readonly violations: Array<ClientViolation>
  readonly trackers: Map<number, Tracker>
  /** Set while the broker itself publishes: receives the outcomes of that message. */
  capture: Array<DeliveryOutcome> | undefined
  isAccepting: boolean
}

/** The outcomes of one message that the broker itself has published. */
export interface Tracker {
  readonly outcomes: Array<DeliveryOutcome>
  isSettled: boolean
}

export const recordLimit = (record: boolean | number | undefined): number =>
  typeof record === "number" ? record : record === false ? 0 : Infinity

export const makeHub = (options: ListenOptions, method: string): Effect.Effect<RunningHub, never, Scope.Scope> =>
  Effect.gen(function*() {
    yield* orDie(() => mistakeOf(`ScriptedBroker.${method}`, options, brokerChecks))
    const clock = yield* Clock.Clock
    const wake = Latch.makeUnsafe(false)
    const random = makeRandom(options.seed ?? 1)
    const recorder = makeRecorder(recordLimit(options.record))
    const refusals = makeRefusals(options)
    const published: Array<PublishedMessage> = []
    const deliveries: Array<DeliveryOutcome> = []
    const violations: Array<ClientViolation> = []
    const trackers = new Map<number, Tracker>()
    const {
      maximumPendingBytes,
      profile: profileName,
      record: _record,
      seed: _seed,
      throttling = true,
      users: _users,
      webSocket: _webSocket,
      ...core
    } = options
    const profile = profileName === undefined ? undefined : profiles[profileName]
    const hub = new Hub({
      core: {
        ...profile?.behaviour,
        ...core,
        limits: { ...profile?.limits, ...core.limits },
        guard: profile === undefined ? undefined : makeGuard(profile, throttling),
        authenticate: refusals.authenticate,
        authorizePublish: refusals.authorizePublish,
        authorizeSubscribe: refusals.authorizeSubscribe,
        onPublished: (message) => {
          recorder.append(published, message)
          options.onPublished?.(message)
        },
        onDelivery: (outcome) => {
          recorder.append(deliveries, outcome)
          if (running.capture !== undefined) running.capture.push(outcome)
          else if (trackers.size > 0) trackers.get(outcome.message.sequence)?.outcomes.push(outcome)
          options.onDelivery?.(outcome)
        },
        onPublicationSettled: ({ message }) => {
          const tracker = trackers.get(message.sequence)
          if (tracker === undefined) return
          tracker.isSettled = true
          trackers.delete(message.sequence)
        },
        onViolation: (violation) => {
          violations.push(violation)
          options.onViolation?.(violation)
        }
      },
      now: () => clock.currentTimeMillisUnsafe(),
      random,
      recorder,
      maximumPendingBytes: maximumPendingBytes ?? 16 * mebibyte,
      onDeadline: () => {
        wake.openUnsafe()
      }
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => hub.crash()))
    yield* Effect.forkScoped(watchTime(hub, clock, wake), { startImmediately: true })
    const lifetime = profile?.quotas.webSocketLifetime
    const lifetimes = lifetime === undefined ? undefined : new Lifetimes(hub, lifetime)
    const running: RunningHub = {
      hub,
      recorder,
      refusals,
      accept: (stream, network, isWebSocket = network === "ws") => {
        const handlers = running.isAccepting ? hub.accept(stream, network) : undefined
        if (handlers !== undefined && isWebSocket) lifetimes?.begin(hub.table.all.at(-1)!)
        return handlers
      },
      published,
      deliveries,
      violations,
      trackers,
      capture: undefined,
      isAccepting: true
    }
    return running
  })

/** Runs the hub's due work, by the clock that the broker was made with. */
const watchTime = (hub: Hub, clock: Clock.Clock, wake: Latch.Latch): Effect.Effect<never> =>
  Effect.forever(
    Effect.suspend(() => {
      wake.closeUnsafe()
      const wait = hub.nextDeadline() - clock.currentTimeMillisUnsafe()
      return Effect.andThen(
        wait === Infinity
          ? wake.await
          : Effect.raceFirst(wake.await, Effect.sleep(Math.min(Math.max(Math.ceil(wait), 0), longestSleep))),
        Effect.sync(() => hub.tick())
      )
    }),
    { disableYield: true }
  )
