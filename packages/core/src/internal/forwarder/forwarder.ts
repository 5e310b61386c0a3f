/**
 * Assembles a forwarder: its option checks, and the life of its relay between start and stop.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { ForwarderMetrics, ForwarderSession, ForwarderState } from "../../ForwarderMetrics.ts"
import { InvalidOptions, MqttError, type MqttErrorReason } from "../../MqttError.ts"
import * as RouteFilter from "../../RouteFilter.ts"
import { SessionLog } from "../../SessionLog.ts"
import type { Manager } from "../manager/contract.ts"
import { type Registry, registryOf } from "../manager/registry.ts"
import { RouteRunner } from "../manager/routeRunner.ts"
import { callable, type Checks, having, unchecked } from "../options/plain.ts"
import { refuseOptions, schedule } from "../options/subscribing.ts"
import { monotonicMillis } from "../time.ts"
import { batchIssue } from "./batching.ts"
import type { Forwarding } from "./contract.ts"
import { Counters } from "./counters.ts"
import { EarlierRuns } from "./earlierRuns.ts"
import { Failures } from "./failures.ts"
import { type LoopGuard, loopGuardOf } from "./loopGuard.ts"
import { type CompiledRule, compileRule } from "./mapping.ts"
import { consumerName, Memberships } from "./memberships.ts"
import { registerMetrics } from "./metricsRegistry.ts"
import type { ForwarderHooks, ForwarderOptions } from "./options.ts"
import { Relay, type RelayParts } from "./relay.ts"
import { SessionChecks } from "./sessionChecks.ts"
import { withoutCovered } from "./topicImage.ts"
import { watch } from "./watch.ts"

const hookChecks: Checks<ForwarderHooks<unknown>> = {
  // Checked below, in all its parts.
  filter: unchecked,
  transform: having("transform", "a RouteTransformer"),
  retry: schedule,
  map: callable,
  // Checked below, in all its parts.
  batch: unchecked,
  split: callable
}

/**
 * Makes a stopped forwarder. Closing the scope stops it.
 */
export const makeForwarder = Effect.fnUntraced(function*<E, R>(
  manager: Manager,
  options: ForwarderOptions,
  hooks: ForwarderHooks<E, R>,
  earlierRuns: EarlierRuns = new EarlierRuns()
): Effect.fn.Return<Forwarding, MqttError, R | Scope.Scope> {
  const registry = registryOf(manager)
  if (registry === undefined) {
    const issues = [{ path: "manager", message: "is not made by SessionManager.make" }]
    return yield* makeError(options.name, new InvalidOptions({ issues }))
  }
  const rules: Array<CompiledRule> = []
  for (const rule of options.mapping) {
    const compiled = compileRule(rule)
    if (Result.isFailure(compiled)) return yield* makeError(options.name, compiled.failure)
    rules.push(compiled.success)
  }
  const hookIssue = refuseOptions(hooks, hookChecks) ?? batchIssue(hooks) ?? hooks.transform?.issue ??
    (hooks.filter === undefined ? undefined : RouteFilter.validate(hooks.filter))
  if (hookIssue !== undefined) return yield* makeError(options.name, hookIssue)

  const forwarder = new ForwarderCore({
    options,
    hooks: hooks as ForwarderHooks<unknown>,
    rules,
    manager,
    registry,
    earlierRuns,
    clock: yield* Clock.Clock,
    random: yield* Random.Random,
    context: yield* Effect.context<R>() as Effect.Effect<Context.Context<never>, never, R>
  })
  yield* Scope.addFinalizer(yield* Effect.scope, forwarder.end)
  yield* Effect.acquireRelease(
    Effect.sync(() => registerMetrics(manager, forwarder.metrics)),
    (withdraw) => Effect.sync(withdraw)
  )
  return {
    name: options.name,
    options,
    start: Effect.withSpan(forwarder.start, "Forwarder.start"),
    stop: Effect.withSpan(forwarder.stop, "Forwarder.stop"),
    restart: Effect.andThen(forwarder.stop, forwarder.start),
    state: Effect.sync(() => forwarder.state),
    failures: forwarder.failures.stream,
    active: forwarder.active,
    metrics: forwarder.metrics
  }
})

interface ForwarderParts {
  readonly options: ForwarderOptions
  readonly hooks: ForwarderHooks<unknown>
  readonly rules: ReadonlyArray<CompiledRule>
  readonly manager: Manager
  readonly registry: Registry
  readonly earlierRuns: EarlierRuns
  readonly clock: Clock.Clock
  readonly random: RelayParts["random"]
  /** The context in which the forwarder was made, for the program's functions. */
  readonly context: Context.Context<never>
}

