/**
 * The sessions that one store has open: becomes the owner of each in the database and renews its lease while it is
 * open.
 */
import type { StorageFailed } from "@effect-mqttx/core/MqttError"
import type { SessionStoreHandle } from "@effect-mqttx/core/SessionStore"
import * as StoreLease from "@effect-mqttx/core/StoreLease"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import { Attempts } from "./attempts.ts"
import { Handle } from "./handle.ts"
import { hashOf, textOf } from "./names.ts"
import type { SqlStoreOptions } from "./options.ts"
import { Renewals } from "./renewals.ts"
import type { Statements } from "./statements.ts"

export class Sessions extends StoreLease.OpenSessions {
  readonly #attempts: Attempts
  readonly #renewals: Renewals
  readonly #lease: number
  readonly #acquireTimeout: Duration.Duration
  #hasTables = false

  constructor(statements: Statements, options: SqlStoreOptions) {
    super()
    const { acquireTimeout, leaseDuration, statementTimeout } = options
    this.#attempts = new Attempts(statements, statementTimeout)
    this.#renewals = new Renewals(this.#attempts)
    this.#lease = Math.ceil(Duration.toMillis(leaseDuration))
    this.#acquireTimeout = acquireTimeout ?? Sessions.defaultTimeout(leaseDuration)
  }

  protected override own(session: string): Effect.Effect<SessionStoreHandle, StorageFailed, Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      const attempts = this.#attempts
      yield* this.#makeTables
      const name = textOf(session)
      const hash = hashOf(name)
      const token = `${(yield* Random.nextInt).toString(36)}${(yield* Random.nextInt).toString(36)}`
      const release = attempts.try((all) => all.release(hash, token))
      // Added before the acquisition, so that an acquisition whose reply is lost is released too.
      yield* Effect.addFinalizer(() => release)
      const attempt = attempts.run((all) => all.acquire(hash, name, token, this.#lease))
      const { epoch, id } = yield* this.acquire(attempt, this.#acquireTimeout)
      // Too late for the finalizers, because the end of the store has already run them.
      yield* Effect.onError(this.check, () => release)
      const durability = yield* attempts.run((all) => all.durability)
      const handle = new Handle({
        session,
        id,
        epoch,
        durability,
        attempts,
        renewals: this.#renewals,
        lease: this.#lease
      })
      yield* Effect.addFinalizer(() => Effect.sync(() => handle.close()))
      yield* this.keep(handle.renew, Duration.millis(this.#lease))
      return handle.store
    })
  }

  get #makeTables(): Effect.Effect<void, StorageFailed> {
    return Effect.suspend(() =>
      this.#hasTables ? Effect.void : Effect.map(this.#attempts.run((all) => all.makeTables), () => {
        this.#hasTables = true
      })
    )
  }
}
