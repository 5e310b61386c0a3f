/**
 * Secrets that a program may give as a text or hidden.
 */
import * as Redacted from "effect/Redacted"

export type SecretInput = string | Redacted.Redacted<string>

export const reveal = (secret: SecretInput): string => typeof secret === "string" ? secret : Redacted.value(secret)
