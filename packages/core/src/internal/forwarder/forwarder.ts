/**
 * Puts a forwarder together: its checks, and the life of its relay between start and stop.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { Forwarding } from "../../Forwarder.ts"
import type { ForwarderMetrics, ForwarderSession, ForwarderState } from "../../ForwarderMetrics.ts"
import type { ForwarderHooks, ForwarderOptions } from "../../ForwarderOptions.ts"
import { ForwarderFailed, InvalidOptions, MqttError, type MqttErrorReason } from "../../MqttError.ts"
import type { Session } from "../../MqttSession.ts"
import * as RouteFilter from "../../RouteFilter.ts"
import { SessionLog } from "../../SessionLog.ts"
import type { Manager } from "../../SessionManager.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import type { SubscribeOptions } from "../../Subscription.ts"
import * as Topic from "../../Topic.ts"
import { definedOnly } from "../manager/pipeline.ts"
import { type Place, RouteRunner } from "../manager/routeRunner.ts"
import * as ManagerSeam from "../manager/seam.ts"
import { callable, type Checks, having, unchecked } from "../options/plain.ts"
import { refuseOptions, schedule } from "../options/subscribing.ts"
import { isSilent } from "../session/eventLog.ts"
import { withPurpose } from "../session/purpose.ts"
import * as SessionSeam from "../session/seam.ts"
import type { Subscriber } from "../session/subscriber.ts"
import type { TappedQueue } from "../session/tappedQueue.ts"
import { monotonicMillis } from "../time.ts"
import { announce } from "./announced.ts"
import { isSameBroker } from "./brokers.ts"
import { Failures } from "./failures.ts"
import { loopGuardOf } from "./loopGuard.ts"
import { type CompiledRule, compileRule } from "./mapping.ts"
import { Reader } from "./reader.ts"
import { Relay, type RelayParts } from "./relay.ts"
import type { Source } from "./source.ts"
import { Tally } from "./tally.ts"
import { feeds, withoutCovered } from "./topicImage.ts"
import { watch } from "./watch.ts"

interface Running {
  readonly relay: Relay
  readonly sources: RouteRunner<unknown>
  readonly outlets: RouteRunner<unknown>
  readonly scope: Scope.Closeable
}

const hookChecks: Checks<ForwarderHooks<unknown>> = {
  // Looked at below, in all its parts.
  filter: unchecked,
  transform: having("transform", "a RouteTransformer"),
  retry: schedule,
  map: callable
}

/**
 * Makes a forwarder that is stopped; the end of the scope stops it.
 */
