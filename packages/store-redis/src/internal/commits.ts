/**
 * Commits changes of a session's records, in one script where they fit, and staged in parts where they do not.
 *
 * The owner numbers its attempts to commit, and the records in Redis carry the number of the newest applied one. So an
 * attempt that arrives late, after a newer one, is recognised.
 */
import type { StorageFailed } from "@effect-mqttx/core/MqttError"
import type { StoreChange } from "@effect-mqttx/core/StoreRecord"
import * as Effect from "effect/Effect"
import type { Confirmed, LossRepair } from "./lossRepair.ts"
import type { Ownership, RepairNeed } from "./ownership.ts"
import { type Commit, commitOf, type Part, partsOf } from "./parts.ts"
import * as Scripts from "./scripts.ts"

export interface CommitsOptions {
  readonly ownership: Ownership
  readonly repair: LossRepair
  readonly confirmed: Confirmed
  /** The largest value that Redis accepts, in bytes. */
  readonly largestValue: number
}

export class Commits {
  readonly #options: CommitsOptions
  /** The number of the newest attempt. */
  #attempt = 0

  constructor(options: CommitsOptions) {
    this.#options = options
  }

  commit(changes: ReadonlyArray<StoreChange>): Effect.Effect<void, StorageFailed> {
    // Plain functions and few effects: every message of a durable session passes here, often by itself.
    return Effect.suspend(() => {
      const { largestValue } = this.#options
      const { records } = this.#options.confirmed
      const content = commitOf(changes, records)
      let first: Part
      try {
        first = partsOf(content, largestValue).next().value as Part
      } catch (error) {
        return Effect.fail(error as StorageFailed)
      }
      const isWhole = changesIn(first) === content.deletes.size + content.puts.size
      return Effect.map(isWhole ? this.#commitPart(content, first) : this.#stage(content), () => {
        for (const [key, record] of content.puts) records.set(key, record)
        for (const key of content.deletes) records.delete(key)
      })
    })
  }

  #commitPart({ isFreeing }: Commit, { deletes, puts }: Part): Effect.Effect<void, StorageFailed> {
    const args = [isFreeing ? "1" : "0", deletes.length.toString()]
    for (const field of deletes) args.push(field)
    for (const text of puts) args.push(text)
    return this.change(Scripts.commit, args)
  }

  /** Deletes fields of the records that hold no record. */
  deleteFields(fields: ReadonlyArray<string>): Effect.Effect<void, StorageFailed> {
    return this.change(Scripts.commit, ["1", fields.length.toString(), ...fields])
  }

  /** Changes records by one script, under a new number. */
  change(script: Scripts.Script, args: ReadonlyArray<string>): Effect.Effect<void, StorageFailed> {
    return this.#numbered((numbers) => this.#options.ownership.run(script, [...numbers, ...args]))
  }

  /** Changes records in parts that become valid at once, see `scripts.ts`. */
  #stage(commit: Commit): Effect.Effect<void, StorageFailed> {
    const { ownership, repair } = this.#options
    return this.#numbered((numbers) => this.#stageOnce(commit, numbers)).pipe(
      Effect.tapError(({ kind }) => kind === "full" ? Effect.ignore(ownership.run(Scripts.discard, [])) : Effect.void),
      // The commit is valid. Changes that cannot be moved now are moved by the next call, or by the next owner.
      Effect.andThen(Effect.ignore(repair.finish))
    )
  }

  #stageOnce(
    commit: Commit,
    numbers: ReadonlyArray<string>
  ): Effect.Effect<RepairNeed | undefined, StorageFailed> {
    return Effect.gen({ self: this }, function*() {
      const { ownership } = this.#options
      const expiry = ownership.options.expiry.toString()
      const frees = commit.isFreeing ? "1" : "0"
      let count = 0
      let puts = 0
      const parts = yield* this.#partsOf(commit)
      for (let part = yield* parts; part !== undefined; part = yield* parts) {
        const args = [...numbers, frees, expiry, count.toString(), part.deletes.length.toString()]
        const need = yield* ownership.run(Scripts.stage, args.concat(part.deletes, part.puts))
        if (need !== undefined) return need
        count += changesIn(part)
        puts += part.puts.length / 2
      }
      return yield* ownership.run(Scripts.conclude, [...numbers, expiry, count.toString(), puts.toString()])
    })
  }

  /** Runs an attempt with the numbers of the newest confirmed commit and of this one. Each repetition has a new one. */
  #numbered(
    attempt: (numbers: ReadonlyArray<string>) => Effect.Effect<RepairNeed | undefined, StorageFailed>
  ): Effect.Effect<void, StorageFailed> {
    const { confirmed, repair } = this.#options
    return repair.runRepaired(Effect.suspend(() => {
      const number = ++this.#attempt
      return Effect.map(attempt([confirmed.number.toString(), number.toString()]), (need) => {
        if (need === undefined) confirmed.number = number
        return need
      })
    }))
  }

  /** The parts of a commit one after the other, as an effect that fails where making a part throws. */
  #partsOf(commit: Commit) {
    return Effect.sync(() => {
      const parts = partsOf(commit, this.#options.largestValue)
      return Effect.try({
        try: () => parts.next().value as Part | undefined,
        catch: (error) => error as StorageFailed
      })
    })
  }
}

const changesIn = (part: Part): number => part.deletes.length + part.puts.length / 2
