/**
 * The types of options as a program writes them, derived from the schemas of the options.
 *
 * Each option is written once, as a field of a schema. Its decoded type, its JSON form and its input type follow from
 * that field, with the field's documentation. Sessions and forwarders declare their options with these types.
 */
import type * as Duration from "effect/Duration"
import type * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"
import { strict } from "./strict.ts"

/**
 * A duration as a program writes it: `Duration`, milliseconds, a string such as `"30 seconds"` or `"Infinity"`, or
 * anything else that `Duration.fromInput` takes.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export type DurationInput = Duration.Input | (string & {})

/**
 * A secret as a program writes it: plain, or already redacted.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export type SecretInput = string | Redacted.Redacted<string>

/**
 * Bytes as a program writes them: raw, or in base64 as in JSON.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export type BytesInput = Uint8Array | { readonly base64: string }

/**
 * A schema whose values a program writes in another form than follows from its types: groups of options, whose types
 * have names. `Input` exists only in the type, as `Type` and `Encoded` do.
 */
export interface Written<out A, out Encoded, out Input> extends Schema.Codec<A, Encoded> {
  readonly Input: Input
}

/** A group of options: a record that is the value of one option. */
export interface Group<out A, out Encoded, out Input> extends Written<A, Encoded, Input> {
  readonly schema: { readonly fields: Schema.Struct.Fields }
}

/** The options of these fields as a program writes them. Undefined counts as absent. */
export type InputOf<F extends Schema.Struct.Fields> = {
  readonly [K in keyof Schema.Struct.Encoded<F>]:
    | FieldInput<F[K & keyof F]>
    | ({} extends Pick<Schema.Struct.Encoded<F>, K> ? undefined : never)
}

type FieldInput<S> = S extends { readonly Input: infer Input } ? Input
  // A key that may be missing, and a default.
  : S extends { readonly "~type.optionality": "optional"; readonly schema: infer Inner } ? FieldInput<Inner>
  : S extends { readonly from: { readonly schema: infer Inner extends { readonly Input: unknown } } } ? Inner["Input"]
  : S extends { readonly Type: unknown; readonly Encoded: unknown } ? ValueInput<S["Type"], S["Encoded"]>
  : never

/** The decoded value or its JSON form, at each place where the two differ. */
type ValueInput<A, Encoded> = A extends Duration.Duration ? DurationInput
  : A extends Redacted.Redacted<string> ? SecretInput
  : A extends Redacted.Redacted<Uint8Array> ? A | BytesInput
  : A extends Uint8Array ? BytesInput | Extract<Encoded, string>
  : A extends readonly [unknown, unknown] ? A
  : A extends ReadonlyArray<infer Item> ? ReadonlyArray<ValueInput<Item, never>> | Extract<Encoded, string>
  : A extends object ? { readonly [K in keyof A]: ValueInput<A[K], never> }
  : A

/** Makes a group of options, which refuses every other key. */
export const group = <const F extends Schema.Struct.Fields>(
  fields: F
): Group<Schema.Struct.Type<F>, Schema.Struct.Encoded<F>, InputOf<F>> => strict(fields) as never
