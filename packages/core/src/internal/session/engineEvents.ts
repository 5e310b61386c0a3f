/**
 * Translates events of the engine into events of the session, counters and calls to its parts.
 *
 * The session's core calls it within a turn. Nothing here waits.
 */
import { MqttError, type MqttErrorReason } from "../../MqttError.ts"
import type { EngineEvent } from "../engine/contract.ts"
import type { SessionCore } from "./core.ts"

export const onEngineEvent = (core: SessionCore, event: EngineEvent): void => {
  const { engineLoop, lifecycle } = core
  switch (event._tag) {
    case "SessionLost":
    case "ReceiveMaximumExceeded":
      return lifecycle.emit(event)
    case "OutboundDropped":
      return core.dropped.note("outbound", event.reason, event.topic)
    case "UnclaimedDropped":
      core.unclaimed.publish(event.message)
      return core.dropped.note("inbound", "unclaimed", event.message.topic)
    case "SlowConsumer":
      return lifecycle.emit({
        _tag: "SlowConsumer",
        filters: event.filters,
        absent: event.absent,
        topic: event.message.topic,
        waiting: event.waiting
      })
    case "ConsumerForgotten":
      return lifecycle.emit({
        _tag: "ConsumerForgotten",
        consumer: event.name,
        error: subscribeError(core.name, event.reason)
      })
    case "OrphanFailed":
      return lifecycle.messageFailed(event.topic, event.reason, event.count)
    case "SubscriptionRefused":
      return lifecycle.subscriptionFailed([event.reason.filter], undefined, subscribeError(core.name, event.reason))
    case "UnsubscribeRefused":
      return core.subscriber.onUnsubscribeRefused(event.reason)
    case "InboundReleased":
      if (core.releaseListeners === undefined) return
      for (const listener of core.releaseListeners) listener(event.packetIdentifier)
      return
    case "ReconnectWanted":
      if (engineLoop.connection !== undefined) core.fork(engineLoop.connection.close(0x83))
      return
    case "UnknownPacketIdentifier":
      return
  }
}

const subscribeError = (session: string, reason: MqttErrorReason): MqttError =>
  new MqttError({ session, method: "subscribe", reason })
