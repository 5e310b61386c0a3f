/**
 * An MQTT session: publish, subscribe, and stay connected.
 *
 * A session outlives its network connections. Messages that were accepted are sent, streams go on, and subscriptions hold
 * through reconnects; how long, and what survives the process, is the option `persistence`.
 *
 * @example
 * const program = Effect.gen(function*() {
 *   const session = yield* MqttSession.MqttSession
 *   const temperatures = yield* session.subscription("sensors/+/temperature", { qos: 1 })
 *   yield* session.publish("sensors/room1/temperature", "23.5", { qos: 1 })
 *   yield* temperatures.messages.pipe(
 *     Stream.take(1),
 *     Stream.runForEach((message) => Effect.log(message.topic, message.text))
 *   )
 * })
 * program.pipe(
 *   Effect.scoped,
 *   Effect.provide(MqttSession.layer({ name: "plant", servers: ["mqtt://localhost:1883"] })),
 *   Effect.runPromise
 * )
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Extras, Session } from "./internal/session/contract.ts"
import { checkExtras, configured } from "./internal/session/extras.ts"
import type { ReconnectSchedule } from "./internal/session/reconnect.ts"
import { makeSession } from "./internal/session/session.ts"
import type { MqttError } from "./MqttError.ts"
import * as SessionOptions from "./SessionOptions.ts"

export type { Extras, Session } from "./internal/session/contract.ts"

/**
 * Makes a session that lives as long as the scope, and starts to connect in the background. The network and the store are the
 * references `Transport` and `SessionStore`.
 *
 * Fails with `InvalidOptions`, or `StorageFailed` when the store of a durable session cannot be opened.
 */
export const make = (
  options: SessionOptions.SessionOptionsInput,
  extras?: Extras
): Effect.Effect<Session, MqttError, Scope.Scope> =>
  Effect.flatMap(
    Effect.all([SessionOptions.make(options), checkExtras(extras, "make")]),
    ([valid, { reconnect }]) => Effect.map(makeSession(valid, reconnect), ({ session }) => session)
  )

/**
 * The session of a program that has one.
 *
 * @example
 * const program = Effect.gen(function*() {
 *   const session = yield* MqttSession.MqttSession
 *   yield* session.publish("sensors/room1/temperature", "23.5", { qos: 1 })
 * })
 * program.pipe(Effect.provide(MqttSession.layer({ name: "plant", servers: ["mqtt://localhost:1883"] })))
 */
export class MqttSession extends Context.Service<MqttSession, Session>()("@effect-mqttx/core/MqttSession") {}

/**
 * The layer of `MqttSession`.
 */
export const layer = (
  options: SessionOptions.SessionOptionsInput,
  extras?: Extras
): Layer.Layer<MqttSession, MqttError> => Layer.effect(MqttSession, make(options, extras))

/**
 * The layer of `MqttSession` with options from Config, for example `SessionOptions.config("MQTT")`.
 */
export const layerConfig = (
  config: Config.Config<SessionOptions.SessionOptions>,
  extras?: Extras
): Layer.Layer<MqttSession, MqttError | Config.ConfigError> =>
  Layer.effect(MqttSession, Effect.flatMap(configured(config, "layerConfig"), (options) => make(options, extras)))

/**
 * The tag of a named session, with its layers.
 */
export interface ServiceClass<Self, Name extends string> extends Context.ServiceClass<Self, Name, Session> {
  readonly layer: (
    options: Omit<SessionOptions.SessionOptionsInput, "name">,
    extras?: Extras
  ) => Layer.Layer<Self, MqttError>
  readonly layerConfig: (
    config: Config.Config<SessionOptions.SessionOptions>,
    extras?: Extras
  ) => Layer.Layer<Self, MqttError | Config.ConfigError>
}

/**
 * Makes a tag for one of several sessions that are known at compile time; the session has the tag's name.
 *
 * @example
 * class Plant extends MqttSession.Service<Plant>()("plant") {}
 * const PlantLayer = Plant.layer({ servers: ["mqtt://localhost:1883"] })
 */
export const Service = <Self>() => <const Name extends string>(name: Name): ServiceClass<Self, Name> => {
  const key = Context.Service<Self, Session>()(name)
  return Object.assign(key, {
    layer: (options: Omit<SessionOptions.SessionOptionsInput, "name">, extras?: Extras) =>
      Layer.effect(key, make({ ...options, name }, extras)),
    layerConfig: (config: Config.Config<SessionOptions.SessionOptions>, extras?: Extras) =>
      Layer.effect(
        key,
        Effect.flatMap(configured(config, "layerConfig"), (options) => make({ ...options, name }, extras))
      )
  }) as never
}

export type { ReconnectSchedule }
