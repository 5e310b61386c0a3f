/**
 * An MQTT server as a pure state machine: sessions, subscriptions, retained messages, wills and the QoS flows of 3.1.1
 * and 5.0, without any I/O and without a clock of its own.
 *
 * The owner passes packets and times to it and carries out the outputs that `take` returns. `ScriptedBroker` is this
 * core with a network, faults and a record around it. A property test may connect it directly to a client's engine.
 *
 * **Example** (Connecting a client without a network)
 *
 * ```ts
 * import type { Packet } from "@effect-mqttx/core"
 * import { BrokerCore } from "@effect-mqttx/testing"
 *
 * const connect: Packet.Connect = {
 *   _tag: "Connect",
 *   protocolVersion: 5,
 *   clientId: "plant",
 *   cleanStart: true,
 *   keepAlive: 60,
 *   will: undefined,
 *   username: undefined,
 *   password: undefined,
 *   properties: {}
 * }
 * const core = BrokerCore.makeBrokerCore({ limits: { receiveMaximum: 10 } })
 * core.connectionOpened(1, 0)
 * core.receive(1, [connect], 0)
 *
 * core.take().flatMap(({ packets }) => packets.map(({ _tag }) => _tag)) // => ["Connack"]
 * ```
 */
import type { BrokerCore, BrokerCoreOptions, BrokerLimits } from "./internal/broker/contract.ts"
import * as internal from "./internal/broker/core.ts"
import { mistakeOf, orThrow } from "./internal/checks.ts"
import { coreChecks } from "./internal/scripted/checks.ts"
export type {
  AuthenticationAnswer,
  AuthenticationRequest,
  BrokerCore,
  BrokerCoreOptions,
  BrokerLimits,
  ClientInfo,
  ClientViolation,
  ConnectionOutput,
  DeliveryOutcome,
  Publication,
  PublishedMessage,
  ServerMessage,
  SessionView,
  SubscriptionView
} from "./internal/broker/contract.ts"

/**
 * The limits of a server that grants everything.
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const defaultLimits: BrokerLimits = internal.defaultLimits

/**
 * Makes a server. With a journal that has entries, it restores their sessions, retained messages and unfinished flows.
 * `now` is required then, to start session expiry. Throws an `MqttError` for invalid options.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const makeBrokerCore = (options?: BrokerCoreOptions, now?: number): BrokerCore => {
  orThrow(mistakeOf("makeBrokerCore", options, coreChecks))
  return internal.makeBrokerCore(options ?? {}, now ?? 0)
}