export const makeForwarder = Effect.fnUntraced(function*<E, R>(
  manager: Manager,
  options: ForwarderOptions,
  hooks: ForwarderHooks<E, R>
): Effect.fn.Return<Forwarding, MqttError, R | Scope.Scope> {
  const { name } = options
  const fail = (reason: MqttErrorReason): Effect.Effect<never, MqttError> =>
    Effect.fail(new MqttError({ reason, method: "Forwarder.make", context: { forwarder: name } }))
  const invalid = (path: string, message: string): InvalidOptions => new InvalidOptions({ issues: [{ path, message }] })

  const registry = ManagerSeam.seamOf(manager)
  if (registry === undefined) return yield* fail(invalid("manager", "is not made by SessionManager.make"))
  const rules: Array<CompiledRule> = []
  for (const rule of options.mapping) {
    const compiled = compileRule(rule)
    if (Result.isFailure(compiled)) return yield* fail(compiled.failure)
    rules.push(compiled.success)
  }
  const hookIssue = refuseOptions(hooks, hookChecks) ?? hooks.transform?.issue ??
    (hooks.filter === undefined ? undefined : RouteFilter.validate(hooks.filter))
  if (hookIssue !== undefined) return yield* fail(hookIssue)

  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const context = yield* Effect.context<R>()
  const parent = yield* Effect.scope
  const guard = loopGuardOf(manager, random)
  const filters = withoutCovered(options.filters)
  const tally = new Tally()
  const failures = new Failures(name, options.target, tally, clock)
  const lock = Semaphore.makeUnsafe(1)
  const loop = feeds({
    filters,
    exclude: options.exclude,
    rules,
    pass: options.unmapped === "pass",
    isOpen: hooks.map !== undefined
  })
  const published: RelayParts["published"] = new Map()
  const readers = new Map<string, { readonly reader: Reader; readonly end: () => void }>()
  let running: Running | undefined
  let state: ForwarderState = "stopped"

  /** Why messages would go round between a source and the target without anything that stops them. */
  const loopIssue = (source: SessionOptions, target: SessionOptions): MqttErrorReason | undefined => {
    if (loop === undefined || options.allowLoops) return undefined
    // On MQTT 5 the messages themselves say where they have been.
    if (source.protocolVersion === 5 && target.protocolVersion === 5) return undefined
    if (!isSameBroker(guard.marks.of(source), guard.marks.of(target))) return undefined
    return new ForwarderFailed({
      forwarder: name,
      detail: `it would feed itself: what it writes to ${loop.image} comes back by ${loop.filter} of session ` +
        `${JSON.stringify(source.name)}, and MQTT 3.1.1 has nothing to tell by; exclude it, or set allowLoops`
    })
  }

  const acceptanceIssue = (target: SessionOptions): MqttErrorReason | undefined =>
    options.acceptance === "stored" && target.persistence !== "durable"
      ? invalid("acceptance", `"stored" needs a durable target, and session ${JSON.stringify(target.name)} is none`)
      : undefined

  /** What can be seen of the sessions that there are. */
  const knownIssue = (): MqttErrorReason | undefined => {
    const target = registry.optionsOf(options.target)
    if (target === undefined) return undefined
    const acceptance = acceptanceIssue(target)
    if (acceptance !== undefined) return acceptance
    for (const source of options.sources) {
      const known = registry.optionsOf(source)
      const issue = known === undefined ? undefined : loopIssue(known, target)
      if (issue !== undefined) return issue
    }
    return undefined
  }

  const purpose = `forwarder ${JSON.stringify(name)}`
  const targets = Array.from(new Set([options.target, options.deadLetter?.session ?? options.target]))
  const sessions = Array.from(new Set([...options.sources, ...targets]))

  const errorOf = (session: string, reason: MqttErrorReason): MqttError =>
    new MqttError({ reason, session, method: "Forwarder.start", context: { forwarder: name } })

  const noteError = (error: MqttError): Effect.Effect<void> =>
    Effect.sync(() => {
      if (error.reason._tag !== "Closed") failures.note(error)
    })

  const logUnfit = (error: MqttError): Effect.Effect<void> =>
    Effect.flatMap(SessionLog, (settings) =>
      isSilent(settings) ? Effect.void : Effect.annotateLogs(
        Effect.logError(`the target does not fit: ${error.reason.message}`),
        { forwarder: name, session: error.session, event: "TargetUnfit", reason: error.reason._tag }
      ))

  const subscribeOptions = ({ options: session }: Session): SubscribeOptions => {
    const isVersion5 = session.protocolVersion === 5
    const isShared = options.share !== undefined || filters.some(Topic.isShared)
    return withPurpose({
      ...definedOnly({
        share: options.share,
        consumer: session.persistence === "durable" ? consumerName(name) : undefined
      }),
      qos: options.subscribeQoS,
      retained: options.retained,
      buffer: options.buffer,
      onOverflow: options.onOverflow,
      noLocal: isVersion5 && !isShared && (options.noLocal ?? session.name === options.target),
      retainAsPublished: isVersion5 && options.retain === "keep"
    }, purpose)
  }

  /** Where somebody else has subscribed to the filter already, what the two want of it may differ: the older subscription stands. */
  const subscribe = (
    subscriber: Subscriber,
    source: Source,
    subscribing: SubscribeOptions
  ): Effect.Effect<TappedQueue, MqttError, Scope.Scope> =>
    Effect.catch(subscriber.tap(filters, subscribing, source), (error) => {
      const isSpecial = subscribing.noLocal === true || subscribing.retainAsPublished === true
      if (error.reason._tag !== "SubscriptionConflict" || !isSpecial) return Effect.fail(error)
      const common = { ...subscribing, noLocal: false, retainAsPublished: false }
      return Effect.andThen(noteError(error), subscriber.tap(filters, common, source))
    })

  /**
   * The same through stops and starts, and when a session of its name comes back: what was written meanwhile may be
   * delivered then.
   */
  const readerAt = ({ options: session }: Session): Reader => {
    const brokers = guard.marks.of(session)
    const known = readers.get(session.name)
    if (known?.reader.options.brokers === brokers && known.reader.options.protocolVersion === session.protocolVersion) {
      return known.reader
    }
    known?.end()
    const reader = new Reader({
      brokers,
      filters,
      protocolVersion: session.protocolVersion,
      share: options.share,
      isResumed: session.persistence !== "none"
    })
    readers.set(session.name, { reader, end: guard.echoes.read(reader, monotonicMillis(clock)) })
    return reader
  }

  const attachSource = (runner: RouteRunner<unknown>, relay: Relay) => (place: Place): Effect.Effect<void, MqttError> =>
    Effect.scoped(Effect.gen(function*() {
      const { session } = place
      const seam = SessionSeam.seamOf(session)!
      const target = registry.optionsOf(options.target)
      const issue = target === undefined ? undefined : loopIssue(session.options, target)
      if (issue !== undefined) return yield* seam.subscriber.refuse(filters, purpose, errorOf(session.name, issue))
      const reader = readerAt(session)
      const source = yield* Effect.acquireRelease(
        Effect.sync(() => {
          reader.attach(seam.driver)
          return relay.addSource(session, seam, reader)
        }),
        (source) =>
          Effect.sync(() => {
            relay.removeSource(source)
            reader.detach(seam.driver.now())
          })
      )
      const queue = yield* subscribe(seam.subscriber, source, subscribeOptions(session))
      runner.activate(place, {
        filters: queue.consumer.request.filters,
        granted: queue.consumer.granted,
        pending: Effect.sync(() => ({ messages: queue.size, dropped: queue.dropped, highWater: queue.highWater }))
      })
      yield* Effect.raceFirst(source.failure, untilClosed(session))
    })).pipe(Effect.tapError(noteError))

  const attachOutlets =
    (outlets: RouteRunner<unknown>, relay: Relay) => (place: Place): Effect.Effect<void, MqttError> =>
      Effect.scoped(Effect.gen(function*() {
        const { session } = place
        const seam = SessionSeam.seamOf(session)!
        const issue = session.name === options.target ? acceptanceIssue(session.options) : undefined
        if (issue !== undefined) {
          const error = errorOf(session.name, issue)
          yield* logUnfit(error)
          return yield* error
        }
        for (const outlet of relay.outletsOf(session.name)) {
          yield* Effect.acquireRelease(
            Effect.sync(() => outlet.join(session, seam)),
            () => Effect.sync(() => outlet.leave(session))
          )
        }
        outlets.activate(place)
        yield* untilClosed(session)
      })).pipe(Effect.tapError(noteError))

  const begin = Effect.gen(function*() {
    const fork = yield* FiberSet.runtime(yield* FiberSet.make<unknown, unknown>())<R>()
    const relay = new Relay({
      options: { ...options, filters },
      rules,
      hooks: hooks as ForwarderHooks<unknown>,
      tally,
      failures,
      published,
      clock,
      random,
      guard,
      brokersOf: (session) => {
        const known = registry.optionsOf(session)
        return known === undefined ? undefined : guard.marks.of(known)
      },
      fork: fork as never
    })
    const runnerFor = (only: ReadonlySet<string>): RouteRunner<unknown> =>
      new RouteRunner<unknown>({ filters, session: undefined, only, description: `forwarder ${name}`, purpose, clock })
    const outlets = runnerFor(new Set(targets))
    yield* outlets.start({ attach: attachOutlets(outlets, relay), onEnd: () => {} })
    const sources = runnerFor(new Set(options.sources))
    yield* sources.start({ attach: attachSource(sources, relay), onEnd: () => {} })
    for (const runner of [outlets, sources]) {
      yield* Effect.acquireRelease(
        Effect.sync(() => registry.follow(runner)),
        (end) => Effect.sync(end)
      )
    }
    yield* watch({
      forwarder: name,
      missing: () => sessions.filter((session) => registry.optionsOf(session) === undefined),
      changes: manager.eventsOf({ type: ["Added", "Removed"] }),
      tally,
      settings: yield* SessionLog
    })
    return { relay, sources, outlets }
  })

  const start: Effect.Effect<void, MqttError> = lock.withPermits(1)(Effect.uninterruptible(Effect.gen(function*() {
    if (running !== undefined) return
    const issue = knownIssue()
    if (issue !== undefined) return yield* fail(issue)
    const scope = yield* Scope.make()
    const parts = yield* begin.pipe(
      Scope.provide(scope),
      Effect.provideContext(context),
      Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void)
    )
    running = { ...parts, scope }
    state = "running"
  })))

  const stop: Effect.Effect<void> = lock.withPermits(1)(Effect.uninterruptible(Effect.suspend(() => {
    if (running === undefined) return Effect.void
    const { relay, scope } = running
    state = "stopping"
    return Effect.andThen(
      relay.stop(options.stopTimeout),
      Effect.andThen(
        Scope.close(scope, Exit.void),
        Effect.sync(() => {
          running = undefined
          state = "stopped"
        })
      )
    )
  })))

  yield* Scope.addFinalizer(
    parent,
    Effect.andThen(
      stop,
      Effect.sync(() => {
        for (const { end } of readers.values()) end()
        failures.end()
      })
    )
  )

  /** How a part of the forwarder stands with its sessions. */
  const standing = (
    runner: RouteRunner<unknown> | undefined,
    names: ReadonlyArray<string>
  ): Effect.Effect<ReadonlyArray<ForwarderSession>> =>
    runner === undefined ?
      Effect.succeed([]) :
      Effect.map(runner.route.sessions, (places) =>
        names.map((session): ForwarderSession => {
          const place = places.get(session)
          if (place !== undefined) return { name: session, state: place.state, error: place.error }
          const state = registry.optionsOf(session) === undefined ? "missing" : "joining"
          return { name: session, state, error: undefined }
        }))

  const metrics: Effect.Effect<ForwarderMetrics> = Effect.gen(function*() {
    const now = monotonicMillis(clock)
    const standings = {
      sources: yield* standing(running?.sources, options.sources),
      targets: yield* standing(running?.outlets, targets)
    }
    return snapshot(options, tally, state, running?.relay, standings, now)
  })

  yield* Effect.acquireRelease(
    Effect.sync(() => announce(manager, metrics)),
    (end) => Effect.sync(end)
  )

  return {
    name,
    options,
    start: Effect.withSpan(start, "Forwarder.start"),
    stop: Effect.withSpan(stop, "Forwarder.stop"),
    restart: Effect.andThen(stop, start),
    state: Effect.sync(() => state),
    failures: failures.stream,
    active: Effect.suspend(() => running === undefined ? Effect.void : running.sources.route.active),
    metrics
  }
})

