/**
 * Maps an error of Redis or of its driver to a failure of the store.
 */
import { StorageFailed } from "@effect-mqttx/core/MqttError"

/**
 * See `StorageFailed`. `unknownCommand` is a command that the server does not have or has renamed.
 */
export type RedisFailure = StorageFailed["kind"] | "unknownCommand"

// The first word of an error reply. Codes that are not listed are temporary or unknown, so a retry is right.
const kinds: ReadonlyMap<string, RedisFailure> = new Map([
  ["OOM", "full"],
  ["READONLY", "readOnly"],
  ["MISCONF", "readOnly"],
  ["NOAUTH", "refused"],
  ["WRONGPASS", "refused"],
  ["NOPERM", "refused"],
  ["DENIED", "refused"],
  ["WRONGTYPE", "corrupt"]
])

const withoutCode: ReadonlyArray<readonly [RegExp, RedisFailure]> = [
  // Managed servers limit the size of one command. The store's commands are small, unless a single record is large.
  [/max(?:imum)? request size|request (?:is )?too large/i, "invalid"],
  [/unknown command/i, "unknownCommand"],
  [/invalid password|without any password configured|no password is set/i, "refused"]
]

/** All messages down to the innermost: drivers wrap the server's message in errors of their own. */
const messagesOf = (cause: unknown): ReadonlyArray<string> => {
  const messages: Array<string> = []
  let current = cause
  // A chain of causes can be circular.
  for (let depth = 0; depth < 8 && current !== undefined && current !== null; depth++) {
    if (typeof current === "string") {
      messages.push(current)
      break
    }
    if (typeof current !== "object") break
    if ("message" in current && typeof current.message === "string") messages.push(current.message)
    current = "cause" in current ? current.cause : undefined
  }
  return messages
}

// Before Redis 7 an error inside of a script is "ERR Error running script (call to f_...): ... -OOM command not allowed
// ...".
const codeIn = (message: string): RedisFailure | undefined => {
  const code = /^(?:ERR )?-?([A-Z]+)(?:\s|$)/.exec(message)?.[1]
  const kind = code === undefined ? undefined : kinds.get(code)
  if (kind !== undefined) return kind
  const inScript = /running script.*?[\s:]-([A-Z]+)\s/s.exec(message)?.[1]
  return inScript === undefined ? undefined : kinds.get(inScript)
}

/**
 * Classifies what the driver threw: an error reply of Redis, an error of the socket, or an error of the driver.
 */
export const classify = (cause: unknown): RedisFailure => {
  for (const message of messagesOf(cause)) {
    const kind = codeIn(message) ?? withoutCode.find(([pattern]) => pattern.test(message))?.[1]
    if (kind !== undefined) return kind
  }
  return "unavailable"
}

/**
 * Whether another connection may work better. This one is broken, or is at a server that cannot take commands now, for
 * example one that has become a replica, is loading, or has lost its primary or its replicas. Errors about the user, a
 * key or the server's memory are the same on every connection.
 */
export const isConnectionUseless = (cause: unknown): boolean => {
  const failure = classify(cause)
  return failure === "unavailable" || failure === "readOnly" ||
    messagesOf(cause).some((message) => /\bNOAUTH\b/.test(message))
}

/** Whether the error comes from the server, and not from the driver or the system. */
export const isReply = (cause: unknown): boolean =>
  messagesOf(cause).some((message) => /^-?[A-Z][A-Z0-9]{2,}(?:\s|$)/.test(message))

/** Whether the server does not know the script of an EVALSHA. */
export const isNoScript = (cause: unknown): boolean => messagesOf(cause).some((message) => /\bNOSCRIPT\b/.test(message))

/**
 * The reason of a failed operation.
 */
export const toReason = (cause: unknown): StorageFailed => {
  const failure = classify(cause)
  const detail = messagesOf(cause).find((message) => message !== "")
  return new StorageFailed({
    kind: failure === "unknownCommand" ? "refused" : failure,
    cause,
    ...(detail !== undefined && { detail })
  })
}
