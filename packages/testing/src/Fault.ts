/**
 * Faults of a scripted broker: the packets that they apply to, and their effects. An invalid match or option throws an
 * `MqttError`.
 *
 * **Example** (Losing the acknowledgement of a PUBLISH)
 *
 * ```ts
 * import { MqttSession } from "@effect-mqttx/core"
 * import { Fault, ScriptedBroker } from "@effect-mqttx/testing"
 * import { Effect, Layer } from "effect"
 *
 * const Plant = MqttSession.layer({ name: "plant", servers: [ScriptedBroker.memoryUrl] })
 *
 * export const program = Effect.gen(function*() {
 *   const broker = yield* ScriptedBroker.ScriptedBroker
 *   const session = yield* MqttSession.MqttSession
 *   const fault = yield* broker.inject(Fault.dropAfter({ direction: "received", packet: "Publish" }))
 *   yield* session.publish("sensors/room1/temperature", "23.5", { qos: 1 })
 *   return fault.hits()
 * }).pipe(Effect.provide(Plant.pipe(Layer.provideMerge(ScriptedBroker.layerMemory()))))
 * ```
 */
import type { Packet } from "@effect-mqttx/core/Packet"
import * as Duration from "effect/Duration"
import { type Check, mistakeIn, mistakeOf, number, orThrow } from "./internal/checks.ts"
import { faultArguments, faultOptions } from "./internal/scripted/checks.ts"
import type { Fault, PacketMatch } from "./internal/scripted/fault.ts"
export type { Fault, FaultAction, PacketMatch, ReleaseOrder } from "./internal/scripted/fault.ts"

/**
 * How long a fault stays in force. `times` is 1 by default.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface FaultOptions {
  /** Number of packets that the fault applies to. Default: see the fault, mostly 1. */
  readonly times?: number
}

/**
 * How a connection is dropped: in an orderly way (default), or with a reset that may also destroy bytes in flight.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface DropOptions extends FaultOptions {
  /** Whether the connection is reset. Default false. */
  readonly reset?: boolean
}

const check = (
  fault: string,
  given: { readonly [name: string]: unknown },
  options: unknown,
  checks: { readonly [name: string]: Check } = {}
): void => {
  orThrow(mistakeIn(`Fault.${fault}`, given, faultArguments))
  orThrow(mistakeOf(`Fault.${fault}`, options, { times: number(0), ...checks }))
}

