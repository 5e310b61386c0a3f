/**
 * The behaviours of a store that several processes share: a session has one owner, which holds a lease. Each such
 * store passes the same ones.
 */
import type { SessionStore } from "@effect-mqttx/core"
import { assert, type Vitest } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { drop, kindOf, outbound, put, sequencesOf } from "./storeRecords.ts"

type Store = SessionStore.SessionStore["Service"]

export interface OwnershipOptions {
  readonly leaseDuration?: `${number} ${"millis" | "second" | "seconds" | "minute"}`
  readonly acquireTimeout?: 0 | `${number} ${"seconds" | "minute"}`
}

export interface SharedStores<E, R> {
  /** A store as another process would have one; it belongs to the scope. */
  readonly store: (options?: OwnershipOptions) => Effect.Effect<Store, E, R | Scope.Scope>
  /** The same, of a process that can be paused: meanwhile nothing that it sends reaches the server. */
  readonly pausable: (options: OwnershipOptions) => Effect.Effect<
    { readonly store: Store; readonly pause: Effect.Effect<unknown>; readonly resume: Effect.Effect<unknown> },
    E,
    R | Scope.Scope
  >
  /** Ends the lease of a session at the server, as time would. */
  readonly endLease: (session: string) => Effect.Effect<void, unknown, R>
}

/** A lease that no test waits for, and no time to wait for another owner. */
const patient = { leaseDuration: "1 minute", acquireTimeout: 0 } as const
/** The lease of an owner that pauses: another one waits for its end, and has a long one itself. */
const short = { leaseDuration: "500 millis" } as const
const next = { leaseDuration: "1 minute", acquireTimeout: "1 minute" } as const

