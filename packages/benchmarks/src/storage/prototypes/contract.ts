/**
 * What an engine has to do to become a session store: the prototypes implement it, and `stores.ts` makes stores of it.
 */
import type { StoreChange, StoreRecord } from "@effect-mqttx/core/StoreRecord"

/** What a prototype does for one session. */
export interface PrototypeSession {
  readonly load: () => { readonly records: ReadonlyArray<StoreRecord>; readonly lost: number }
  readonly commit: (changes: ReadonlyArray<StoreChange>, settle: (error: unknown) => void) => void
  readonly clear: (settle: (error: unknown) => void) => void
}

export interface Prototype {
  readonly session: (name: string) => PrototypeSession
  readonly close: () => Promise<void>
}

export interface PrototypeOptions {
  readonly directory: string
  readonly sync: boolean
}
