/**
 * The store of one session in the hands of its owner.
 *
 * The owner numbers its attempts to commit, and the records in Redis carry the number of the newest one that was applied. So an attempt
 * that arrives late, behind a newer one, is recognised, and so is a Redis that has lost commits: restarted without its append-only file,
 * restored, or replaced by a replica that lagged. What was lost is written again from memory, which refers to the records that the
 * session holds anyway.
 */
import { MqttError, StorageFailed } from "@effect-mqttx/core/MqttError"
import type { Durability, SessionStoreHandle } from "@effect-mqttx/core/SessionStore"
import { keyOf, type StoreChange, type StoreRecord } from "@effect-mqttx/core/StoreRecord"
import * as StoreRecordCodec from "@effect-mqttx/core/StoreRecordCodec"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import { fieldOf, type SessionKeys } from "./keys.ts"
import type { Line } from "./line.ts"
import { readRecords } from "./recordPages.ts"
import * as Scripts from "./scripts.ts"
import { toText } from "./value.ts"

export interface HandleSetup {
  readonly session: string
  readonly keys: SessionKeys
  /** What the acquisition answered: see `SessionKeys.owner`. */
  readonly owner: string
  readonly durability: Durability
  /** For commits and what else the session asks for. */
  readonly line: Line
  /** For the renewal, which does not wait for a long load. */
  readonly renewalLine: Line
  /** Milliseconds. */
  readonly lease: number
  /** Milliseconds; 0: none. */
  readonly expiry: number
  /** For how many milliseconds at least Redis remembers who the newest owner is. */
  readonly memory: number
  /** Milliseconds since the epoch. */
  readonly acquiredAt: number
}

export interface Handle extends SessionStoreHandle {
  /** Prolongs the lease; what a failure means shows at the next commit. */
  readonly renew: Effect.Effect<void, MqttError>
}

const rewriteBytes = 1_048_576
/** How long Redis keeps an unfinished rewrite behind its last part, in milliseconds. */
const rewriteExpiry = "60000"

/**
 * Makes the handle of an owner.
 */