/** Declares the tests for stores of a server that the tests' layer has started. */
export const testOwnership = <E, R>(
  it: Vitest.MethodsNonLive<R>,
  { endLease, pausable, store }: SharedStores<E, R>
): void => {
  it.effect("a second process learns how long it would have to wait", () =>
    Effect.gen(function*() {
      const [first, second] = [yield* store(patient), yield* store(patient)]
      const handle = yield* first.open("asked")
      const error = yield* Effect.flip(Effect.scoped(second.open("asked")))
      assert.match(error.message, /\(owned\): another owner has the session, with a lease for \d+s/)
      assert.strictEqual(error.session, "asked")
      yield* handle.commit([put(outbound(1))])
    }))

  it.effect("a second process waits for an owner that leaves", () =>
    Effect.gen(function*() {
      const [first, second] = [yield* store(patient), yield* store(next)]
      const scope = yield* Scope.make()
      const handle = yield* Scope.provide(first.open("leaving"), scope)
      yield* handle.commit([put(outbound(1))])
      const waiting = yield* Effect.forkChild(second.open("leaving"), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(sequencesOf(yield* (yield* Fiber.join(waiting)).load), [1])
    }))

  it.effect("a session whose owner was killed is opened when its lease ends", () =>
    Effect.gen(function*() {
      // The killed one: it neither renews nor releases any more.
      const killed = yield* pausable({ leaseDuration: "1 second" })
      const handle = yield* killed.store.open("killed")
      yield* handle.commit([put(outbound(1))])
      yield* killed.pause
      const handleAfter = yield* (yield* store({ leaseDuration: "1 second" })).open("killed")
      assert.deepStrictEqual(sequencesOf(yield* handleAfter.load), [1])
      yield* killed.resume
    }))

  it.effect("an idle owner keeps its lease by renewing it", () =>
    Effect.gen(function*() {
      yield* (yield* store({ leaseDuration: "2 seconds" })).open("idle")
      const second = yield* store({ leaseDuration: "2 seconds", acquireTimeout: "5 seconds" })
      assert.strictEqual(yield* Effect.scoped(kindOf(second.open("idle"))), "owned")
    }))

  it.effect("one of many processes that want a session gets it", () =>
    Effect.gen(function*() {
      const stores = yield* Effect.forEach(Array.from({ length: 8 }), () => store(patient))
      const exits = yield* Effect.forEach(stores, (one) => Effect.exit(one.open("wanted")), {
        concurrency: "unbounded"
      })
      assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
      for (const exit of exits.filter(Exit.isFailure)) assert.strictEqual(yield* kindOf(exit), "owned")
    }))

  it.effect("an owner that paused while another one took over is fenced, and writes nothing", () =>
    Effect.gen(function*() {
      const old = yield* pausable(short)
      const oldScope = yield* Scope.make()
      const oldHandle = yield* Scope.provide(old.store.open("fought"), oldScope)
      yield* oldHandle.load
      yield* oldHandle.commit([put(outbound(1)), put(outbound(2))])
      yield* old.pause
      const late = yield* Effect.forkChild(Effect.exit(oldHandle.commit([put(outbound(99)), drop(1)])), {
        startImmediately: true
      })
      const handle = yield* (yield* store(next)).open("fought")
      assert.deepStrictEqual(sequencesOf(yield* handle.load), [1, 2])
      yield* handle.commit([drop(2), put(outbound(3))])
      yield* old.resume
      assert.strictEqual(yield* kindOf(yield* Fiber.join(late)), "fenced")
      for (const attempt of [oldHandle.commit([put(outbound(98))]), oldHandle.clear, oldHandle.load]) {
        assert.strictEqual(yield* kindOf(Effect.asVoid(attempt)), "fenced")
      }
      assert.deepStrictEqual(sequencesOf(yield* handle.load), [1, 3])
      // Its end does not end the lease of the other one.
      yield* Scope.close(oldScope, Exit.void)
      assert.strictEqual(yield* Effect.scoped(kindOf((yield* store(patient)).open("fought"))), "owned")
      yield* handle.commit([put(outbound(4))])
      assert.deepStrictEqual(sequencesOf(yield* handle.load), [1, 3, 4])
    }))

  it.effect("it is fenced when the other one has left again, too, with or without records", () =>
    Effect.gen(function*() {
      for (const leavesRecords of [true, false]) {
        const name = `left ${leavesRecords}`
        const old = yield* pausable(short)
        const oldHandle = yield* old.store.open(name)
        yield* oldHandle.load
        yield* oldHandle.commit([put(outbound(1))])
        yield* old.pause
        const other = yield* store(next)
        yield* Effect.scoped(Effect.gen(function*() {
          const handle = yield* other.open(name)
          yield* leavesRecords ? handle.commit([put(outbound(2))]) : handle.clear
        }))
        yield* old.resume
        assert.strictEqual(yield* kindOf(oldHandle.commit([put(outbound(9))])), "fenced")
        assert.deepStrictEqual(sequencesOf(yield* (yield* other.open(name)).load), leavesRecords ? [1, 2] : [])
      }
    }))

  it.effect("an owner whose lease ended while no other one took the session continues, and has its lease again", () =>
    Effect.gen(function*() {
      const handle = yield* (yield* store(patient)).open("late")
      yield* handle.commit([put(outbound(1))])
      yield* endLease("late")
      yield* handle.commit([put(outbound(2))])
      assert.strictEqual(yield* Effect.scoped(kindOf((yield* store(patient)).open("late"))), "owned")
      assert.deepStrictEqual(sequencesOf(yield* handle.load), [1, 2])
    }))

  it.effect("a failed attempt to open leaves nothing behind, in a scope that continues", () =>
    Effect.gen(function*() {
      const [first, second] = [yield* store(patient), yield* store(patient)]
      const scope = yield* Scope.make()
      yield* Scope.provide(first.open("again"), scope)
      assert.strictEqual(yield* kindOf(second.open("again")), "owned")
      yield* Scope.close(scope, Exit.void)
      yield* second.open("again")
    }))
}
