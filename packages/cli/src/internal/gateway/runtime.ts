/**
 * The sessions and forwarders of a running gateway. It applies configurations: what is equal goes on untouched, what
 * has changed is drained and replaced, and what is gone is drained. It reads no file. `run.ts` calls it.
 */
import * as ForwarderManager from "@effect-mqttx/core/ForwarderManager"
import type { MqttError } from "@effect-mqttx/core/MqttError"
import * as RouteFilter from "@effect-mqttx/core/RouteFilter"
import * as SessionManager from "@effect-mqttx/core/SessionManager"
import { SessionStore } from "@effect-mqttx/core/SessionStore"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FiberHandle from "effect/FiberHandle"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { State } from "./adminApi.ts"
import type { Configuration, ForwarderPlan, SessionPlan } from "./configuration.ts"
import { type Difference, differenceOf } from "./difference.ts"
import { FailedMessages } from "./failedMessages.ts"
import { ForwarderFilters } from "./forwarderFilters.ts"
import { type Leases, Stores } from "./stores.ts"
import { TopicsSeen } from "./topicsSeen.ts"
import { hooksOf } from "./transformHooks.ts"

/** What has come of a configuration. */
export interface Outcome {
  readonly difference: Difference
  /** What could not be applied, by name. A forwarder runs as before; a session is missing. */
  readonly failures: ReadonlyArray<{ readonly name: string; readonly error: MqttError }>
}

/** The sessions and forwarders of a gateway as its process sees them: alone, or as a node of a cluster. */
export interface Flows {
  /** What this node is in its cluster now; undefined: the gateway is alone. */
  readonly cluster: (typeof State.Type)["cluster"]
  /** Applies a configuration; a node that stands by keeps it for later. */
  readonly apply: (next: Configuration) => Effect.Effect<Outcome, MqttError>
  /** Ends everything. Nothing can be applied afterwards. */
  readonly drain: Effect.Effect<void>
}

const sendTimeout = "5 seconds"

const inParallel = (
  names: Iterable<string>,
  work: (name: string) => Effect.Effect<void, MqttError>
): Effect.Effect<void> =>
  Effect.forEach(names, (name) => Effect.ignore(work(name)), { concurrency: "unbounded", discard: true })

/** See `adminApi.ts`. */
type GatewayState = Omit<typeof State.Type, "file" | "cluster">

/** What sessions are made with. */
export interface SessionServices {
  /** The services around them, such as a transport. */
  readonly context: Context.Context<never>
  /** What a store becomes before sessions have it. */
  readonly guard: (store: SessionStore["Service"]) => Effect.Effect<SessionStore["Service"]>
}

const unguarded: SessionServices = { context: Context.empty(), guard: Effect.succeed }

export class GatewayRuntime {
  readonly manager: SessionManager.SessionManager["Service"]
  readonly forwarders: ForwarderManager.ForwarderManager["Service"]
  readonly failedMessages = new FailedMessages()
  readonly topicsSeen = new TopicsSeen()
  readonly #tidying: FiberHandle.FiberHandle
  readonly #listening: FiberSet.FiberSet
  readonly #stores: Stores
  readonly #lock = Semaphore.makeUnsafe(1)
  readonly #sessions = new Map<string, SessionPlan>()
  readonly #forwarders = new Map<string, ForwarderPlan>()
  readonly #filters: ForwarderFilters
  #services = unguarded

  private constructor(
    manager: SessionManager.SessionManager["Service"],
    forwarders: ForwarderManager.ForwarderManager["Service"],
    tidying: FiberHandle.FiberHandle,
    listening: FiberSet.FiberSet,
    leases: Leases | undefined
  ) {
    this.manager = manager
    this.forwarders = forwarders
    this.#tidying = tidying
    this.#listening = listening
    this.#stores = new Stores(leases)
    this.#filters = new ForwarderFilters(manager)
  }

  /** A gateway without sessions. The end of the scope releases everything. */
  static make = (leases?: Leases): Effect.Effect<GatewayRuntime, MqttError, Scope.Scope> =>
    Effect.gen(function*() {
      const manager = yield* SessionManager.make()
      const forwarders = yield* Effect.provideService(ForwarderManager.make(), SessionManager.SessionManager, manager)
      return new GatewayRuntime(manager, forwarders, yield* FiberHandle.make(), yield* FiberSet.make(), leases)
    })

  /** What sessions are made with from now on. */
  serveWith(services: SessionServices): void {
    this.#services = services
  }

