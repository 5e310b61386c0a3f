/**
 * One tab of a shared session: it waits for the Web Lock of the owner, and has the session while it holds the lock.
 * Until then it asks the tab that has it. `SharedSession.ts` calls this file.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import type { Session } from "@effect-mqttx/core/MqttSession"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import { type ChannelMessage, type Content, decode, headBytes, type SharedFailure, weigh } from "./channelMessage.ts"
import { type Arrival, Follower } from "./follower.ts"
import { contentOf, OwnerService, tooLarge } from "./ownerService.ts"
import { SharedSessionError } from "./sharedError.ts"
import { freed, hold } from "./webLocks.ts"

/** What a tab is at the moment. */
export type Role =
  /** No tab is known to have the session. */
  | { readonly _tag: "None" }
  | { readonly _tag: "Owner"; readonly session: Session }
  | { readonly _tag: "Follower"; readonly owner: string }
  | { readonly _tag: "Closed" }

export interface TabOptions<R> {
  readonly name: string
  /** Makes the session, for the time in which the tab has the lock. */
  readonly session: Effect.Effect<Session, MqttError, R | Scope.Scope>
  readonly maximumMessageBytes: number
  readonly windowBytes: number
}

/** How long a tab waits before it tries again to make a session that failed. */
const pause = Schedule.spaced("1 second")

const none: Role = { _tag: "None" }

export class SharedTab {
  readonly role: SubscriptionRef.SubscriptionRef<Role>
  readonly #options: TabOptions<never>
  readonly #channel: BroadcastChannel
  readonly #id: string
  readonly #follower: Follower
  readonly #fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  #service: OwnerService | undefined
  /** The tab that has the session. */
  #owner: string | undefined
  #failure: MqttError | undefined

  constructor(parts: {
    readonly id: string
    readonly options: TabOptions<never>
    readonly role: SubscriptionRef.SubscriptionRef<Role>
    readonly channel: BroadcastChannel
    readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  }) {
    this.#id = parts.id
    this.#options = parts.options
    this.role = parts.role
    this.#channel = parts.channel
    this.#fork = parts.fork
    this.#follower = new Follower(parts.id, (message) => this.#post(message))
  }

