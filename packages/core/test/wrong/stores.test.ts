/**
 * The stores of the core with wrong names and changes of every kind.
 */
import { SessionStore } from "@effect-mqttx/core"
import { describe, it } from "@effect/vitest"
import { Effect, Layer, References } from "effect"
import { tryWrongValues } from "../../../../test/support/wrongStores.ts"

describe("session stores with wrong values fail with a type, and continue", () => {
  it.live("memory", () =>
    Effect.flatMap(SessionStore.SessionStore, tryWrongValues).pipe(
      Effect.provide(Layer.fresh(SessionStore.layerMemory)),
      Effect.provideService(References.MinimumLogLevel, "None")
    ))
})