  /**
   * Applies a configuration. Fails before it has changed anything when a store cannot be opened. What fails later is in
   * the outcome, and the rest is applied.
   */
  apply(next: Configuration): Effect.Effect<Outcome, MqttError> {
    return this.#lock.withPermits(1)(Effect.uninterruptible(Effect.gen({ self: this }, function*() {
      for (const name of this.#storesOf(next)) yield* this.#stores.get(name, next.stores.get(name)!)
      yield* FiberHandle.clear(this.#tidying)
      this.topicsSeen.limits = next.settings.admin?.topics
      const before = { sessions: new Map(this.#sessions), forwarders: new Map(this.#forwarders) }
      const difference = differenceOf(before, next)
      const failures: Array<Outcome["failures"][number]> = []
      const attempt = <A>(name: string, effect: Effect.Effect<A, MqttError>): Effect.Effect<A | undefined> =>
        Effect.catch(effect, (error) => {
          failures.push({ name, error })
          return Effect.undefined
        })
      yield* this.#filters.noteAll(this.#sessions.keys())
      const resumed = yield* this.#pause(difference)
      yield* this.#changeSessions(difference, next, attempt)
      yield* this.#changeForwarders(difference, next, attempt)
      for (const name of resumed) {
        // The one that replaces it has started by itself.
        const isReplaced = this.#forwarders.get(name) !== before.forwarders.get(name)
        if (!isReplaced) yield* attempt(name, this.forwarders.start(name))
      }
      yield* this.#filters.forget(this.#sessions.keys(), next)
      const used = this.#storesOf({ ...next, sessions: this.#sessions })
      yield* this.#stores.keep(Array.from(used, (name) => [name, next.stores.get(name)!] as const))
      yield* FiberHandle.run(this.#tidying, this.#tidy)
      return { difference, failures }
    })))
  }

  /**
   * Ends all sessions and forwarders, and closes their stores. The state of sessions stays in the stores, with the
   * messages that wait for forwarders. A configuration can be applied afterwards.
   */
  get release(): Effect.Effect<void> {
    return this.#lock.withPermits(1)(Effect.uninterruptible(Effect.gen({ self: this }, function*() {
      yield* FiberHandle.clear(this.#tidying)
      yield* this.forwarders.stopAll
      // Before the forwarders are removed: an open session would forget what waits for them.
      yield* inParallel(this.#sessions.keys(), (name) => this.manager.remove(name))
      yield* inParallel(this.#forwarders.keys(), (name) => this.forwarders.remove(name))
      this.#sessions.clear()
      this.#forwarders.clear()
      yield* this.#stores.keep([])
    })))
  }

  /** Stops a forwarder until `resume`, or until a reload gives it other options. Messages at durable sources wait. */
  pause(name: string): Effect.Effect<void, MqttError> {
    return this.#lock.withPermits(1)(this.forwarders.stop(name))
  }

  /** Starts a forwarder. */
  resume(name: string): Effect.Effect<void, MqttError> {
    return this.#lock.withPermits(1)(this.forwarders.start(name))
  }