  /** Has the session whenever no other tab has it. Runs until interrupted. */
  get lead(): Effect.Effect<never> {
    const owning = Effect.gen({ self: this }, function*() {
      yield* hold(lockOf(this.#options.name, "owner"))
      const session = yield* this.#options.session
      const scope = yield* Effect.scope
      // Runs before the session closes, so that no request meets a closed one.
      yield* Effect.addFinalizer(() => this.#resign)
      const services = yield* Scope.fork(scope)
      const context = yield* Effect.context<never>()
      const { maximumMessageBytes, windowBytes } = this.#options
      this.#service = new OwnerService({
        id: this.#id,
        session,
        maximumMessageBytes,
        windowBytes,
        lockOf: (tab) => lockOf(this.#options.name, `tab/${tab}`),
        post: (message) => this.#post(message),
        fork: (effect) => Effect.runSyncWith(context)(Effect.forkIn(effect, services, { startImmediately: true }))
      })
      this.#failure = undefined
      this.#owner = this.#id
      this.#follower.ownerLost()
      yield* SubscriptionRef.set(this.role, { _tag: "Owner", session })
      this.#post({ _tag: "Owner", owner: this.#id })
      return yield* Effect.never
    })
    return Effect.scoped(owning).pipe(
      Effect.tapCause((cause) => {
        const error = Cause.findErrorOption(cause)
        if (Option.isSome(error)) this.#failure = error.value
        return Effect.logWarning("this tab cannot make the shared session", cause).pipe(
          Effect.annotateLogs({ session: this.#options.name })
        )
      }),
      Effect.retry(pause),
      Effect.orDie
    )
  }

  get #resign(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#service = undefined
      this.#owner = undefined
      this.#post({ _tag: "Resigned", owner: this.#id })
      return this.#become(none)
    })
  }

  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#follower.ownerLost()
      return SubscriptionRef.set(this.role, { _tag: "Closed" })
    })
  }

  /** Asks who has the session. */
  hello(): void {
    this.#post({ _tag: "Hello", from: this.#id })
  }

  /** A message of the channel, from any script of the origin. */
  receive(data: unknown): void {
    const message = decode(data)
    if (message === undefined) return
    switch (message._tag) {
      case "Owner":
        return this.#follow(message.owner)
      case "Resigned":
        return this.#lost(message.owner)
      case "Published":
      case "Delivery":
      case "Ended":
        return message.to === this.#id ? this.#follower.receive(message) : undefined
      default:
        this.#service?.receive(message)
    }
  }

  #follow(owner: string): void {
    // Only the holder of the lock has the session: this tab knows about itself.
    if (owner === this.#owner || this.#service !== undefined) return
    this.#follower.ownerLost()
    this.#owner = owner
    this.#fork(this.#become({ _tag: "Follower", owner }))
    // The browser frees the lock of a tab that ends without a word.
    this.#fork(
      Effect.map(freed(lockOf(this.#options.name, `tab/${owner}`)), () => this.#lost(owner))
    )
  }

  #lost(owner: string): void {
    if (this.#owner !== owner || this.#service !== undefined) return
    this.#owner = undefined
    this.#follower.ownerLost()
    this.#fork(this.#become(none))
  }

  #become(role: Role): Effect.Effect<void> {
    return SubscriptionRef.update(this.role, (now) => now._tag === "Closed" ? now : role)
  }

  #post(message: ChannelMessage): void {
    // A channel has no target origin: it is within one.
    // oxlint-disable-next-line unicorn/require-post-message-target-origin
    this.#channel.postMessage(message)
  }

  publish(content: Content, timeout: number): Effect.Effect<void, SharedFailure> {
    const { maximumMessageBytes } = this.#options
    const request = { _tag: "Publish", from: this.#id, owner: this.#id, id: 0, timeout, ...content }
    if (decode(request) === undefined) return Effect.fail(invalid("this is no message"))
    if (content.payload.byteLength > maximumMessageBytes || weigh(content) > maximumMessageBytes + headBytes) {
      return Effect.fail(tooLarge(maximumMessageBytes))
    }
    const { payload, topic, ...options } = content
    return Effect.flatMap(this.#someRole(timeout), (role) =>
      role._tag === "Owner"
        ? Effect.asVoid(role.session.publish(topic, payload, { ...options, timeout }))
        : this.#follower.publish(role.owner, content, timeout))
  }

  messages(filters: ReadonlyArray<string>, qos: 0 | 1 | 2): Stream.Stream<Content, SharedFailure> {
    const request = { _tag: "Subscribe", from: this.#id, owner: this.#id, id: 0, filters, qos }
    if (decode(request) === undefined) return Stream.fail(invalid("these are no topic filters"))
    return SubscriptionRef.changes(this.role).pipe(
      Stream.takeUntil(({ _tag }) => _tag === "Closed"),
      Stream.switchMap((role): Stream.Stream<Arrival, SharedFailure> => {
        if (role._tag === "Owner") return this.#own(role.session, filters, qos)
        return role._tag === "Follower" ? this.#follower.subscribe(role.owner, filters, qos) : Stream.empty
      }),
      Stream.mapEffect(({ content, taken }) => Effect.as(taken, content))
    )
  }

  /** The messages of the session of this tab. When the tab gives it up, the stream continues with the next owner. */
  #own(session: Session, filters: ReadonlyArray<string>, qos: 0 | 1 | 2): Stream.Stream<Arrival, SharedFailure> {
    return Stream.unwrap(Effect.map(
      session.subscription(filters, { qos, ack: "manual" }),
      ({ messages }) => Stream.map(messages, (message) => ({ content: contentOf(message), taken: message.ack }))
    )).pipe(
      Stream.catch((error) => {
        const role = SubscriptionRef.getUnsafe(this.role)
        return role._tag === "Owner" && role.session === session ? Stream.fail(error) : Stream.empty
      })
    )
  }

  /** The tab with the session, as soon as there is one. */
  #someRole(timeout: number): Effect.Effect<Extract<Role, { _tag: "Owner" | "Follower" }>, SharedSessionError> {
    return SubscriptionRef.changes(this.role).pipe(
      Stream.filter((role) => role._tag !== "None"),
      Stream.runHead,
      Effect.timeoutOption(timeout),
      Effect.flatMap((found) => {
        const role = Option.getOrUndefined(Option.flatten(found))
        if (role !== undefined && role._tag !== "Closed") return Effect.succeed(role)
        const why = this.#failure === undefined ? "" : `: ${this.#failure.message}`
        return Effect.fail(
          new SharedSessionError({
            kind: "noOwner",
            detail: role === undefined ? `no tab had a session in ${timeout} ms${why}` : "it is closed"
          })
        )
      })
    )
  }
}

const invalid = (detail: string): SharedSessionError => new SharedSessionError({ kind: "invalid", detail })

const lockOf = (name: string, what: string): string => `mqttx/${name}/${what}`

/** The effect in this context, but with a scope of its own. */
const within = <A, E, R>(
  effect: Effect.Effect<A, E, R | Scope.Scope>,
  context: Context.Context<R>
): Effect.Effect<A, E, Scope.Scope> =>
  Effect.updateContext(
    effect,
    (own: Context.Context<Scope.Scope>) => Context.merge(context, own) as Context.Context<R | Scope.Scope>
  )

/** Opens a tab, for the life of the scope. */
export const openTab = Effect.fnUntraced(function*<R>(
  options: TabOptions<R>
): Effect.fn.Return<SharedTab, never, R | Scope.Scope> {
  const scope = yield* Effect.scope
  const context = yield* Effect.context<R>()
  const id = crypto.randomUUID()
  const channel = yield* Effect.acquireRelease(
    Effect.sync(() => new BroadcastChannel(`mqttx/${options.name}`)),
    (channel) => Effect.sync(() => channel.close())
  )
  // Other tabs learn by this lock that the tab has ended.
  yield* hold(lockOf(options.name, `tab/${id}`))
  const role = yield* SubscriptionRef.make<Role>(none)
  const tab = new SharedTab({
    id,
    role,
    channel,
    options: { ...options, session: within(options.session, context) },
    // The only place where the channel's callback starts effects.
    fork: (effect) => Effect.runSyncWith(context)(Effect.forkIn(effect, scope, { startImmediately: true }))
  })
  channel.addEventListener("message", ({ data }) => tab.receive(data))
  yield* Scope.addFinalizer(scope, tab.close)
  yield* Effect.forkScoped(tab.lead, { startImmediately: true })
  tab.hello()
  return tab
})
