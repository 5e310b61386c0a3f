/**
 * The options of a session that ask the program before each attempt to connect. They are code. `fields.ts` lists them.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type { Authenticator } from "../../Authentication.ts"
import type { Provider } from "../../Credentials.ts"
import type { Written } from "./input.ts"
import { code } from "./leaves.ts"

export const credentials: Written<Provider, Provider, Provider> = code(
  (value: unknown): value is Provider => typeof value === "function" || Effect.isEffect(value),
  "an Effect, or a function that answers one"
)

export const authentication: Written<Authenticator, Authenticator, Authenticator> = code(
  (value: unknown): value is Authenticator =>
    Predicate.hasProperty(value, "method") && typeof value.method === "string" &&
    Predicate.hasProperty(value, "initiate") && typeof value.initiate === "function",
  "an Authenticator"
)
