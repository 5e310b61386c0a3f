/**
 * The types of a case of the suite, and of the store under test.
 */
import type { SessionStore } from "@effect-mqttx/core/SessionStore"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

type Store = SessionStore["Service"]

/**
 * A store under test. Any `SessionStore` is one. Every case needs a separate, empty one.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface SessionStoreUnderTest extends Store {
  /**
   * For stores that outlive their process: closes the storage and opens it again as a new process would, when no
   * session is open, and returns the new store. The previous store is not used afterwards.
   */
  readonly reopen?: Effect.Effect<Store, unknown, Scope.Scope>
  /**
   * Ends the scope of the store, as the end of its layer does, while sessions may have it open. The store is not used
   * afterwards.
   */
  readonly close?: Effect.Effect<void>
}

/**
 * One behaviour that the contract requires, which is its name. `run` dies with an `Error` when the store behaves
 * differently; the message says what was expected. The time limit of the test runner catches a store that is too slow.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface SessionStoreCase {
  /** What the store does, as the title of a test. */
  readonly name: string
  /** Fails, or dies, where the store does not. */
  readonly run: (store: SessionStoreUnderTest) => Effect.Effect<void, unknown, Scope.Scope>
}
