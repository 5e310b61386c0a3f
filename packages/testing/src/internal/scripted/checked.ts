/**
 * Checks the arguments of the broker's methods.
 */
import * as Effect from "effect/Effect"
import { type Check, mistakeIn, mistakeOf } from "../checks.ts"
import { argumentChecks } from "./checks.ts"

/** Dies for an invalid argument or an unknown option. */
export const checked = <A>(
  method: string,
  given: { readonly [Name in keyof typeof argumentChecks]?: unknown },
  then: () => Effect.Effect<A>,
  options?: unknown,
  checks: { readonly [name: string]: Check } = {}
): Effect.Effect<A> =>
  Effect.suspend(() => {
    const name = `ScriptedBroker.${method}`
    const mistake = mistakeIn(name, given, argumentChecks) ?? mistakeOf(name, options, checks)
    return mistake === undefined ? then() : Effect.die(mistake)
  })
