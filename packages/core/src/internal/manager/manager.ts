/**
 * Makes a manager: its registry, and the `Manager` facade, whose members call the part that does the work.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { MqttError } from "../../MqttError.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import type { SessionStore } from "../../SessionStore.ts"
import { optionsIssues, refusal } from "../options/plain.ts"
import { durableByDefault, durableOnly, storeOf, withoutStore } from "../session/persistence.ts"
import { nameOf } from "../valueNames.ts"
import { eventChecks, managerChecks, removeChecks } from "./checks.ts"
import type { Manager, ManagerOptions } from "./contract.ts"
import { awaitAllReady, awaitReady } from "./readiness.ts"
import { makeRegistry, type Registry, registryKey } from "./registry.ts"
import { makeHandler, makeListener } from "./routes.ts"

/** Decodes the options of one of a manager's first sessions, by the persistence that the manager accepts. */
type Take = (input: unknown) => Effect.Effect<SessionOptions, MqttError>

/**
 * See `SessionManager.make`. `durable` is the name of the function that accepts the durable sessions that this one
 * refuses.
 */
export const makeManager = (
  options: ManagerOptions,
  durable: string
): Effect.Effect<Manager, MqttError, Scope.Scope> =>
  make(options, (input) => withoutStore(input, "add", durable), undefined)

/** See `SessionManager.makeDurable`. */
export const makeDurableManager = (
  options: ManagerOptions
): Effect.Effect<Manager, MqttError, SessionStore | Scope.Scope> =>
  Effect.flatMap(storeOf(undefined, "SessionManager.makeDurable"), (store) => make(options, durableByDefault, store))

const make = Effect.fnUntraced(function*(
  options: ManagerOptions,
  take: Take,
  store: SessionStore["Service"] | undefined
): Effect.fn.Return<Manager, MqttError, Scope.Scope> {
  const invalid = refusal(optionsIssues(options, managerChecks), "SessionManager.make")
  if (invalid !== undefined) return yield* invalid
  const registry = yield* makeRegistry(options)
  yield* Effect.addFinalizer(() => registry.close)
  yield* Effect.forEach(options.sessions ?? [], (input) => registry.add(take(input), {}, store), { discard: true })
  return makeFacade(registry)
})

const makeFacade = (registry: Registry): Manager & { readonly [registryKey]: Registry } => ({
  [registryKey]: registry,
  add: Effect.fn("SessionManager.add")((input, addOptions) =>
    registry.add(withoutStore(input, "add", "SessionManager's addDurable"), addOptions)
  ),
  addDurable: Effect.fn("SessionManager.addDurable")((input, addOptions) =>
    Effect.flatMap(durableOnly(input, "addDurable", "SessionManager's add"), (options) =>
      Effect.flatMap(
        storeOf(options.name, "addDurable"),
        (store) => registry.add(Effect.succeed(options), addOptions, store)
      ))
  ),
  remove: Effect.fn("SessionManager.remove")((name, options = {}) => {
    const invalid = refusal(optionsIssues(options, removeChecks), "remove", name)
    return invalid === undefined
      ? Effect.flatMap(registry.find(name, "remove"), (entry) => registry.release(entry, options.deleteState ?? false))
      : Effect.fail(invalid)
  }),
  get: (name) => registry.session(name, "get"),
  options: (name) => Effect.map(registry.find(name, "options"), ({ options }) => options),
  list: Effect.sync(() => registry.present.map(({ name }) => name)),
  status: (name) => Effect.flatMap(registry.find(name, "status"), (entry) => entry.status),
  statuses: Effect.suspend(() =>
    Effect.map(
      Effect.forEach(registry.present, (entry) => Effect.map(entry.status, (status) => [entry.name, status] as const)),
      (statuses) => new Map(statuses)
    )
  ),
  connect: Effect.fn("SessionManager.connect")((name) =>
    Effect.flatMap(registry.find(name, "connect"), (entry) => entry.start)
  ),
  connectAll: registry.forAll((entry) => entry.start),
  disconnect: Effect.fn("SessionManager.disconnect")((name) =>
    Effect.flatMap(registry.find(name, "disconnect"), (entry) => entry.stop("disconnected"))
  ),
  disconnectAll: Effect.asVoid(registry.forAll((entry) => entry.stop("disconnected"))),
  awaitReady: (name, options) => awaitReady(registry, name, options),
  awaitAllReady: Effect.fn("SessionManager.awaitAllReady")((options) => awaitAllReady(registry, options)),
  publishTo: (name, topic, payload, options) =>
    Effect.flatMap(registry.session(name, "publishTo"), (session) => session.publish(topic, payload, options)),
  publishToAll: (topic, payload, options) =>
    registry.forAll((entry) =>
      Effect.flatMap(entry.expect("publishToAll"), (session) => session.publish(topic, payload, options))
    ),
  subscribeAll: (filters, options) =>
    registry.forAll((entry) =>
      Effect.flatMap(entry.expect("subscribeAll"), (session) => session.subscription(filters, options))
    ),
  unsubscribeAll: (filter) =>
    registry.forAll((entry) =>
      Effect.flatMap(entry.expect("unsubscribeAll"), (session) => session.unsubscribe(filter))
    ),
  handle: makeHandler(registry, "handle", undefined),
  handleTo: (name, filters, handler, options) =>
    makeHandler(registry, "handleTo", nameOf(name))(filters, handler, options),
  listen: (filters, options) =>
    Stream.unwrap(
      Effect.map(makeListener(registry, "listen", undefined)(filters, options), ({ messages }) => messages)
    ),
  listenTo: (name, filters, options) =>
    Stream.unwrap(
      Effect.map(makeListener(registry, "listenTo", nameOf(name))(filters, options), ({ messages }) => messages)
    ),
  listener: makeListener(registry, "listener", undefined),
  listenerTo: (name, filters, options) => makeListener(registry, "listenerTo", nameOf(name))(filters, options),
  routes: Effect.sync(() => Array.from(registry.routes, ({ route }) => route)),
  events: registry.events.stream,
  eventsOf: (filter) => {
    // The stream has no typed failures: a filter of a wrong type is a defect of the program.
    const invalid = refusal(optionsIssues(filter, eventChecks), "eventsOf")
    if (invalid !== undefined) return Stream.die(invalid)
    const { session, type } = filter
    const types: ReadonlyArray<string> | undefined = typeof type === "string" ? [type] : type
    return Stream.filter(
      registry.events.stream,
      (event) =>
        (types === undefined || types.includes(event._tag)) && (session === undefined || session === event.session)
    ) as never
  },
  metrics: registry.metrics
})
