/**
 * Browsers cannot listen.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Accept, Listening } from "../scripted/listening.ts"

export const listen = (
  _accept: Accept,
  _options: { readonly webSocket: boolean }
): Effect.Effect<Listening, never, Scope.Scope> =>
  Effect.die(new Error("a browser cannot listen for connections: use ScriptedBroker.layerMemory"))
