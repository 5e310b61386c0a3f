/**
 * What kind of storage failure an error is that a store, a file system or a browser gave.
 */
import type { StorageFailed } from "./errors/operation.ts"

type StorageFailureKind = StorageFailed["kind"]

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
