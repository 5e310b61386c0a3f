/**
 * Deletes the state of a durable session.
 */
import * as Effect from "effect/Effect"
import type { MqttError } from "../../MqttError.ts"
import * as SessionOptions from "../../SessionOptions.ts"
import { storeOf } from "../session/persistence.ts"
import { makeSession } from "../session/session.ts"
import type { Entry } from "./entry.ts"

const patience = "5 seconds"

/**
 * Clears the records of an ended session, and makes the server discard the session if the server can be reached. Fails
 * with `StorageFailed`.
 */
export const deleteState = (entry: Entry, clientId: string): Effect.Effect<void, MqttError> => {
  const { options } = entry
  if (options.persistence !== "durable") return Effect.void
  const clear = Effect.scoped(Effect.gen(function*() {
    const store = yield* (yield* storeOf(options.name, "remove")).open(options.name)
    yield* store.clear
  }))
  // Without an identifier the server has no session.
  const forgotten = clientId === "" ? Effect.void : forget(options, clientId)
  return Effect.provideContext(Effect.andThen(forgotten, clear), entry.context)
}

/**
 * Clean Start discards the old session, and without an expiry interval the new one ends with its connection (MQTT
 * 3.1.2.4, 3.1.2.11.2).
 */
const forget = (options: SessionOptions.SessionOptions, clientId: string): Effect.Effect<void> =>
  Effect.scoped(Effect.gen(function*() {
    const { will: _will, ...rest } = options
    const clean = yield* SessionOptions.make({
      ...rest,
      clientId,
      assignedClientId: false,
      persistence: "none",
      sessionExpiry: 0
    })
    const { session } = yield* makeSession(clean)
    yield* session.awaitReady
    yield* session.drain
  })).pipe(Effect.timeout(patience), Effect.ignore)
