/**
 * Derives the durability of a commit from the server's settings.
 */
import type { StorageFailed } from "@effect-mqttx/core/MqttError"
import type { Durability } from "@effect-mqttx/core/SessionStore"
import * as Effect from "effect/Effect"
import { classify } from "./classification.ts"
import type { CommandQueue } from "./commandQueue.ts"
import { anything } from "./replies.ts"

/**
 * The reply to CONFIG GET: alternating names and values, or a record or map from drivers that use RESP 3.
 */
export const settingsOf = (reply: unknown): ReadonlyMap<string, string> => {
  const settings = new Map<string, string>()
  if (reply instanceof Map) {
    for (const [name, value] of reply) settings.set(String(name), String(value))
  } else if (Array.isArray(reply)) {
    for (let i = 0; i + 1 < reply.length; i += 2) settings.set(String(reply[i]), String(reply[i + 1]))
  } else if (typeof reply === "object" && reply !== null) {
    for (const [name, value] of Object.entries(reply)) settings.set(name, String(value))
  }
  return settings
}

/**
 * The durability of these settings; undefined when they are not known.
 *
 * Redis writes its append-only file before it replies, so that a kill of Redis loses nothing that it has acknowledged.
 * The exception is `everysec`, which delays the write up to two seconds while a sync takes long. `appendfsync always`
 * also syncs, unless Redis may skip that while it rewrites the file.
 */
export const durabilityOf = (settings: ReadonlyMap<string, string>): Durability | undefined => {
  switch (settings.get("appendonly")) {
    case "no":
      return "session"
    case "yes":
      return settings.get("appendfsync") === "always" && settings.get("no-appendfsync-on-rewrite") !== "yes"
        ? "power"
        : "process"
    default:
      return undefined
  }
}

/** The default size limit of one value in Redis: 512 MB. */
const usualLargestValue = 536_870_912

/**
 * The largest value that Redis accepts, in bytes. It closes a connection that sends more.
 */
export const readLargestValue = (commands: CommandQueue): Effect.Effect<number, StorageFailed> =>
  Effect.map(readSettings(commands, "proto-max-bulk-len"), (settings) => {
    const bytes = Number(settings.get("proto-max-bulk-len"))
    return bytes > 0 ? bytes : usualLargestValue
  })

/** Settings by a pattern; none where CONFIG is forbidden. */
const readSettings = (
  commands: CommandQueue,
  pattern: string
): Effect.Effect<ReadonlyMap<string, string>, StorageFailed> =>
  Effect.catchIf(
    Effect.map(commands.send(anything, ["CONFIG", "GET", pattern]), ({ reply }) => settingsOf(reply)),
    isForbidden,
    () => Effect.succeed(new Map<string, string>())
  )

/**
 * Reads the settings. Managed servers forbid CONFIG; INFO at least says whether there is an append-only file.
 */
export const readDurability = (commands: CommandQueue): Effect.Effect<Durability | undefined, StorageFailed> =>
  Effect.flatMap(readSettings(commands, "*append*"), (settings) => {
    const durability = durabilityOf(settings)
    return durability === undefined ? readInfo(commands) : Effect.succeed(durability)
  })

const readInfo = (commands: CommandQueue): Effect.Effect<Durability | undefined, StorageFailed> =>
  Effect.catchIf(
    Effect.map(commands.send(anything, ["INFO", "persistence"]), ({ reply }): Durability | undefined => {
      const enabled = /^aof_enabled:([01])/m.exec(String(reply))?.[1]
      return enabled === undefined ? undefined : enabled === "1" ? "process" : "session"
    }),
    isForbidden,
    () => Effect.succeed(undefined)
  )

const isForbidden = (reason: StorageFailed): boolean => {
  const failure = classify(reason.cause)
  return failure === "refused" || failure === "unknownCommand"
}
