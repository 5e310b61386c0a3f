/**
 * The sessions that this node owns, by client identifier. A session stays here when its entity is built again after a
 * defect, so its connection stays too. It leaves when the node loses the shard, or when the session is closed.
 */
import type { SessionStore } from "@effect-mqttx/core/SessionStore"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { type Definition, OwnedSession } from "./ownedSession.ts"

/** More at once would delay the proofs of the node that it lives, by which it keeps its shards. */
const openAtOnce = 32

interface Entry {
  readonly owned: OwnedSession
  readonly fiber: Fiber.Fiber<void>
}

export class NodeSessions {
  readonly #entries = new Map<string, Entry>()
  readonly #definition: Definition
  readonly #scope: Scope.Scope
  readonly #opening = Semaphore.makeUnsafe(openAtOnce)

  constructor(definition: Definition, scope: Scope.Scope) {
    this.#definition = definition
    this.#scope = scope
  }

  get size(): number {
    return this.#entries.size
  }

  /** The session of a client identifier, which begins to open unless this node has it already. */
  acquire(clientId: string, isOwner: () => boolean): Effect.Effect<OwnedSession, never, SessionStore> {
    return Effect.suspend(() => {
      const present = this.#entries.get(clientId)
      if (present !== undefined) return Effect.succeed(present.owned)
      const owned = new OwnedSession(clientId, this.#definition, isOwner, this.#opening)
      return Effect.map(Effect.forkIn(owned.keep, this.#scope), (fiber) => {
        this.#entries.set(clientId, { owned, fiber })
        return owned
      })
    }).pipe(Effect.uninterruptible)
  }

  /** Succeeds when the session has ended by itself, because there is no session of this client identifier. */
  ended(clientId: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const entry = this.#entries.get(clientId)
      return entry === undefined ? Effect.never : Effect.asVoid(Fiber.await(entry.fiber))
    })
  }

  /** Ends the session, without its will. Succeeds when its connection is closed and its store is released. */
  release(clientId: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const entry = this.#entries.get(clientId)
      if (entry === undefined) return Effect.void
      this.#entries.delete(clientId)
      // Before the interruption, so that handlers finish the messages that they have.
      return Effect.andThen(entry.owned.drain, Fiber.interrupt(entry.fiber))
    })
  }

  /** Ends all sessions, at the same time. */
  get releaseAll(): Effect.Effect<void> {
    return Effect.suspend(() =>
      Effect.forEach(Array.from(this.#entries.keys()), (clientId) => this.release(clientId), {
        concurrency: "unbounded",
        discard: true
      })
    )
  }
}
