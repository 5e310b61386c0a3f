/**
 * The forwarders of a program by their names.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { ForwarderMetrics } from "../../ForwarderMetrics.ts"
import * as Options from "../../ForwarderOptions.ts"
import { Closed, DuplicateForwarder, ForwarderNotFound, MqttError, type MqttErrorReason } from "../../MqttError.ts"
import type { Manager } from "../manager/contract.ts"
import { nameOf } from "../valueNames.ts"
import type { Forwarders, Forwarding } from "./contract.ts"
import { EarlierRuns } from "./earlierRuns.ts"
import { forgetForwarder, makeForwarder } from "./forwarder.ts"

interface Entry {
  readonly forwarder: Forwarding
  readonly scope: Scope.Closeable
  /** Lasts when another forwarder replaces this one, which may have published what comes again. */
  readonly earlierRuns: EarlierRuns
  /** Set while the forwarder is being removed. */
  removal: Deferred.Deferred<void> | undefined
}

/**
 * Makes the registry, see `ForwarderManager.make`.
 */
export const makeForwarders = Effect.fnUntraced(function*(
  manager: Manager,
  initial: ReadonlyArray<Options.ForwarderOptionsInput | Options.ForwarderOptions>
): Effect.fn.Return<Forwarders, MqttError, Scope.Scope> {
  const entries = new Map<string, Entry>()
  const adding = new Set<string>()
  let closed = false

  const fail = (method: string, reason: MqttErrorReason): Effect.Effect<never, MqttError> =>
    Effect.fail(new MqttError({ reason, method }))

  const find = (name: string, method: string): Effect.Effect<Entry, MqttError> =>
    Effect.suspend(() => {
      const entry = entries.get(name)
      return entry === undefined || entry.removal !== undefined
        ? fail(method, new ForwarderNotFound({ forwarder: nameOf(name) }))
        : Effect.succeed(entry)
    })

  const on = <A, E>(method: string, work: (forwarder: Forwarding) => Effect.Effect<A, E>) => (name: string) =>
    Effect.flatMap(find(name, method), ({ forwarder }) => work(forwarder))

  /** Runs in its own fiber, so that the removal continues when the caller is interrupted. */
  const release = (entry: Entry): Effect.Effect<void> =>
    Effect.uninterruptibleMask((restore) => {
      if (entry.removal !== undefined) return restore(Deferred.await(entry.removal))
      const removal = entry.removal = Deferred.makeUnsafe<void>()
      const work = Effect.andThen(
        Scope.close(entry.scope, Exit.void),
        Effect.suspend(() => {
          entries.delete(entry.forwarder.name)
          return Deferred.done(removal, Exit.void)
        })
      )
      return Effect.andThen(Effect.forkDetach(work, { startImmediately: true }), restore(Deferred.await(removal)))
    })

  const add: Forwarders["add"] = Effect.fn("ForwarderManager.add")(function*(input, hooks = {}) {
    const options = yield* Options.make(input)
    const { name } = options
    // The name of a forwarder that is being removed is free soon.
    while (entries.get(name)?.removal !== undefined) yield* Deferred.await(entries.get(name)!.removal!)
    if (closed) return yield* fail("add", new Closed({}))
    if (entries.has(name) || adding.has(name)) {
      return yield* fail("add", new DuplicateForwarder({ forwarder: name }))
    }
    return yield* Effect.uninterruptible(Effect.gen(function*() {
      adding.add(name)
      const scope = yield* Scope.make()
      const earlierRuns = new EarlierRuns()
      const forwarder = yield* makeForwarder(manager, options, hooks, earlierRuns).pipe(
        Effect.tap((made) => options.enabled ? made.start : Effect.void),
        Scope.provide(scope),
        Effect.onExit((exit) => {
          adding.delete(name)
          return Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void
        })
      )
      entries.set(name, { forwarder, scope, earlierRuns, removal: undefined })
      return forwarder
    }))
  })

  const replace: Forwarders["replace"] = Effect.fn("ForwarderManager.replace")(function*(input, hooks = {}) {
    const options = yield* Options.make(input)
    const { name } = options
    const entry = yield* find(name, "replace")
    return yield* Effect.uninterruptible(Effect.gen(function*() {
      const next = yield* replaceEntry(
        manager,
        entry,
        options,
        hooks,
        Effect.filterOrElse(
          Effect.suspend(() => find(name, "replace")),
          (present) => present === entry,
          () => fail("replace", new ForwarderNotFound({ forwarder: nameOf(name) }))
        )
      )
      entries.set(name, next)
      yield* Scope.close(entry.scope, Exit.void)
      yield* forgetFormer(manager, entry.forwarder.options, options)
      return next.forwarder
    }))
  })

  const all = Effect.sync(() => Array.from(entries.values()).filter(({ removal }) => removal === undefined))

  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      closed = true
      return Effect.forEach(Array.from(entries.values()), release, { concurrency: "unbounded", discard: true })
    })
  )
  yield* Effect.forEach(initial, (options) => add(options), { discard: true })

  return {
    add,
    replace,
    remove: Effect.fn("ForwarderManager.remove")(function*(name) {
      const entry = yield* find(name, "remove")
      yield* release(entry)
      yield* forgetForwarder(manager, entry.forwarder.options)
    }),
    get: on("get", Effect.succeed),
    list: Effect.map(all, (present) => present.map(({ forwarder }) => forwarder.name)),
    start: on("start", ({ start }) => start),
    stop: on("stop", ({ stop }) => stop),
    restart: on("restart", ({ restart }) => restart),
    metrics: on("metrics", ({ metrics }) => metrics),
    allMetrics: Effect.flatMap(all, metricsByName),
    stopAll: Effect.flatMap(
      all,
      (present) =>
        Effect.forEach(present, ({ forwarder }) => forwarder.stop, { concurrency: "unbounded", discard: true })
    )
  }
})

