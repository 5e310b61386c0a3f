/**
 * Derives the options of the engine from those of the session.
 */
import * as Duration from "effect/Duration"
import type { SessionOptions } from "../../SessionOptions.ts"
import type { EngineOptions } from "../engine/contract.ts"

/** Memory limit of received messages until their consumers have finished, in bytes. */
export const inboundLimitOf = ({ memoryLimit, queue }: SessionOptions): number => memoryLimit - queue.bytes

export const engineOptions = (options: SessionOptions, life: string): EngineOptions => ({
  session: options.name,
  life,
  protocolVersion: options.protocolVersion,
  receiveMaximum: options.receiveMaximum,
  topicAliasMaximum: options.protocolVersion === 5 ? options.topicAliasMaximum : 0,
  topicAliases: options.topicAliases,
  maxInflight: options.maxInflight,
  maxInflightQoS2: options.maxInflightQoS2,
  inboundLimit: inboundLimitOf(options),
  queue: {
    messages: options.queue.messages,
    bytes: options.queue.bytes,
    policy: options.queue.policy,
    expiresAfter: options.queue.expiresAfter === undefined ? undefined : Duration.toMillis(options.queue.expiresAfter)
  },
  onSessionLost: options.onSessionLost,
  unacknowledgedOnSessionLost: options.unacknowledgedOnSessionLost,
  poisonThreshold: options.poisonThreshold,
  subscribeTimeout: Duration.toMillis(options.subscribeTimeout),
  subscriptionIdentifiers: options.subscriptionIdentifiers,
  serverLimits: options.serverLimits,
  durable: options.persistence === "durable",
  ackDeadline: Duration.toMillis(options.ackDeadline),
  onAckDeadline: options.onAckDeadline,
  unclaimed: {
    hold: Duration.toMillis(options.unclaimed.hold),
    messages: Math.max(1, Math.floor(options.receiveMaximum * options.unclaimed.fraction))
  }
})
