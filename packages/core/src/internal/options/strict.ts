/**
 * Structs of options that refuse unknown keys, from every source. By default a schema drops such keys unless the caller
 * of the decoder says otherwise, and Config never does.
 */
import * as Schema from "effect/Schema"
import { noSuchOption } from "./plain.ts"

type Fields = Schema.Struct.Fields

/**
 * A struct that refuses every other key.
 *
 * @stability stable
 * @category utility types
 * @since 0.1.0
 */
export interface Strict<F extends Fields> extends
  Schema.Codec<
    Schema.Struct<F>["Type"],
    Schema.Struct<F>["Encoded"],
    Schema.Struct<F>["DecodingServices"],
    Schema.Struct<F>["EncodingServices"]
  >
{
  /** The struct itself. */
  readonly schema: Schema.Struct<F>
}

/**
 * Makes a struct of these fields that refuses every other key.
 */
export const strict = <const F extends Fields>(fields: F): Strict<F> => {
  const names = new Set(Object.keys(fields))
  const others = Schema.String.check(Schema.makeFilter((key: string) => !names.has(key)))
  return Schema.StructWithRest(Schema.Struct(fields), [
    Schema.Record(others, Schema.Never.annotate({ message: noSuchOption }))
  ]) as unknown as Strict<F>
}
