import { assert, describe, it } from "@effect/vitest"
import type { Duration, Redacted } from "effect"
import type { UserProperty } from "../src/Properties.ts"
import type {
  BytesInput,
  DurationInput,
  Persistence,
  ReconnectInput,
  SecretInput,
  SessionOptions,
  SessionOptionsEncoded,
  SessionOptionsInput,
  TlsInput,
  TlsOptions,
  WillInput
} from "../src/SessionOptions.ts"

// The types of options follow from their schemas. What they have to be stands here by examples, one of each kind, and
// the compiler checks them: `npm run check` fails when one differs.

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
const same = <A, B>(...[holds]: Same<A, B> extends true ? [true] : [never]): boolean => holds

describe("types of options", () => {
  it("of code take values, what they are decoded from, and undefined for absent", () => {
    type Input = SessionOptionsInput
    assert.isTrue(same<Input["name"], string>(true))
    assert.isTrue(same<Input["servers"], string | ReadonlyArray<string>>(true))
    assert.isTrue(same<Input["keepAlive"], DurationInput | undefined>(true))
    assert.isTrue(same<Input["password"], SecretInput | undefined>(true))
    assert.isTrue(same<Input["persistence"], Persistence | undefined>(true))
    assert.isTrue(same<SessionOptionsInput<never>["persistence"], undefined>(true))
    assert.isTrue(same<Input["connectUserProperties"], ReadonlyArray<UserProperty> | undefined>(true))
    assert.isTrue(same<Input["reconnect"], ReconnectInput | undefined>(true))
    assert.isTrue(same<ReconnectInput["jitter"], "equal" | "full" | "none" | undefined>(true))
    assert.isTrue(same<TlsInput["pfx"], BytesInput | Redacted.Redacted<Uint8Array> | undefined>(true))
    assert.isTrue(same<TlsInput["alpn"], string | ReadonlyArray<string> | undefined>(true))
    assert.isTrue(same<WillInput["topic"], string>(true))
    assert.isTrue(same<WillInput["payload"], string | BytesInput>(true))
    const headers: NonNullable<Input["webSocket"]>["headers"] = { Authorization: "token" }
    assert.isDefined(headers)
  })

  it("of JSON leave out what has a default, and hold no values of Effect", () => {
    type Json = SessionOptionsEncoded
    const smallest: Json = { name: "a", servers: "a.example" }
    const secrets: Json = { ...smallest, password: "secret", will: { topic: "a", payload: { base64: "" } } }
    assert.isTrue(same<Extract<Json["keepAlive"], Duration.Duration>, never>(true))
    assert.isDefined(secrets)
  })

  it("of checked options have every default", () => {
    assert.isTrue(same<SessionOptions["servers"], readonly [string, ...Array<string>]>(true))
    assert.isTrue(same<SessionOptions["keepAlive"], Duration.Duration>(true))
    assert.isTrue(same<SessionOptions["sessionExpiry"], Duration.Duration>(true))
    assert.isTrue(same<SessionOptions["memoryLimit"], number>(true))
    assert.isTrue(same<SessionOptions["queue"]["bytes"], number>(true))
    assert.isTrue(same<TlsOptions["key"], Redacted.Redacted<string> | undefined>(true))
    assert.isTrue(same<"path" extends keyof SessionOptions["webSocket"] ? true : false, false>(true))
  })
})