/** The name by which the durable sessions that it receives from know a forwarder, see `SubscribeOptions.consumer`. */
const consumerName = (forwarder: string): string => `forwarder ${forwarder}`

/** A forwarder is removed: the durable sessions that are there wait for it no longer. */
export const forgetForwarder = (manager: Manager, { name, sources, target }: ForwarderOptions): Effect.Effect<void> =>
  Effect.suspend(() => {
    const registry = ManagerSeam.seamOf(manager)
    const published = registry?.sessionOf(target)
    if (published !== undefined) SessionSeam.seamOf(published)?.origins?.forgetForwarder(name)
    return Effect.forEach(
      sources,
      (source) => registry?.sessionOf(source)?.forgetConsumer(consumerName(name)) ?? Effect.void,
      { discard: true }
    )
  })

const snapshot = (
  { name }: ForwarderOptions,
  tally: Tally,
  state: ForwarderState,
  relay: Relay | undefined,
  { sources, targets }: Pick<ForwarderMetrics, "sources" | "targets">,
  now: number
): ForwarderMetrics => {
  const overflowed = relay?.overflowed ?? 0
  return {
    name,
    state,
    sources,
    targets,
    activeSources: sources.filter((source) => source.state === "active").length,
    targetConnected: relay?.target.seam?.driver.connection !== undefined,
    received: tally.received + overflowed,
    forwarded: tally.forwarded,
    filtered: tally.filtered,
    dropped: { ...tally.dropped, overflow: tally.dropped.overflow + overflowed },
    deadLettered: tally.deadLettered,
    failed: tally.failed,
    duplicates: tally.duplicates,
    returned: tally.returned,
    inFlight: relay?.inFlight ?? 0,
    retried: tally.retried,
    refusedLater: tally.refusedLater,
    lag: relay?.lag(now) ?? 0,
    rates: { received: tally.receivedRate.at(now), forwarded: tally.forwardedRate.at(now) },
    bytesForwarded: tally.bytesForwarded,
    lastForwardedAt: tally.lastForwardedAt,
    lastErrorAt: tally.lastErrorAt,
    lastError: tally.lastError
  }
}

const untilClosed = (session: Session): Effect.Effect<void> =>
  session.statusChanges.pipe(Stream.takeUntil(({ state }) => state === "closed"), Stream.runDrain)