const metricsByName = (entries: ReadonlyArray<Entry>): Effect.Effect<ReadonlyMap<string, ForwarderMetrics>> =>
  Effect.map(
    Effect.forEach(
      entries,
      ({ forwarder }) => Effect.map(forwarder.metrics, (metrics) => [forwarder.name, metrics] as const)
    ),
    (metrics) => new Map(metrics)
  )

/**
 * Stops a forwarder and starts one with other options. The one that runs is not touched before the new one is known to
 * be valid, and runs again when the new one cannot start, or when the other one is no longer `present`.
 */
const replaceEntry = Effect.fnUntraced(function*<E, R>(
  manager: Manager,
  { earlierRuns, forwarder: former }: Entry,
  options: Options.ForwarderOptions,
  hooks: Options.ForwarderHooks<E, R>,
  present: Effect.Effect<unknown, MqttError>
): Effect.fn.Return<Entry, MqttError, R> {
  const scope = yield* Scope.make()
  const forwarder = yield* makeForwarder(manager, options, hooks, earlierRuns).pipe(
    Scope.provide(scope),
    Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void)
  )
  const wasRunning = (yield* former.state) === "running"
  yield* former.stop
  yield* (options.enabled ? Effect.andThen(present, forwarder.start) : present).pipe(
    Effect.onExit((exit) =>
      Exit.isSuccess(exit) ? Effect.void : Effect.andThen(
        Scope.close(scope, exit),
        wasRunning ? Effect.ignore(Effect.andThen(present, former.start)) : Effect.void
      )
    )
  )
  return { forwarder, scope, earlierRuns, removal: undefined }
})

/** What only the former forwarder of a name had is forgotten as if it was removed. */
const forgetFormer = (
  manager: Manager,
  { name, sources, target }: Options.ForwarderOptions,
  next: Options.ForwarderOptions
): Effect.Effect<void> =>
  forgetForwarder(manager, {
    name,
    sources: sources.filter((source) => !next.sources.includes(source)),
    target: target === next.target ? undefined : target
  })
