/**
 * The commands by which a test makes the broker send messages, packets and bytes.
 */
import { MqttError } from "@effect-mqttx/core/MqttError"
import type { Packet } from "@effect-mqttx/core/Packet"
import { toBytes } from "@effect-mqttx/core/Publication"
import * as Topic from "@effect-mqttx/core/Topic"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { DeliveryOutcome } from "../broker/contract.ts"
import { checked } from "./checked.ts"
import { publishChecks } from "./checks.ts"
import type { Service, Target } from "./contract.ts"
import type { RunningHub, Tracker } from "./runningHub.ts"
import { awaitUntil, onConnection } from "./targets.ts"

/** These members of `Service`. */
export const sendingMembers = (
  running: RunningHub
): Pick<Service, "publish" | "sendPacket" | "sendRaw" | "disconnect" | "setLimits" | "forgetSession"> => {
  const { hub, trackers } = running
  const now = (): number => hub.options.now()
  return {
    publish: (topic, payload, options) =>
      checked(
        "publish",
        {},
        () => {
          if (hub.core === undefined) return Effect.die(new Error("the broker does not run"))
          const message = Result.all({ topic: Topic.validateName(topic), payload: toBytes(payload) })
          if (Result.isFailure(message)) {
            return Effect.die(new MqttError({ method: "ScriptedBroker.publish", reason: message.failure }))
          }
          const outcomes: Array<DeliveryOutcome> = []
          running.capture = outcomes
          const publication = hub.core.publish({ ...message.success, ...options }, now())
          running.capture = undefined
          const tracker: Tracker = { outcomes, isSettled: publication.outstanding === 0 }
          if (!tracker.isSettled) trackers.set(publication.message.sequence, tracker)
          hub.settle()
          return Effect.succeed({
            message: publication.message,
            deliveries: publication.deliveries,
            settled: Effect.as(awaitUntil(running, () => tracker.isSettled), outcomes)
          })
        },
        options,
        publishChecks
      ),
    sendPacket: (target: Target, packet: Packet) =>
      checked(
        "sendPacket",
        { packet },
        () => onConnection(running, target, (connection) => hub.sendPacket(connection, packet))
      ),
    sendRaw: (target, bytes) =>
      checked(
        "sendRaw",
        { bytes },
        () => onConnection(running, target, (connection) => hub.writeRaw(connection, bytes))
      ),
    disconnect: (target, reasonCode = 0x8b) =>
      checked(
        "disconnect",
        { reasonCode },
        () => onConnection(running, target, (connection) => hub.core?.disconnect(connection.id, reasonCode, now()))
      ),
    setLimits: (limits) => checked("setLimits", { limits }, () => Effect.sync(() => hub.life.setLimits(limits))),
    forgetSession: (clientId) =>
      checked("forgetSession", { clientId }, () =>
        Effect.sync(() => {
          const known = hub.core?.forgetSession(clientId) ?? false
          hub.settle()
          return known
        }))
  }
}
