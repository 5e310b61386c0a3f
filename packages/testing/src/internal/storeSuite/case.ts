/**
 * What a case of the suite is, and what it is run on.
 */
import type { SessionStore } from "@effect-mqttx/core/SessionStore"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

type Store = SessionStore["Service"]

/**
 * A store that is put to the test. Any `SessionStore` is one; every case wants one of its own that holds nothing yet.
 */
export interface SessionStoreUnderTest extends Store {
  /**
   * For stores that outlive their process: closes the storage and opens it anew as a new process would, when no session
   * is open, and yields the store of that process. The one before is not used any more.
   */
  readonly reopen?: Effect.Effect<Store, unknown, Scope.Scope>
  /**
   * Ends the scope of the store, as the end of its layer does, while sessions may have it open. It is not used any more
   * afterwards.
   */
  readonly close?: Effect.Effect<void>
}

/**
 * One behaviour that the contract asks for, named by it. What the store does otherwise is a defect: an `Error` that
 * says what was expected. A store that is too slow is for the time limit of the test runner.
 */
export interface SessionStoreCase {
  readonly name: string
  readonly run: (store: SessionStoreUnderTest) => Effect.Effect<void, unknown, Scope.Scope>
}
