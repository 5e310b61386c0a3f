/**
 * Sessions of any persistence, for tests that run with several: they are made by the function that takes theirs.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import type { AddOptions, SessionManager } from "@effect-mqttx/core/SessionManager"
import type { Persistence, SessionOptionsInput } from "@effect-mqttx/core/SessionOptions"
import type { SessionStore } from "@effect-mqttx/core/SessionStore"
import type { Effect, Scope } from "effect"

export type Options<P extends Persistence = Persistence> = Partial<SessionOptionsInput<P>>

/**
 * What options with this persistence need. Of options whose type admits all of them nothing is known: a durable session
 * among them has its store provided, or fails.
 */
export type StoreFor<P extends Persistence> = Persistence extends P ? never
  : "durable" extends P ? SessionStore
  : never

export const openSession = <P extends Persistence = never>(
  options: SessionOptionsInput<P>
): Effect.Effect<MqttSession.Session, MqttError, Scope.Scope | StoreFor<P>> =>
  (options.persistence === "durable"
    ? MqttSession.makeDurable({ ...options, persistence: "durable" })
    : MqttSession.make(options as SessionOptionsInput<never>)) as Effect.Effect<never>

export const addSession = <P extends Persistence = never>(
  manager: SessionManager["Service"],
  options: SessionOptionsInput<P>,
  addOptions?: AddOptions
): Effect.Effect<MqttSession.Session, MqttError, StoreFor<P>> =>
  (options.persistence === "durable"
    ? manager.addDurable({ ...options, persistence: "durable" }, addOptions)
    : manager.add(options as SessionOptionsInput<never>, addOptions)) as Effect.Effect<never>
