/**
 * Spans of a session: one for each message that it publishes, handles or acknowledges, with the attributes that
 * OpenTelemetry has for messaging. It writes the trace context into messages and reads it from them. Only sessions with
 * the option `tracing` have it, so that all others pay nothing.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import type { Message } from "../../Message.ts"
import type { OutgoingMessage, Payload, PublishOptions } from "../../Publication.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import * as TraceContext from "../../TraceContext.ts"
import { isRecord } from "../options/plain.ts"

type Handler<E, R> = (message: Message) => Effect.Effect<unknown, E, R>

/** The part of a session that tracing names. */
export interface Traced {
  readonly options: SessionOptions
  readonly clientId: string
}

export class SessionTracing {
  readonly #isInjecting: boolean
  readonly #isParent: boolean
  readonly #traced: Traced

  constructor(traced: Traced) {
    const { options } = traced
    // MQTT 3.1.1 has no place for it.
    this.#isInjecting = options.protocolVersion === 5
    this.#isParent = options.tracing === "parent"
    // The server may still assign its client identifier.
    this.#traced = traced
  }

  /** Publishes in a span of its own, which the message carries. */
  publish<A, E>(
    topic: string,
    payload: Payload,
    options: PublishOptions | undefined,
    publish: (options: PublishOptions | undefined) => Effect.Effect<A, E>
  ): Effect.Effect<A, E> {
    return Effect.useSpan(
      "publish",
      { kind: "producer", attributes: this.#attributes("send", topic, sizeOf(payload)) },
      (span) => Effect.withParentSpan(publish(this.#inject(options, span)), span)
    )
  }

  /** Messages that carry the span in which the stream runs. */
  injected<E, R>(messages: Stream.Stream<OutgoingMessage, E, R>): Stream.Stream<OutgoingMessage, E, R> {
    if (!this.#isInjecting || !Stream.isStream(messages)) return messages
    return Stream.unwrap(Effect.contextWith((context: Context.Context<never>) => {
      const span = Context.getOrUndefined(context, Tracer.ParentSpan)
      return Effect.succeed(
        span === undefined
          ? messages
          : Stream.map(
            messages,
            (message) => isRecord(message) ? { ...message, options: this.#inject(message.options, span)! } : message
          )
      )
    }))
  }

  /** Runs a handler in a span of its own, under or linked to the span that the message carries. */
  handled<E, R>(handler: Handler<E, R>): Handler<E, R> {
    return (message) =>
      Effect.withSpan(Effect.suspend(() => handler(message)), "process", this.#received(message, "process"))
  }

  /** The effect that acknowledges a message, in a span of its own. */
  settled(message: Message, acknowledge: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.withSpan(acknowledge, "settle", this.#received(message, "settle"))
  }

  #received(message: Message, operation: "process" | "settle"): Tracer.SpanOptionsNoTrace {
    const attributes = this.#attributes(operation, message.topic, message.payload.length)
    const sender = message.spanContext
    const kind = operation === "process" ? "consumer" : "client"
    if (sender === undefined) return { kind, attributes }
    // Under the sender's span, unless this process itself runs in a span for the message already.
    return this.#isParent && operation === "process"
      ? { kind, attributes, parent: sender }
      : { kind, attributes, links: [{ span: sender, attributes: {} }] }
  }

  #attributes(operation: "process" | "send" | "settle", topic: string, size: number): Record<string, unknown> {
    return {
      "messaging.system": "mqtt",
      "messaging.operation.name": operation === "send" ? "publish" : operation,
      "messaging.operation.type": operation,
      "messaging.destination.name": topic,
      "messaging.client.id": this.#traced.clientId,
      "messaging.message.body.size": size
    }
  }

  /** Wrong options are left as they are, because publishing refuses them. */
  #inject(options: PublishOptions | undefined, span: Tracer.AnySpan): PublishOptions | undefined {
    if (!this.#isInjecting || (options !== undefined && !isRecord(options))) return options
    const properties = options?.properties ?? {}
    if (!isRecord(properties)) return options
    const { userProperties = [] } = properties
    if (
      !Array.isArray(userProperties) || userProperties.some((pair) => Array.isArray(pair) && pair[0] === "traceparent")
    ) {
      return options
    }
    return {
      ...options,
      properties: { ...properties, userProperties: [...userProperties, ...TraceContext.toUserProperties(span)] }
    }
  }
}

const sizeOf = (payload: Payload): number =>
  typeof payload === "string" ? payload.length : (payload as { readonly byteLength?: number } | null)?.byteLength ?? 0
