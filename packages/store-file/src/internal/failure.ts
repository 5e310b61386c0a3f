/**
 * Maps an error of the file system or of LevelDB to a failure of the store.
 */
import { MqttError, StorageFailed } from "@effect-mqttx/core/MqttError"

/** The kind of a `StorageFailed`. */
export type Kind = StorageFailed["kind"]

/** A failure that already has its kind. */
export class StoreFailure extends Error {
  readonly kind: Kind

  constructor(kind: Kind, detail: string, cause?: unknown) {
    super(detail, { cause })
    this.kind = kind
  }
}

const causesOf = function*(error: unknown): Generator<Error> {
  for (let cause = error; cause instanceof Error; cause = cause.cause) yield cause
}

const codes: Readonly<Record<string, Kind>> = {
  ENOSPC: "full",
  EDQUOT: "full",
  EROFS: "readOnly",
  EACCES: "readOnly",
  EPERM: "readOnly",
  ELOOP: "refused",
  ENOTDIR: "refused",
  EISDIR: "refused",
  LEVEL_LOCKED: "owned",
  LEVEL_CORRUPTION: "corrupt"
}

// LevelDB passes on the messages of the system, not its codes.
const texts: ReadonlyArray<readonly [RegExp, Kind]> = [
  [/no space left|disk quota exceeded|not enough space|disk is full/i, "full"],
  [/read-only file system|permission denied|operation not permitted|access is denied|write.protected/i, "readOnly"]
]

/** Distinguishes a full or read-only disk, another owner and damage from other failures, which are `unavailable`. */
export const kindOf = (error: unknown): Kind => {
  for (const cause of causesOf(error)) {
    if (cause instanceof StoreFailure) return cause.kind
    const code = "code" in cause && typeof cause.code === "string" ? cause.code : ""
    const byCode = codes[code]
    if (byCode !== undefined) return byCode
    for (const [text, kind] of texts) if (text.test(cause.message)) return kind
  }
  return "unavailable"
}

/** The error that callers see. */
export const toMqttError = (error: unknown, method: string, session?: string): MqttError => {
  let detail = String(error)
  // The innermost error contains the file and the system's message.
  for (const cause of causesOf(error)) detail = cause.message
  if (error instanceof StoreFailure) detail = error.message
  return new MqttError({ session, method, reason: new StorageFailed({ kind: kindOf(error), detail, cause: error }) })
}
