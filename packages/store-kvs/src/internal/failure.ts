/**
 * The failures of the store: the kind of an error from a file system, a database or a browser, and the error of a
 * closed store. The store and its log make all their errors here.
 */
import { MqttError, StorageFailed } from "@effect-mqttx/core/MqttError"

type StorageFailureKind = StorageFailed["kind"]

/** The error of a method of a store. */
export const storageFailed = (
  session: string,
  method: string,
  failure: { readonly kind: StorageFailureKind; readonly detail: string; readonly cause?: unknown }
): MqttError => new MqttError({ session, method: `SessionStore.${method}`, reason: new StorageFailed(failure) })

/** The failure of every operation after the end of a store or of the scope that opened it. */
export const closedStore = (session: string, method: string): MqttError =>
  storageFailed(session, method, { kind: "closed", detail: "the store of this session is closed" })

const kinds: { readonly [code: string]: StorageFailureKind } = {
  ENOSPC: "full",
  EDQUOT: "full",
  EFBIG: "full",
  SQLITE_FULL: "full",
  QuotaExceededError: "full",
  NS_ERROR_DOM_QUOTA_REACHED: "full",
  EROFS: "readOnly",
  SQLITE_READONLY: "readOnly",
  NoModificationAllowedError: "readOnly",
  EACCES: "refused",
  EPERM: "refused",
  ELOOP: "refused",
  EISDIR: "refused",
  PermissionDenied: "refused",
  SecurityError: "refused"
}

/**
 * Errors wrap each other as `cause`, and as `reason`. No store makes an endless chain, but a cycle is possible.
 */
const depth = 10

/**
 * The kind, by the codes and names of the error and of all errors that it wraps, the innermost last; `unavailable` when
 * none is known.
 */
export const storageFailureKind = (cause: unknown): StorageFailureKind => {
  let errors: Array<unknown> = [cause]
  for (let level = 0; level < depth && errors.length > 0; level++) {
    const inner: Array<unknown> = []
    for (const error of errors) {
      if (typeof error !== "object" || error === null) continue
      const { cause, code, name, reason, _tag } = error as { readonly [field: string]: unknown }
      for (const sign of [code, name, _tag]) {
        if (typeof sign === "string" && Object.hasOwn(kinds, sign)) return kinds[sign]!
      }
      inner.push(reason, cause)
    }
    errors = inner
  }
  return "unavailable"
}