interface Running {
  readonly relay: Relay
  readonly sources: RouteRunner<unknown>
  readonly targetQueues: RouteRunner<unknown>
  readonly scope: Scope.Closeable
}

/** The life of a forwarder between starts and stops. */
class ForwarderCore {
  readonly failures: Failures
  state: ForwarderState = "stopped"
  readonly #parts: ForwarderParts
  readonly #filters: ReadonlyArray<string>
  readonly #counters: Counters
  readonly #guard: LoopGuard
  readonly #sessionChecks: SessionChecks
  readonly #memberships: Memberships
  readonly #targets: ReadonlyArray<string>
  readonly #purpose: string
  readonly #lock = Semaphore.makeUnsafe(1)
  #running: Running | undefined

  constructor(parts: ForwarderParts) {
    const { clock, hooks, manager, options, random, registry, rules } = parts
    this.#parts = parts
    this.#counters = new Counters(clock)
    this.#filters = withoutCovered(options.filters)
    this.#guard = loopGuardOf(manager, random)
    this.failures = new Failures(options.name, options.target, this.#counters, clock)
    this.#targets = Array.from(new Set([options.target, options.deadLetter?.session ?? options.target]))
    this.#purpose = `forwarder ${JSON.stringify(options.name)}`
    this.#sessionChecks = new SessionChecks({
      options,
      filters: this.#filters,
      rules,
      isOpen: hooks.map !== undefined,
      marks: this.#guard.marks,
      optionsOf: (session) => registry.optionsOf(session)
    })
    this.#memberships = new Memberships({
      options,
      filters: this.#filters,
      purpose: this.#purpose,
      failures: this.failures,
      sessionChecks: this.#sessionChecks,
      guard: this.#guard,
      now: () => monotonicMillis(clock)
    })
  }

  get start(): Effect.Effect<void, MqttError> {
    return this.#lock.withPermits(1)(Effect.uninterruptible(Effect.gen({ self: this }, function*() {
      if (this.#running !== undefined) return
      const { context, options } = this.#parts
      const { issue } = this.#sessionChecks
      if (issue !== undefined) return yield* makeError(options.name, issue)
      const scope = yield* Scope.make()
      const parts = yield* this.#begin.pipe(
        Scope.provide(scope),
        Effect.provideContext(context),
        Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void)
      )
      this.#running = { ...parts, scope }
      this.state = "running"
    })))
  }

  get stop(): Effect.Effect<void> {
    return this.#lock.withPermits(1)(Effect.uninterruptible(Effect.gen({ self: this }, function*() {
      if (this.#running === undefined) return
      const { relay, scope } = this.#running
      this.state = "stopping"
      yield* relay.stop(this.#parts.options.stopTimeout)
      yield* Scope.close(scope, Exit.void)
      this.#running = undefined
      this.state = "stopped"
    })))
  }

  /** The end of the forwarder's scope. */
  get end(): Effect.Effect<void> {
    return Effect.andThen(
      this.stop,
      Effect.sync(() => {
        this.#memberships.end()
        this.failures.end()
      })
    )
  }

  /** See `Forwarding.active`. */
  get active(): Effect.Effect<void, MqttError> {
    return Effect.suspend(() => this.#running === undefined ? Effect.void : this.#running.sources.route.active)
  }

  get metrics(): Effect.Effect<ForwarderMetrics> {
    return Effect.gen({ self: this }, function*() {
      const { clock, options } = this.#parts
      const running = this.#running
      const standings = {
        sources: yield* this.#standing(running?.sources, options.sources),
        targets: yield* this.#standing(running?.targetQueues, this.#targets)
      }
      return snapshot(options, this.#counters, this.state, running?.relay, standings, monotonicMillis(clock))
    })
  }

  get #begin(): Effect.Effect<Omit<Running, "scope">, never, Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      const { clock, earlierRuns, hooks, manager, options, random, registry, rules } = this.#parts
      const fork = yield* FiberSet.runtime(yield* FiberSet.make<unknown, unknown>())<never>()
      const relay = new Relay({
        options: { ...options, filters: this.#filters },
        rules,
        hooks,
        counters: this.#counters,
        failures: this.failures,
        earlierRuns,
        clock,
        random,
        guard: this.#guard,
        brokersOf: (session) => {
          const known = registry.optionsOf(session)
          return known === undefined ? undefined : this.#guard.marks.of(known)
        },
        fork: fork as never
      })
      const targetQueues = this.#runnerFor(this.#targets)
      yield* targetQueues.start({
        attach: (membership) => this.#memberships.target(targetQueues, relay, membership),
        onEnd: () => {}
      })
      const sources = this.#runnerFor(options.sources)
      yield* sources.start({
        attach: (membership) => this.#memberships.source(sources, relay, membership),
        onEnd: () => {}
      })
      for (const runner of [targetQueues, sources]) {
        yield* Effect.acquireRelease(
          Effect.sync(() => registry.follow(runner)),
          (end) => Effect.sync(end)
        )
      }
      const sessions = Array.from(new Set([...options.sources, ...this.#targets]))
      yield* watch({
        forwarder: options.name,
        missing: () => sessions.filter((session) => registry.optionsOf(session) === undefined),
        changes: manager.eventsOf({ type: ["Added", "Removed"] }),
        counters: this.#counters,
        settings: yield* SessionLog
      })
      return { relay, sources, targetQueues }
    })
  }

  #runnerFor(sessions: ReadonlyArray<string>): RouteRunner<unknown> {
    return new RouteRunner<unknown>({
      filters: this.#filters,
      session: undefined,
      only: new Set(sessions),
      description: `forwarder ${this.#parts.options.name}`,
      purpose: this.#purpose,
      clock: this.#parts.clock
    })
  }

  /** The status of one part of the forwarder at its sessions. */
  #standing(
    runner: RouteRunner<unknown> | undefined,
    names: ReadonlyArray<string>
  ): Effect.Effect<ReadonlyArray<ForwarderSession>> {
    if (runner === undefined) return Effect.succeed([])
    return Effect.map(runner.route.sessions, (memberships) =>
      names.map((session): ForwarderSession => {
        const membership = memberships.get(session)
        if (membership !== undefined) return { name: session, state: membership.state, error: membership.error }
        const state = this.#parts.registry.optionsOf(session) === undefined ? "missing" : "joining"
        return { name: session, state, error: undefined }
      }))
  }
}