export const makeHandle = (setup: HandleSetup): Handle => {
  const { durability, keys, line, owner, renewalLine, session } = setup
  const three = [keys.owner, keys.lease, keys.records]
  const four = [...three, keys.rewrite]
  const lease = setup.lease.toString()
  const expiry = setup.expiry.toString()
  const lock = Semaphore.makeUnsafe(1)

  /** The newest attempt, and the newest one that Redis has confirmed. */
  let attempt = 0
  let confirmed = 0
  /** What Redis holds as far as it has confirmed; incomplete before the first load. */
  const current = new Map<string, StoreRecord>()
  let isLoaded = false
  let isFenced = false
  let answeredAt = setup.acquiredAt

  const toError = (method: string) => (reason: StorageFailed): MqttError => new MqttError({ session, method, reason })

  const fenced = (): StorageFailed => {
    isFenced = true
    return new StorageFailed({ kind: "fenced", detail: "another owner has taken the session over" })
  }

  /** Runs a script; yields whether it did what it is for, or Redis has lost commits. */
  const ask = (through: Line, script: Scripts.Script, of: ReadonlyArray<string>, args: ReadonlyArray<string>) =>
    Effect.flatMap(
      Effect.suspend(() => isFenced ? Effect.fail(fenced()) : through.run(script, of, args)),
      (answer) => {
        if (Number(answer) === Scripts.fenced) return Effect.fail(fenced())
        if (Number(answer) === Scripts.lost) return Effect.succeed(false)
        return Effect.map(Clock.currentTimeMillis, (now) => {
          answeredAt = now
          return true
        })
      }
    )

  /** Writes all records beside the ones that Redis has, in parts of about a megabyte. */
  const rewritten = Effect.fnUntraced(function*() {
    let args: Array<string> = []
    let bytes = 0
    let isFirst = true
    const flush = Effect.suspend(() => {
      const part = [owner, rewriteExpiry, isFirst ? "1" : "0", ...args]
      isFirst = false
      args = []
      bytes = 0
      return ask(line, Scripts.rewrite, four, part)
    })
    for (const [key, record] of current) {
      const value = toText(StoreRecordCodec.encode(record))
      args.push(fieldOf(key), value)
      bytes += value.length
      if (bytes >= rewriteBytes) yield* flush
    }
    if (args.length > 0) yield* flush
  })

  /** Makes Redis hold what it had confirmed. */
  const restore = Effect.gen(function*() {
    const now = yield* Clock.currentTimeMillis
    // Redis may have forgotten a newer owner since.
    if (now - answeredAt > setup.memory) return yield* fenced()
    if (isLoaded) yield* rewritten()
    const count = isLoaded ? current.size : -1
    const done = yield* ask(line, Scripts.restore, four, [owner, lease, confirmed.toString(), expiry, count.toString()])
    if (!done) return yield* new StorageFailed({ detail: "Redis has lost what was just written" })
    yield* Effect.logWarning(
      `Redis had lost commits of the session ${JSON.stringify(session)}: ${current.size} records were written again`
    )
  })

  /** Runs a script that changes records, once more after what Redis had lost is back. */
  const change = (script: Scripts.Script, args: ReadonlyArray<string>): Effect.Effect<void, StorageFailed> => {
    const once = Effect.suspend(() => {
      const number = ++attempt
      return Effect.map(
        ask(line, script, three, [owner, lease, confirmed.toString(), number.toString(), ...args]),
        (done) => {
          if (done) confirmed = number
          return done
        }
      )
    })
    return Effect.flatMap(once, (done) =>
      done ? Effect.void : Effect.andThen(restore, once).pipe(
        Effect.flatMap((again) =>
          again
            ? Effect.void
            : Effect.fail(new StorageFailed({ detail: "Redis keeps losing what was committed" }))
        )
      ))
  }

  const commit = (changes: ReadonlyArray<StoreChange>): Effect.Effect<void, StorageFailed> =>
    Effect.suspend(() => {
      const puts = new Map<string, StoreRecord>()
      const deletes = new Set<string>()
      // A releasing record replaces a larger one.
      let frees = "1"
      for (const change of changes) {
        if (change._tag === "Put") {
          const key = keyOf(change.record)
          deletes.delete(key)
          puts.set(key, change.record)
          if (change.record._tag !== "Outbound" || change.record.state !== "releasing") frees = "0"
        } else {
          puts.delete(change.key)
          deletes.add(change.key)
        }
      }
      const args = [frees, deletes.size.toString()]
      for (const key of deletes) args.push(fieldOf(key))
      for (const [key, record] of puts) args.push(fieldOf(key), toText(StoreRecordCodec.encode(record)))
      return Effect.map(change(Scripts.commit, args), () => {
        for (const [key, record] of puts) current.set(key, record)
        for (const key of deletes) current.delete(key)
      })
    })

  const load = Effect.gen(function*() {
    // An owner that was fenced does not read what is another one's.
    yield* renewed(line)
    const { damage, damaged, newest, records } = yield* readRecords(line, keys.records)
    // What failed without being known to fail, and was applied, counts from now on.
    confirmed = Math.max(confirmed, newest)
    if (damaged.length > 0) {
      yield* change(Scripts.commit, ["1", damaged.length.toString(), ...damaged])
    }
    current.clear()
    for (const [key, record] of records) current.set(key, record)
    isLoaded = true
    return { records: Array.from(records.values()), damage }
  })

  const clear = Effect.map(change(Scripts.clear, [expiry]), () => {
    current.clear()
    isLoaded = true
  })

  const renewOnce = (through: Line) =>
    Effect.suspend(() => ask(through, Scripts.renew, three, [owner, lease, confirmed.toString(), expiry]))
  const renewed = (through: Line) => Effect.flatMap(renewOnce(through), (done) => done ? Effect.void : restore)

  const locked = lock.withPermits(1)
  return {
    durability,
    load: Effect.mapError(locked(load), toError("SessionStore.load")),
    commit: (changes) => Effect.mapError(locked(commit(changes)), toError("SessionStore.commit")),
    clear: Effect.mapError(locked(clear), toError("SessionStore.clear")),
    renew: Effect.flatMap(renewOnce(renewalLine), (done) => done ? Effect.void : locked(renewed(line))).pipe(
      Effect.mapError(toError("SessionStore.renew"))
    )
  }
}
