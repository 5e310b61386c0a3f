/**
 * MessagePack payloads: values go through a schema, and its encoded form through the package `@msgpack/msgpack`.
 */
import * as PayloadCodec from "@effect-mqttx/core/PayloadCodec"
import { decode, encode } from "@msgpack/msgpack"
import type * as Schema from "effect/Schema"

/**
 * A codec that writes a schema's encoded form as MessagePack, announced as `application/msgpack` on MQTT 5. A payload
 * that is not valid MessagePack, or does not match the schema, is an `InvalidPayload`.
 *
 * **Example** (Publishing MessagePack)
 *
 * ```ts
 * import { TopicTemplate } from "@effect-mqttx/core"
 * import { MessagePack } from "@effect-mqttx/msgpack"
 * import { Schema } from "effect"
 *
 * const Reading = Schema.Struct({ celsius: Schema.Finite })
 * const temperatures = TopicTemplate.make("sensors/:room/temperature", MessagePack.codec(Reading))
 *
 * temperatures.codec.contentType // => "application/msgpack"
 * ```
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const codec = <A, Encoded, RD, RE>(
  schema: Schema.ConstraintCodec<A, Encoded, RD, RE>
): PayloadCodec.PayloadCodec<A, RE, RD> =>
  PayloadCodec.make(schema, {
    contentType: "application/msgpack",
    accepts: (contentType) => /^application\/(?:x-|vnd\.)?msgpack\s*(?:;|$)/i.test(contentType.trim()),
    encode: (value) => encode(value),
    decode: (payload) => decode(payload)
  })
