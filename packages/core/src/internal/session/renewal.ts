/**
 * Renews the credentials of an open connection before they expire, or on request: on the connection itself where the
 * session authenticates (MQTT 4.12.1), otherwise by a planned reconnect with credentials that were fetched before.
 * `supervisor.ts` runs it beside each connection. A failure to get new ones does not end a connection that works.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type { Exchange } from "../../Authentication.ts"
import type { MqttError } from "../../MqttError.ts"
import type { ServerAddress } from "../../ServerAddress.ts"
import type { Connection } from "../connection/contract.ts"
import type { Access, AccessProvider, AccessSource } from "./credentials.ts"

/** When to renew: this part of the remaining life before the end, within these bounds in milliseconds. */
const share = 0.1
const shortest = 1000
const longest = 300_000
/** The shortest time between two renewals in milliseconds, because some credentials live for seconds only. */
const minimumInterval = 5000
/** The pause between attempts to get new credentials doubles from the first to the second, in milliseconds. */
const firstPause = 1000
const longestPause = 60_000
/** A timer runs for at most this long, in milliseconds. */
const longestSleep = 86_400_000

export interface RenewalHost {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** The credentials were renewed on the open connection. */
  readonly onRenewed: (expiresAt: number | undefined) => void
  /** Lets the messages in flight finish, in a bounded time, because the connection is about to be closed. */
  readonly finishInFlight: Effect.Effect<void>
  /** New credentials could not be fetched. The connection goes on with the old ones. */
  readonly onFailure: (error: MqttError, expiresAt: number | undefined) => Effect.Effect<void>
}

export class Renewal implements AccessProvider {
  readonly #source: AccessSource
  readonly #host: RenewalHost
  /** What the next attempt uses, at this server, because it was fetched ahead of it. */
  #next: { readonly server: ServerAddress; readonly access: Access } | undefined
  /** The connection in use, or the attempt in progress, has credentials that were fetched ahead of it. */
  #isRenewed = false
  /** Requests of the program that wait for new credentials to be in force. */
  #requested: Deferred.Deferred<void, MqttError> | undefined
  #isConnected = false
  /** Wakes the fiber of the connection. */
  #wake: Deferred.Deferred<void> | undefined

  constructor(source: AccessSource, host: RenewalHost) {
    this.#source = source
    this.#host = host
  }

  /** The next connection uses credentials that were fetched for it, so it needs no pause. */
  get isPlanned(): boolean {
    return this.#next !== undefined
  }

  /** What an attempt uses. */
  get(server: ServerAddress, lastError: MqttError | undefined): Effect.Effect<Access, MqttError> {
    return Effect.suspend(() => {
      const next = this.#next
      this.#next = undefined
      this.#isRenewed = next !== undefined && next.server === server
      return this.#isRenewed ? Effect.succeed(next!.access) : this.#source.get(server, lastError)
    })
  }

  /** A connection with this access is established. */
  established({ expiresAt }: Access): void {
    this.#isConnected = true
    if (this.#isRenewed || this.#requested !== undefined) this.#host.onRenewed(expiresAt)
    this.#settle(Exit.void)
  }

  /** The connection, or an attempt to connect, failed. */
  failed(error: MqttError): void {
    this.#settle(Exit.fail(error))
  }

  /**
   * Renews now. Succeeds when the new credentials are in force: at once without a connection, because the next attempt
   * asks for new ones anyway.
   */
  get request(): Effect.Effect<void, MqttError> {
    return Effect.suspend(() => {
      if (!this.#isConnected) return Effect.void
      this.#requested ??= Deferred.makeUnsafe()
      if (this.#wake !== undefined) Deferred.doneUnsafe(this.#wake, Exit.void)
      return Deferred.await(this.#requested)
    })
  }

  /** Runs beside a connection until it ends. */
  run(connection: Connection, server: ServerAddress, access: Access): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      let { expiresAt } = access
      let pause = firstPause
      while (true) {
        yield* this.#untilDue(expiresAt)
        const renewed = yield* Effect.result(this.#renew(connection, server))
        if (renewed._tag === "Failure") {
          this.#settle(Exit.fail(renewed.failure))
          yield* this.#host.onFailure(renewed.failure, expiresAt)
          // Expired credentials may go on working. The server decides, and then the session connects again.
          if (expiresAt !== undefined && this.#host.now() >= expiresAt) expiresAt = undefined
          yield* Effect.sleep(pause)
          pause = Math.min(longestPause, pause * 2)
        } else if (renewed.success === "closed") return
        else {
          expiresAt = renewed.success.expiresAt
          pause = firstPause
          this.#host.onRenewed(expiresAt)
          this.#settle(Exit.void)
        }
      }
    }).pipe(Effect.ensuring(Effect.sync(() => {
      this.#wake = undefined
      this.#isConnected = false
    })))
  }

  /** Waits until the credentials are about to expire, or the program asks. */
  #untilDue(expiresAt: number | undefined): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const wake = this.#wake = Deferred.makeUnsafe<void>()
      if (this.#requested !== undefined) return
      if (expiresAt === undefined) return yield* Deferred.await(wake)
      const life = expiresAt - this.#host.now()
      // Spread, because a fleet that started together would otherwise reconnect together.
      const margin = Math.min(longest, Math.max(shortest, life * share)) * (1 + (yield* Random.next))
      const due = Math.max(expiresAt - margin, this.#host.now() + minimumInterval)
      while (true) {
        const wait = Math.min(longestSleep, due - this.#host.now())
        if (wait <= 0 || Deferred.isDoneUnsafe(wake)) return
        yield* Effect.raceFirst(Effect.sleep(Math.ceil(wait)), Deferred.await(wake))
      }
    })
  }

  /** Answers what is in force on this connection now, or that the connection is closed for a planned reconnect. */
  #renew(connection: Connection, server: ServerAddress): Effect.Effect<Exchange | "closed", MqttError> {
    if (this.#source.renewsInPlace) {
      return Effect.tap(this.#source.exchange(server), (exchange) => connection.reauthenticate(exchange))
    }
    return Effect.flatMap(this.#source.get(server, undefined), (access) => {
      this.#next = { server, access }
      return Effect.as(Effect.andThen(this.#host.finishInFlight, connection.close(0)), "closed" as const)
    })
  }

  #settle(exit: Exit.Exit<void, MqttError>): void {
    const requested = this.#requested
    this.#requested = undefined
    if (requested !== undefined) Deferred.doneUnsafe(requested, exit)
  }
}
