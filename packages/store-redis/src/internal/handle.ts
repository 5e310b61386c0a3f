/**
 * The store of one session, as its owner uses it.
 *
 * The owner numbers its attempts to commit, and the records in Redis carry the number of the newest applied one. So an
 * attempt that arrives late, after a newer one, is recognised. A Redis that has lost commits is recognised too:
 * restarted without its append-only file, restored, or replaced by a replica that lagged. Lost commits are written
 * again from memory, which refers to the records that the session holds anyway.
 */
import { MqttError, StorageFailed } from "@effect-mqttx/core/MqttError"
import type { Durability, LoadedRecords, SessionStoreHandle } from "@effect-mqttx/core/SessionStore"
import type { StoreChange, StoreRecord } from "@effect-mqttx/core/StoreRecord"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import type { CommandQueue } from "./commandQueue.ts"
import type { SessionKeys } from "./keys.ts"
import { type Commit, commitOf, type Part, partsOf } from "./parts.ts"
import { foreignPages, readRecords } from "./recordPages.ts"
import * as Scripts from "./scripts.ts"

export interface HandleSetup {
  readonly session: string
  readonly keys: SessionKeys
  /** The reply of the acquisition: see `SessionKeys.owner`. */
  readonly owner: string
  readonly durability: Durability
  /** For commits and the other operations of the session. */
  readonly commands: CommandQueue
  /** For the renewal, which must not wait for a long load. */
  readonly renewalCommands: CommandQueue
  /** Milliseconds. */
  readonly lease: number
  /** Milliseconds; 0: none. */
  readonly expiry: number
  /** The least number of milliseconds for which Redis remembers the newest owner. */
  readonly memory: number
  /** The largest value that Redis accepts, in bytes. */
  readonly largestValue: number
  /** Nanoseconds of the monotonic clock. */
  readonly acquiredAt: bigint
}

export interface Handle extends SessionStoreHandle {
  /** Prolongs the lease. A failure takes effect at the next commit. */
  readonly renew: Effect.Effect<void, MqttError>
  /** Every later operation fails with the kind `closed`. */
  readonly close: Effect.Effect<void>
}

/** How long Redis keeps an unfinished rewrite after its last part, in milliseconds. */
const rewriteExpiry = "60000"

/** Why a script has to wait: a loss must be repaired first, or an earlier commit finished. */
type Hindrance = typeof Scripts.lost | typeof Scripts.unfinished

/** How often one commit may be delayed: by a commit to finish, by a loss, and by both again during the repair. */
const patience = 4

/**
 * Makes the handle of an owner.
 */