/**
 * Closes the connection instead of the packet: a received packet is never processed, a sent one never leaves.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const dropBefore = (match: PacketMatch, options?: DropOptions): Fault => {
  check("dropBefore", { match }, options, faultOptions.reset)
  return { match, action: { _tag: "DropBefore", reset: options?.reset ?? false }, times: options?.times ?? 1 }
}

/**
 * Closes the connection after the packet. A received packet is processed, but none of its effects reach this client; a
 * sent packet is passed to the network in full.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const dropAfter = (match: PacketMatch, options?: DropOptions): Fault => {
  check("dropAfter", { match }, options, faultOptions.reset)
  return { match, action: { _tag: "DropAfter", reset: options?.reset ?? false }, times: options?.times ?? 1 }
}

/**
 * Closes the connection inside the packet. Of a sent packet the first `bytes` leave (default: a random number, at least
 * one and not all). A received packet counts as incomplete and is never processed.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const cutInside = (match: PacketMatch, options?: DropOptions & { readonly bytes?: number }): Fault => {
  check("cutInside", { match }, options, faultOptions.cut)
  return {
    match,
    action: { _tag: "CutInside", bytes: options?.bytes, reset: options?.reset ?? false },
    times: options?.times ?? 1
  }
}

/**
 * Delays the packet by Effect's Clock, and all packets after it in the same direction, as a slow network does. They are
 * lost if the connection ends meanwhile.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const delay = (match: PacketMatch, duration: Duration.Input, options?: FaultOptions): Fault => {
  check("delay", { match, duration }, options)
  return { match, action: { _tag: "Delay", duration: Duration.fromInputUnsafe(duration) }, times: options?.times ?? 1 }
}

/**
 * Lets the packet pass more than once; `copies` is 1 by default.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const duplicate = (match: PacketMatch, options?: FaultOptions & { readonly copies?: number }): Fault => {
  check("duplicate", { match }, options, faultOptions.copies)
  return { match, action: { _tag: "Duplicate", copies: options?.copies ?? 1 }, times: options?.times ?? 1 }
}

/**
 * Drops the packet while the connection continues. No network does that, but a broken peer may.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const discard = (match: PacketMatch, options?: FaultOptions): Fault => {
  check("discard", { match }, options)
  return { match, action: { _tag: "Discard" }, times: options?.times ?? 1 }
}

/**
 * Withholds packets from the broker until `release` is called, or the connection ends, while others pass. Withheld
 * PUBACK, PUBREC and PUBCOMP still count in the broker's receive maximum. `times` is unlimited by default.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const withhold = (match: PacketMatch, options?: FaultOptions): Fault => {
  check("withhold", { match }, options)
  return { match, action: { _tag: "Withhold", count: Infinity, order: "original" }, times: options?.times ?? Infinity }
}

/**
 * Withholds packets until there are `count` of them, and sends these in another order. `times` is unlimited by default.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const misorder = (
  match: PacketMatch,
  options: FaultOptions & { readonly count: number; readonly order?: "reverse" | "shuffle" }
): Fault => {
  check("misorder", { match }, options ?? null, faultOptions.order)
  const { count, order = "reverse", times = Infinity } = options
  orThrow(mistakeIn("Fault.misorder", { count }, faultOptions.order))
  return { match, action: { _tag: "Withhold", count, order }, times }
}

/**
 * Replaces the packet by other packets, or by none. The state of the broker does not change. (To refuse CONNECT, use
 * the broker's `refuseConnect`.)
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const replace = (
  match: PacketMatch,
  by: (packet: Packet) => ReadonlyArray<Packet>,
  options?: FaultOptions
): Fault => {
  check("replace", { match, by }, options)
  return { match, action: { _tag: "Replace", by }, times: options?.times ?? 1 }
}

/**
 * Sends raw bytes after the packet, or `instead` of it.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const sendRaw = (
  match: PacketMatch,
  bytes: Uint8Array,
  options?: FaultOptions & { readonly instead?: boolean }
): Fault => {
  check("sendRaw", { match, bytes }, options, faultOptions.instead)
  return { match, action: { _tag: "SendRaw", bytes, instead: options?.instead ?? false }, times: options?.times ?? 1 }
}

/**
 * From this packet on (without processing it) the connection is half open: the client's bytes are accepted, and nothing
 * is answered.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const goSilent = (match: PacketMatch, options?: FaultOptions): Fault => {
  check("goSilent", { match }, options)
  return { match, action: { _tag: "GoSilent" }, times: options?.times ?? 1 }
}

/**
 * From this packet on (which is still processed) the broker reads nothing more, so that the client's writes accumulate.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const stopReading = (match: PacketMatch, options?: FaultOptions): Fault => {
  check("stopReading", { match }, options)
  return { match, action: { _tag: "StopReading" }, times: options?.times ?? 1 }
}

/**
 * Reports the opposite of the real session present in CONNACK, or a given value.
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const lieAboutSessionPresent = (
  value?: boolean,
  options?: FaultOptions & Pick<PacketMatch, "clientId">
): Fault => {
  check("lieAboutSessionPresent", value === undefined ? {} : { value }, options, faultOptions.clientId)
  return replace(
    {
      direction: "sent",
      packet: "Connack",
      where: (packet) => packet._tag === "Connack" && packet.reasonCode === 0,
      ...(options?.clientId !== undefined && { clientId: options.clientId })
    },
    (packet) => packet._tag === "Connack" ? [{ ...packet, sessionPresent: value ?? !packet.sessionPresent }] : [packet],
    options?.times === undefined ? undefined : { times: options.times }
  )
}