  readonly #noteTopics = RouteFilter.predicate((message) => {
    this.topicsSeen.note(message)
    return true
  }, "topics seen")

  /**
   * Publishes a message that could not be forwarded where it came from, as it was received, and takes it off the list.
   * Undefined: it is not in the list. Fails with the reason in words; the message stays in the list then.
   */
  sendAgain(id: number): Effect.Effect<void, string> | undefined {
    const message = this.failedMessages.get(id)
    if (message === undefined) return undefined
    const { subscriptionIdentifiers: _identifiers, topicAlias: _alias, ...properties } = message.properties
    return Effect.gen({ self: this }, function*() {
      const session = yield* this.manager.get(message.session)
      // Not retained: a newer retained message of the topic must stay.
      yield* session.publish(message.topic, message.payload, { qos: message.qos, properties })
      this.failedMessages.remove(id)
    }).pipe(
      Effect.mapError(({ reason }) => reason.message),
      Effect.timeoutOrElse({
        duration: sendTimeout,
        orElse: () => Effect.fail(`${message.session} has not published it in 5 s`)
      })
    )
  }

  /** Sessions and forwarders as they are now, without secrets. */
  get state(): Effect.Effect<GatewayState> {
    return Effect.gen({ self: this }, function*() {
      const statuses = yield* this.manager.statuses
      const metrics = yield* this.forwarders.allMetrics
      return {
        sessions: Array.from(this.#sessions, ([name, { options: { servers }, store }]) => ({
          name,
          state: statuses.get(name)?.state ?? "removed",
          servers,
          ...(store === undefined ? undefined : { store })
        })),
        forwarders: Array.from(metrics.values(), (each) => ({
          name: each.name,
          state: each.state,
          received: each.received,
          forwarded: each.forwarded,
          deadLettered: each.deadLettered,
          failed: each.failed,
          inFlight: each.inFlight,
          ...(each.lastError === undefined ? undefined : { lastError: each.lastError.reason.message })
        }))
      }
    })
  }

  /** Stops all forwarders, then drains all sessions. Nothing can be applied afterwards. */
  get drain(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      // Not released: a reload that is waiting must not start anything again.
      yield* this.#lock.take(1)
      yield* this.forwarders.stopAll
      yield* this.manager.disconnectAll
    })
  }

  #storesOf({ sessions }: Pick<Configuration, "sessions">): ReadonlySet<string> {
    return new Set(Array.from(sessions.values(), ({ store }) => store).filter((name) => name !== undefined))
  }

  /** Stops what has to wait for its sessions, and removes what is gone. Answers what runs again afterwards. */
  #pause({ forwarders: { removed }, paused }: Difference): Effect.Effect<ReadonlyArray<string>> {
    return Effect.gen({ self: this }, function*() {
      const running: Array<string> = []
      const stop = (name: string) =>
        Effect.gen({ self: this }, function*() {
          const forwarder = yield* this.forwarders.get(name)
          if ((yield* forwarder.state) === "running") running.push(name)
          yield* forwarder.stop
        })
      const remove = (name: string) =>
        Effect.andThen(this.forwarders.remove(name), Effect.sync(() => this.#forwarders.delete(name)))
      // All at the same time: each may take as long as its `stopTimeout`.
      yield* Effect.forEach(
        [...paused.map(stop), ...removed.map(remove)],
        (effect) => Effect.ignore(effect),
        { concurrency: "unbounded", discard: true }
      )
      return running
    })
  }

  #changeSessions(
    { sessions: { added, changed, removed } }: Difference,
    next: Configuration,
    attempt: <A>(name: string, effect: Effect.Effect<A, MqttError>) => Effect.Effect<A | undefined>
  ): Effect.Effect<void> {
    const remove = (name: string) =>
      Effect.andThen(
        attempt(name, this.manager.remove(name)),
        Effect.sync(() => this.#sessions.delete(name))
      )
    const add = (name: string) => attempt(name, this.#addSession(name, next.sessions.get(name)!, next))
    return Effect.gen({ self: this }, function*() {
      yield* Effect.forEach([...changed, ...removed], remove, { concurrency: "unbounded", discard: true })
      // In the order of the file: lists, metrics and the live page show sessions in the order of their coming.
      yield* Effect.forEach([...changed, ...added], add, { discard: true })
    })
  }

  #addSession(name: string, plan: SessionPlan, next: Configuration): Effect.Effect<void, MqttError> {
    return Effect.gen({ self: this }, function*() {
      const { options, store } = plan
      const { context, guard } = this.#services
      if (store === undefined) {
        const persistence = options.persistence === "none" ? "none" : "process"
        yield* Effect.provideContext(this.manager.add({ ...options, persistence }), context)
      } else {
        const service = yield* guard(yield* this.#stores.get(store, next.stores.get(store)!))
        const session = yield* Effect.provideContext(
          this.manager.addDurable({ ...options, persistence: "durable" }),
          Context.add(context, SessionStore, service)
        )
        yield* this.#filters.note(name, session)
      }
      this.#sessions.set(name, plan)
    })
  }

  #changeForwarders(
    { forwarders: { added, changed } }: Difference,
    next: Configuration,
    attempt: <A>(name: string, effect: Effect.Effect<A, MqttError>) => Effect.Effect<A | undefined>
  ): Effect.Effect<void> {
    const put = (name: string, isNew: boolean): Effect.Effect<unknown> => {
      const plan = next.forwarders.get(name)!
      const { options, transforms } = plan
      const hooks = {
        ...hooksOf(transforms),
        // Only where it is wanted: a filter is called for each message.
        ...(next.settings.admin?.topics === undefined ? undefined : { filter: this.#noteTopics })
      }
      const made = isNew ? this.forwarders.add(options, hooks) : this.forwarders.replace(options, hooks)
      return attempt(
        name,
        Effect.tap(made, ({ failures }) => {
          this.#forwarders.set(name, plan)
          return FiberSet.run(
            this.#listening,
            Stream.runForEach(failures, (failure) => Effect.sync(() => this.failedMessages.add(failure))),
            { startImmediately: true }
          )
        })
      )
    }
    return Effect.gen({ self: this }, function*() {
      yield* Effect.forEach(changed, (name) => put(name, false), { concurrency: "unbounded", discard: true })
      yield* Effect.forEach(added, (name) => put(name, true), { discard: true })
    })
  }

  /** When the forwarders have their new subscriptions, ends those that none of them has any more. */
  get #tidy(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      for (const name of this.#forwarders.keys()) {
        yield* Effect.ignore(Effect.flatMap(this.forwarders.get(name), ({ active }) => active))
      }
      yield* this.#filters.tidy(this.#sessions.keys())
    })
  }
}