export const makeHandle = (setup: HandleSetup): Handle => {
  const { durability, keys, largestValue, commands, owner, renewalCommands, session } = setup
  const all = [keys.owner, keys.lease, keys.records, keys.staged]
  const allAndRewrite = [...all, keys.rewrite]
  const lease = setup.lease.toString()
  const expiry = setup.expiry.toString()
  const memory = BigInt(setup.memory) * 1_000_000n
  const lock = Semaphore.makeUnsafe(1)

  /** The number of the newest attempt, and of the newest one that Redis has confirmed. */
  let attempt = 0
  let confirmed = 0
  /** The confirmed content of Redis; incomplete before the first load. */
  let current = new Map<string, StoreRecord>()
  let isLoaded = false
  let isFenced = false
  let isClosed = false
  let answeredAt = setup.acquiredAt

  const toError = (method: string) => (reason: StorageFailed): MqttError => new MqttError({ session, method, reason })

  const fenced = (): StorageFailed => {
    isFenced = true
    return new StorageFailed({ kind: "fenced", detail: "another owner has taken the session over" })
  }

  const standing = Effect.suspend(() =>
    isFenced
      ? Effect.fail(fenced())
      : isClosed
      ? Effect.fail(new StorageFailed({ kind: "closed", detail: "the store of this session is closed" }))
      : Effect.void
  )

  /** Runs a script. Yields its hindrance; undefined when it succeeded. */
  const ask = (
    through: CommandQueue,
    script: Scripts.Script,
    of: ReadonlyArray<string>,
    args: ReadonlyArray<string>
  ): Effect.Effect<Hindrance | undefined, StorageFailed> =>
    Effect.flatMap(
      Effect.andThen(standing, through.run(script, Scripts.readAnswer, of, args)),
      (answer) => {
        if (answer === Scripts.fenced) return Effect.fail(fenced())
        if (answer === Scripts.lost) return Effect.succeed(Scripts.lost)
        return Effect.map(Clock.monotonicTimeNanos, (now) => {
          answeredAt = now
          return answer === Scripts.unfinished ? answer : undefined
        })
      }
    )

  /** Writes all records again in parts, under a separate key. */
  const rewritten = Effect.fnUntraced(function*() {
    let isFirst = true
    for (const { puts } of partsOf({ deletes: new Set(), puts: current, isFreeing: false }, largestValue)) {
      if (puts.length === 0) continue
      const hindrance = yield* ask(commands, Scripts.rewrite, allAndRewrite, [
        owner,
        rewriteExpiry,
        isFirst ? "1" : "0",
        ...puts
      ])
      if (hindrance !== undefined) return
      isFirst = false
    }
  })

  /** Restores in Redis what it had confirmed. */
  const restore = Effect.gen(function*() {
    const now = yield* Clock.monotonicTimeNanos
    // Redis may have forgotten a newer owner since then.
    if (now - answeredAt > memory) return yield* fenced()
    if (isLoaded) yield* rewritten()
    const count = isLoaded ? current.size : -1
    const args = [owner, lease, confirmed.toString(), expiry, count.toString()]
    const hindrance = yield* ask(commands, Scripts.restore, allAndRewrite, args)
    if (hindrance !== undefined) return yield* new StorageFailed({ detail: "Redis has lost what was just written" })
    yield* Effect.logWarning(
      `Redis had lost commits of the session ${JSON.stringify(session)}: ${current.size} records were written again`
    )
  })

  /** Moves the changes of a concluded commit to the records. */
  const finish = Effect.gen(function*() {
    for (;;) {
      const hindrance = yield* ask(commands, Scripts.finish, all, [owner, lease])
      if (hindrance !== Scripts.unfinished) return hindrance
    }
  })

  /** Removes the hindrance and retries. */
  const insist = (
    once: Effect.Effect<Hindrance | undefined, StorageFailed>
  ): Effect.Effect<void, StorageFailed> =>
    Effect.gen(function*() {
      for (let hindered = 0; hindered < patience; hindered++) {
        const hindrance = yield* once
        if (hindrance === undefined) return
        if (hindrance === Scripts.lost || (yield* finish) === Scripts.lost) yield* restore
      }
      return yield* new StorageFailed({ detail: "Redis keeps losing what was committed" })
    })

  /** Changes records by one script, under a new commit number. */
  const change = (script: Scripts.Script, args: ReadonlyArray<string>): Effect.Effect<void, StorageFailed> =>
    insist(Effect.suspend(() => {
      const number = ++attempt
      return Effect.map(
        ask(commands, script, all, [owner, lease, confirmed.toString(), number.toString(), ...args]),
        (answer) => {
          if (answer === undefined) confirmed = number
          return answer
        }
      )
    }))

  /** Changes records in parts that become valid at once, see `scripts.ts`. */
  const staged = (commit: Commit): Effect.Effect<void, StorageFailed> =>
    insist(Effect.gen(function*() {
      const number = ++attempt
      const identified = [owner, lease, confirmed.toString(), number.toString()]
      const frees = commit.isFreeing ? "1" : "0"
      let count = 0
      let puts = 0
      const parts = yield* partsLazily(commit)
      for (let part = yield* parts; part !== undefined; part = yield* parts) {
        const args = [...identified, frees, expiry, count.toString(), part.deletes.length.toString()]
        const answer = yield* ask(commands, Scripts.stage, all, args.concat(part.deletes, part.puts))
        if (answer !== undefined) return answer
        count += part.deletes.length + part.puts.length / 2
        puts += part.puts.length / 2
      }
      const concluded = [...identified, expiry, count.toString(), puts.toString()]
      const answer = yield* ask(commands, Scripts.conclude, all, concluded)
      if (answer === undefined) confirmed = number
      return answer
    })).pipe(
      Effect.tapError(({ kind }) =>
        kind === "full" ? Effect.ignore(ask(commands, Scripts.discard, all, [owner, lease])) : Effect.void
      ),
      // The commit is valid. Changes that cannot be moved now are moved by the next call, or by the next owner.
      Effect.andThen(Effect.ignore(finish))
    )

  /** The parts of a commit one after the other, as an effect that fails where making a part throws. */
  const partsLazily = (commit: Commit) =>
    Effect.sync(() => {
      const parts = partsOf(commit, largestValue)
      return Effect.try({
        try: () => parts.next().value as Part | undefined,
        catch: (error) => error as StorageFailed
      })
    })

  const commit = (changes: ReadonlyArray<StoreChange>): Effect.Effect<void, StorageFailed> =>
    Effect.gen(function*() {
      const content = commitOf(changes, current)
      const parts = yield* partsLazily(content)
      const first = (yield* parts)!
      const count = content.deletes.size + content.puts.size
      if (first.deletes.length + first.puts.length / 2 === count) {
        const args = [content.isFreeing ? "1" : "0", first.deletes.length.toString()]
        yield* change(Scripts.commit, args.concat(first.deletes, first.puts))
      } else {
        yield* staged(content)
      }
      for (const [key, record] of content.puts) current.set(key, record)
      for (const key of content.deletes) current.delete(key)
    })

  /** Deletes foreign fields page by page, and counts them. */
  const removeForeign = Effect.fnUntraced(function*(records: ReadonlyMap<string, StoreRecord>) {
    let count = 0
    for (let page = foreignPages(commands, keys.records, records);;) {
      const { fields, next } = yield* page
      if (fields.length > 0) yield* change(Scripts.commit, ["1", fields.length.toString(), ...fields])
      count += fields.length
      if (next === undefined) return count
      page = next
    }
  })

  const load: Effect.Effect<LoadedRecords, StorageFailed> = Effect.gen(function*() {
    // A fenced owner must not read the records of another one.
    yield* renewed(commands)
    yield* insist(finish)
    const { foreign, newest, records } = yield* readRecords(commands, keys.records)
    // A commit with an unknown outcome that was applied counts from now on.
    confirmed = Math.max(confirmed, newest)
    const lost = foreign === undefined ? 0 : yield* removeForeign(records)
    current = records
    isLoaded = true
    return {
      records: inOrder(records),
      damage: foreign === undefined ? undefined : { lost, detail: foreign }
    }
  })

  const clear = Effect.map(change(Scripts.clear, [expiry]), () => {
    current.clear()
    isLoaded = true
  })

  const renewOnce = (through: CommandQueue) =>
    Effect.suspend(() => ask(through, Scripts.renew, all, [owner, lease, confirmed.toString(), expiry]))
  const renewed = (through: CommandQueue) =>
    Effect.flatMap(renewOnce(through), (hindrance) => hindrance === undefined ? Effect.void : restore)

  const exclusively = <A>(method: string, effect: Effect.Effect<A, StorageFailed>): Effect.Effect<A, MqttError> =>
    Effect.andThen(standing, lock.withPermits(1)(Effect.andThen(standing, effect))).pipe(
      Effect.mapError(toError(`SessionStore.${method}`))
    )
  return {
    durability,
    load: exclusively("load", load),
    commit: (changes) => exclusively("commit", commit(changes)),
    clear: exclusively("clear", clear),
    renew: Effect.flatMap(
      renewOnce(renewalCommands),
      (hindrance) => hindrance === undefined ? Effect.void : lock.withPermits(1)(renewed(commands))
    ).pipe(
      Effect.mapError(toError("SessionStore.renew"))
    ),
    close: Effect.sync(() => {
      isClosed = true
    })
  }
}

/** Outbound records in the order of their sequence, which is that of their keys. */
const inOrder = (records: ReadonlyMap<string, StoreRecord>): ReadonlyArray<StoreRecord> => {
  const outbound = new Array<StoreRecord & { readonly _tag: "Outbound" }>()
  const others = new Array<StoreRecord>()
  for (const record of records.values()) {
    if (record._tag === "Outbound") outbound.push(record)
    else others.push(record)
  }
  outbound.sort((a, b) => a.sequence - b.sequence)
  return [...others, ...outbound]
}
