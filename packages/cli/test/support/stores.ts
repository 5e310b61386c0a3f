/**
 * Stores on which the commands of `effect-mqttx store` are tested.
 */
import { MqttSession } from "@effect-mqttx/core"
import { FileStore } from "@effect-mqttx/store-file"
import { Effect } from "effect"
import * as Path from "node:path"
import { folder, freePort } from "./gateway.ts"

/** A directory with a store in which a session without a server has queued these messages. */
export const storeWith = (session: string, payloads: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const directory = Path.join(yield* folder({}), "store")
    const port = yield* freePort
    yield* Effect.scoped(Effect.gen(function*() {
      const queued = yield* MqttSession.makeDurable({
        name: session,
        servers: `mqtt://127.0.0.1:${port}`,
        clientId: `client-of-${session}`,
        drainTimeout: 1,
        log: "off"
      })
      for (const payload of payloads) yield* queued.enqueue("plant/value", payload, { qos: 1 })
    })).pipe(Effect.provide(FileStore.layer({ directory })))
    return directory
  })
