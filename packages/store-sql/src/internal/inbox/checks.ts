/**
 * Checks of what programs give to the inbox. Values may be of any type.
 */
import * as Message from "@effect-mqttx/core/Message"
import { InvalidOptions, MqttError } from "@effect-mqttx/core/MqttError"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import * as Effect from "effect/Effect"

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const invalid = (method: string, path: string, message: string): MqttError =>
  new MqttError({ method, reason: new InvalidOptions({ issues: [{ path, message }] }) })

const consume = "SqlInbox.consume"
const once = "SqlInbox.once"

const refuseOptions = (method: string, options: unknown): MqttError | undefined => {
  if (!isRecord(options)) return invalid(method, "options", "must be a record")
  const { consumer } = options
  if (typeof consumer === "string" && consumer !== "") return undefined
  return invalid(method, "consumer", "must be a text that is not empty")
}

/** The problem with the arguments of `consume` that `Session.consume` does not check; undefined: none. */
export const refuseConsume = (session: unknown, options: unknown): MqttError | undefined => {
  if (!MqttSession.isSession(session)) return invalid(consume, "session", "must be a session")
  const refusal = refuseOptions(consume, options)
  if (refusal !== undefined) return refusal
  const { key, qos = 2 } = options as Readonly<Record<string, unknown>>
  if (qos !== 1 && qos !== 2) return invalid(consume, "qos", "must be 1 or 2: QoS 0 is delivered at most once")
  if (key !== undefined && typeof key !== "function") return invalid(consume, "key", "must be a function")
  if (session.options.persistence === "durable") return undefined
  const message = "must be durable: after a restart, only a session that the server keeps gets again what it has not " +
    "acknowledged"
  return invalid(consume, "session", message)
}

/** The problem with a key that the program's function has made; undefined: none. */
export const refuseKey = (key: unknown, method: string = consume): MqttError | undefined =>
  key === undefined || typeof key === "string" ? undefined : invalid(method, "key", "must be a text or undefined")

/** The problem with the arguments of `once`; undefined: none. */
export const refuseOnce = (message: unknown, effect: unknown, options: unknown): MqttError | undefined => {
  if (!Message.isMessage(message)) return invalid(once, "message", "must be a message")
  if (!Effect.isEffect(effect)) return invalid(once, "effect", "must be an effect")
  return refuseOptions(once, options) ?? refuseKey((options as Readonly<Record<string, unknown>>)["key"], once)
}
