/**
 * An application message as a subscriber receives it.
 */
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import type * as Tracer from "effect/Tracer"
import { detach } from "./internal/deferredLists.ts"
import { payloadBytes } from "./internal/payload.ts"
import { cleanCause } from "./internal/peerText.ts"
import { InvalidPayload, MqttError } from "./MqttError.ts"
import type { PublishProperties } from "./Properties.ts"
import type { Payload } from "./Publication.ts"
import type { QoS } from "./QoS.ts"
import { fromUserProperties } from "./TraceContext.ts"

const TypeId = "~effect-mqttx/core/Message"

/**
 * Takes the acknowledgement of a message, see `Message.ack`.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface Acknowledger {
  /** Called by each run of `Message.ack`. Calls after the first one do nothing. */
  readonly acknowledge: (message: Message) => void
  /** Replaces the effect of `Message.ack`, for example by one with a span. Default: the effect alone. */
  readonly effect?: ((message: Message, acknowledge: Effect.Effect<void>) => Effect.Effect<void>) | undefined
}

/**
 * The fields of a message.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type MessageFields =
  & Pick<Message, "topic" | "payload" | "qos" | "retain" | "dup" | "properties" | "session" | "receivedAt">
  & Partial<Pick<Message, "packetIdentifier" | "use" | "serverSession">>

const textDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/**
 * A received message: topic, payload and all its other fields (MQTT 3.3).
 *
 * The payload is a read-only view that all streams share. Use `copy` for a message that is kept for long. `text` and
 * `decode` work on demand, so a message that is only forwarded is never decoded.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export class Message {
  /** The topic name, as the server sent it. */
  readonly topic: string
  /** The payload: a read-only view that all streams share, see `copy`. */
  readonly payload: Uint8Array
  /** The quality of service of the delivery: the lower of the published and the granted one. */
  readonly qos: QoS
  /**
   * The server sent the message because it was retained when the subscription was made; or, with `retainAsPublished`,
   * the flag as published.
   */
  readonly retain: boolean
  /** The server may have sent the message before. */
  readonly dup: boolean
  /** The MQTT 5 properties without the topic alias, which is resolved; empty on 3.1.1. */
  readonly properties: PublishProperties
  /** The name of the session that received the message. */
  readonly session: string
  /** Time of arrival, in milliseconds since the epoch, by Effect's Clock. */
  readonly receivedAt: number
  /**
   * The packet identifier of a QoS 1 or 2 delivery, 0 for QoS 0. A redelivery has that of the first delivery (MQTT
   * 4.4). The server gives it to another message after the acknowledgement.
   */
  readonly packetIdentifier: number
  /**
   * The same for each delivery of a QoS 2 message to this session, and unique to the message among those with its
   * packet identifier. In a durable session this holds across restarts. Undefined for QoS 0 and 1.
   */
  readonly use: string | undefined
  /**
   * The session of the server that the message came from: another text whenever the server began a new session, in
   * which its packet identifiers begin again (MQTT 3.2.2.1.1). In a durable session this holds across restarts. Empty
   * for a message that came from no server.
   */
  readonly serverSession: string

  readonly #acknowledger: Acknowledger | undefined
  #text: string | undefined

  constructor(fields: MessageFields, acknowledger?: Acknowledger) {
    this.topic = fields.topic
    this.payload = fields.payload
    this.qos = fields.qos
    this.retain = fields.retain
    this.dup = fields.dup
    this.properties = fields.properties
    this.session = fields.session
    this.receivedAt = fields.receivedAt
    this.packetIdentifier = fields.packetIdentifier ?? 0
    this.use = fields.use
    this.serverSession = fields.serverSession ?? ""
    this.#acknowledger = acknowledger
    this.#text = undefined
  }

  // On the prototype, so that it takes no memory of a message.
  get [TypeId](): typeof TypeId {
    return TypeId
  }

  /**
   * Acknowledges a message of a subscription with `ack: "manual"`. Does nothing in other modes, for QoS 0, and the
   * second time. Acknowledgements leave in the order in which the messages arrived (MQTT 4.6).
   */
  get ack(): Effect.Effect<void> {
    const acknowledger = this.#acknowledger
    const acknowledge = Effect.sync(() => acknowledger?.acknowledge(this))
    return acknowledger?.effect === undefined ? acknowledge : acknowledger.effect(this, acknowledge)
  }

  /**
   * The span of the sender, from the user properties `traceparent` and `tracestate` (MQTT 5); undefined when the
   * message carries none. It is for `parent` or `links` of a span, see `TraceContext`.
   */
  get spanContext(): Tracer.ExternalSpan | undefined {
    return fromUserProperties(this.properties.userProperties)
  }

  /** The payload decoded as UTF-8 on first use. Invalid bytes become the replacement character. */
  get text(): string {
    return this.#text ??= lossyTextDecoder.decode(this.payload)
  }

  /**
   * Decodes the payload's text through a schema, for example `Schema.fromJsonString(Reading)`. Fails with
   * `InvalidPayload` when the payload is not UTF-8 or does not fit the schema.
   *
   * **Example** (Decoding JSON)
   *
   * ```ts
   * import type { Message } from "@effect-mqttx/core"
   * import { Schema } from "effect"
   *
   * const Reading = Schema.fromJsonString(Schema.Struct({ celsius: Schema.Finite }))
   *
   * export const celsius = (message: Message.Message) => message.decode(Reading)
   * ```
   */
  decode<A, RD>(schema: Schema.ConstraintDecoder<A, RD>): Effect.Effect<A, MqttError, RD> {
    return Effect.suspend(() => {
      let text: string
      try {
        text = textDecoder.decode(this.payload)
      } catch (cause) {
        return Effect.fail(
          this.#invalid(
            new InvalidPayload({ detail: "the payload is not UTF-8", direction: "received", cause: cleanCause(cause) })
          )
        )
      }
      return Effect.mapError(
        Schema.decodeUnknownEffect(schema)(text),
        (error) =>
          this.#invalid(InvalidPayload.fromSchemaError(error, "the payload does not fit the schema", "received"))
      )
    })
  }

  /**
   * The same delivery with another topic, payload or other field, for transformations: acknowledging it acknowledges
   * the original. The payload may be any value that can be published. Throws an `MqttError` with `InvalidPayload` for
   * other values.
   */
  with(change: Partial<Omit<MessageFields, "payload">> & { readonly payload?: Payload | undefined }): Message {
    const { payload, ...others } = change
    return new Message({
      ...this,
      ...others,
      payload: payload === undefined ? this.payload : this.#bytesOf(payload)
    }, this.#acknowledger)
  }

  /** The same message with its own bytes, which keep no network buffer alive. */
  copy(): Message {
    return new Message({
      ...this,
      // `new Uint8Array` copies bytes of every class; `slice` of a Buffer is a view.
      payload: new Uint8Array(this.payload),
      properties: detach(this.properties)
    }, this.#acknowledger)
  }

  #bytesOf(payload: Payload): Uint8Array {
    const bytes = payloadBytes(payload)
    if (bytes instanceof Uint8Array) return bytes
    throw new MqttError({ reason: bytes, session: this.session, method: "Message.with", topic: this.topic })
  }

  #invalid(reason: InvalidPayload): MqttError {
    return new MqttError({ reason, session: this.session, method: "decode", topic: this.topic })
  }
}

/**
 * Whether a value is a received message.
 *
 * @stability stable
 * @category guards
 * @since 0.1.0
 */
export const isMessage = (u: unknown): u is Message => Predicate.hasProperty(u, TypeId)

const lossyTextDecoder = new TextDecoder("utf-8", { ignoreBOM: true })
