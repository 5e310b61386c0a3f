/**
 * Reads the files of a store that no program has open, without LevelDB and without changing them. `StoreInspection`
 * calls it. What was written while the disk was full stands in the reserve until the store is opened, and is not seen.
 */
import type { StoreRecord } from "@effect-mqttx/core/StoreRecord"
import * as StoreRecordCodec from "@effect-mqttx/core/StoreRecordCodec"
import * as Result from "effect/Result"
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { Paths } from "./directory.ts"
import { readAll } from "./repair.ts"
import { fromStored, newer } from "./sessionState.ts"

/** See `StoreInspection.InspectedSession`. */
export interface SessionContent {
  readonly id: string
  readonly records: Readonly<Record<StoreRecord["_tag"], number>>
  readonly payloadBytes: number
  readonly unreadable: number
}

/** See `StoreInspection.Inspection`. */
export interface Content {
  readonly sessions: ReadonlyArray<SessionContent>
  readonly damage: ReadonlyArray<string>
}

interface Entry {
  readonly sequence: number
  /** Undefined: the record cannot be read. */
  readonly type: StoreRecord["_tag"] | undefined
  readonly payloadBytes: number
}

const entryOf = (key: string, sequence: number, value: Uint8Array): Entry => {
  const decoded = StoreRecordCodec.decode(key, value)
  if (Result.isFailure(decoded)) {
    if (decoded.failure._tag === "NewerFormat") throw newer(decoded.failure.format)
    return { sequence, type: undefined, payloadBytes: 0 }
  }
  const record = decoded.success
  return { sequence, type: record._tag, payloadBytes: record._tag === "Outbound" ? record.payload.length : 0 }
}

const contentOf = (id: string, entries: Iterable<Entry>): SessionContent => {
  const records = { Outbound: 0, Inbound: 0, Subscription: 0, Consumer: 0, Identity: 0, Origin: 0 }
  let payloadBytes = 0
  let unreadable = 0
  for (const entry of entries) {
    if (entry.type === undefined) unreadable++
    else records[entry.type]++
    payloadBytes += entry.payloadBytes
  }
  return { id, records, payloadBytes, unreadable }
}

/** What the files have. Fails with the kind `newerFormat`. */
export const readContent = (paths: Paths): Content => {
  const sessions = new Map<string, Map<string, Entry | { readonly sequence: number; readonly type: "deleted" }>>()
  const directory = Fs.existsSync(paths.records) ? paths.records : paths.rebuilt
  const damage = readAll(directory, (full, sequence, value) => {
    const [, id, stored] = /^record\/([^/]+)\/(.*)$/su.exec(full) ?? []
    if (id === undefined || stored === undefined) return
    let session = sessions.get(id)
    if (session === undefined) {
      session = new Map()
      sessions.set(id, session)
    }
    const known = session.get(stored)
    if (known !== undefined && known.sequence > sequence) return
    session.set(
      stored,
      value === undefined ? { sequence, type: "deleted" } : entryOf(fromStored(stored), sequence, value)
    )
  })
  const found = Array.from(sessions, ([id, entries]) => {
    const present = Array.from(entries.values()).filter((entry): entry is Entry => entry.type !== "deleted")
    return { isEmpty: present.length === 0, content: contentOf(id, present) }
  })
  return { sessions: found.filter(({ isEmpty }) => !isEmpty).map(({ content }) => content), damage }
}

/** Copies everything but the lock to a directory that does not exist, or is empty. */
export const copyFiles = (paths: Paths, target: string): void => {
  Fs.mkdirSync(target, { recursive: true, mode: 0o700 })
  for (const source of [paths.records, paths.rebuilt, paths.replaced, paths.commitCounts, paths.reserve]) {
    if (!Fs.existsSync(source)) continue
    Fs.cpSync(source, Path.join(target, Path.basename(source)), { recursive: true, errorOnExist: true, force: false })
  }
}