const makeError = (forwarder: string, reason: MqttErrorReason): MqttError =>
  new MqttError({ reason, method: "Forwarder.make", context: { forwarder } })

/**
 * Runs when a forwarder is removed, or replaced by one without these sessions: its durable source sessions stop keeping
 * messages for it.
 */
export const forgetForwarder = (
  manager: Manager,
  { name, sources, target }: {
    readonly name: string
    readonly sources: ReadonlyArray<string>
    readonly target: string | undefined
  }
): Effect.Effect<void> =>
  Effect.suspend(() => {
    const registry = registryOf(manager)
    if (target !== undefined) registry?.coreOf(target)?.origins?.forgetForwarder(name)
    return Effect.forEach(
      sources,
      (source) => registry?.coreOf(source)?.session.forgetConsumer(consumerName(name)) ?? Effect.void,
      { discard: true }
    )
  })

const snapshot = (
  { name }: ForwarderOptions,
  counters: Counters,
  state: ForwarderState,
  relay: Relay | undefined,
  { sources, targets }: Pick<ForwarderMetrics, "sources" | "targets">,
  now: number
): ForwarderMetrics => {
  const overflowed = relay?.overflowed ?? 0
  counters.noteTime()
  return {
    name,
    state,
    sources,
    targets,
    activeSources: sources.filter((source) => source.state === "active").length,
    targetConnected: relay?.target.session?.engineLoop.connection !== undefined,
    received: counters.received + overflowed,
    forwarded: counters.forwarded,
    filtered: counters.filtered,
    dropped: { ...counters.dropped, overflow: counters.dropped.overflow + overflowed },
    deadLettered: counters.deadLettered,
    failed: counters.failed,
    duplicates: counters.duplicates,
    returned: counters.returned,
    inFlight: relay?.inFlight ?? 0,
    retried: counters.retried,
    refusedLater: counters.refusedLater,
    lag: relay?.lag(now) ?? 0,
    rates: { received: counters.receivedRate.at(now), forwarded: counters.forwardedRate.at(now) },
    bytesForwarded: counters.bytesForwarded,
    lastForwardedAt: counters.lastForwardedAt,
    lastErrorAt: counters.lastErrorAt,
    lastError: counters.lastError
  }
}
