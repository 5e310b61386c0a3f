/**
 * The durable session of the storage rows, which has room for all that they queue.
 */
import { ConnectionRefused, MqttError } from "@effect-mqttx/core/MqttError"
import * as MqttSession from "@effect-mqttx/core/MqttSession"
import { SessionStore } from "@effect-mqttx/core/SessionStore"
import { Transport } from "@effect-mqttx/core/Transport"
import * as Effect from "effect/Effect"

const nowhere: Transport = {
  open: () => Effect.fail(new MqttError({ reason: new ConnectionRefused({ code: "ECONNREFUSED" }) }))
}

/** A session on this store, by default without a network. */
export const durableSession = (name: string, store: SessionStore["Service"], transport: Transport = nowhere) =>
  MqttSession.makeDurable({
    name,
    servers: "nowhere.invalid",
    queue: { messages: 10_000_000, bytes: 10_000_000_000 },
    drainTimeout: "10 millis"
  }).pipe(Effect.provideService(SessionStore, store), Effect.provideService(Transport, transport))
