/**
 * The required behaviour of every implementation of `SessionStore`, as cases for any test runner.
 *
 * `layerEmpty` opens an empty storage: another directory, database or key prefix for each case. A store that outlives
 * its process passes `{ ...store, reopen }`, and the suite tests that it keeps its records. A store whose layer ends it
 * passes `close` as well.
 *
 * **Example** (Testing a store)
 *
 * ```ts
 * import { SessionStore } from "@effect-mqttx/core"
 * import { SessionStoreSuite } from "@effect-mqttx/testing"
 * import { describe, it } from "@effect/vitest"
 * import { Effect } from "effect"
 *
 * const layerEmpty = SessionStore.layerMemory
 *
 * // `it.live`, so that the store has a real clock.
 * describe("my store", () => {
 *   for (const { name, run } of SessionStoreSuite.cases) {
 *     it.live(name, () =>
 *       Effect.flatMap(SessionStore.SessionStore, run).pipe(Effect.scoped, Effect.provide(layerEmpty)))
 *   }
 * })
 * ```
 */
import type { SessionStoreCase } from "./internal/storeSuite/case.ts"
import { modelCases } from "./internal/storeSuite/modelCases.ts"
import { nameCases } from "./internal/storeSuite/nameCases.ts"
import { ownershipCases } from "./internal/storeSuite/ownershipCases.ts"
import { recordCases } from "./internal/storeSuite/recordCases.ts"

export type { SessionStoreCase, SessionStoreUnderTest } from "./internal/storeSuite/case.ts"

/**
 * All cases. They wait only for the store, and the largest commit has 70,000 changes.
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const cases: ReadonlyArray<SessionStoreCase> = [...recordCases, ...ownershipCases, ...nameCases, ...modelCases]
