/**
 * The failures of the stores of this package: what kind an error is that a file system, a database or a browser gave,
 * and how a store says that it is closed. Never imported by the stores of other packages, which classify the errors of
 * their own engines.
 */
import * as Effect from "effect/Effect"
import { MqttError, StorageFailed } from "../MqttError.ts"

type StorageFailureKind = StorageFailed["kind"]

/** The error of a method of a store. */
export const storageFailed = (
  session: string,
  method: string,
  kind: StorageFailureKind,
  detail: string,
  cause?: unknown
): MqttError =>
  new MqttError({
    session,
    method: `SessionStore.${method}`,
    reason: new StorageFailed({ kind, detail, ...(cause !== undefined && { cause }) })
  })

/** The failure of everything that comes after the end of a store or of the scope that opened it. */
export const closedStore = (session: string, method: string): MqttError =>
  storageFailed(session, method, "closed", "the store of this session is closed")

/** Runs an effect as long as the store is open, and fails with the kind `closed` afterwards. */
export const whileOpen = <A, R>(
  session: string,
  method: string,
  isOpen: () => boolean,
  effect: Effect.Effect<A, MqttError, R>
): Effect.Effect<A, MqttError, R> => Effect.suspend(() => isOpen() ? effect : Effect.fail(closedStore(session, method)))

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

/** Errors wrap each other as `cause`, and as `reason`. An endless chain is none that a store makes, but a cycle is possible. */
const depth = 10

/**
 * The kind, found by the codes and names of the error and all that it wraps, the innermost last; `unavailable` when none is known.
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
