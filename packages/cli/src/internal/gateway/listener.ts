/**
 * A server of a gateway whose settings a reload may change: it is moved to another address, ended, or left alone.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { CommandFailed } from "../failure.ts"

export interface ListenerOptions<Settings> {
  /** For the log: "the metrics server". */
  readonly name: string
  /** Equal for equal settings, secrets included. */
  readonly keyOf: (settings: Settings) => string
  /** Listens until the scope ends, and answers its URL. */
  readonly listen: (settings: Settings) => Effect.Effect<string, CommandFailed, Scope.Scope>
}

export class Listener<Settings> {
  readonly #options: ListenerOptions<Settings>
  readonly #parent: Scope.Scope
  #running: { readonly key: string; readonly scope: Scope.Closeable } | undefined

  private constructor(options: ListenerOptions<Settings>, parent: Scope.Scope) {
    this.#options = options
    this.#parent = parent
  }

  static make = <Settings>(options: ListenerOptions<Settings>): Effect.Effect<Listener<Settings>, never, Scope.Scope> =>
    Effect.map(Effect.scope, (scope) => new Listener(options, scope))

  /** Serves with these settings; undefined: not at all. Does nothing when it serves with equal ones already. */
  serve(settings: Settings | undefined): Effect.Effect<void, CommandFailed> {
    return Effect.uninterruptible(Effect.gen({ self: this }, function*() {
      const key = settings === undefined ? undefined : this.#options.keyOf(settings)
      if (this.#running?.key === key) return
      // Ended first: the new one may have the same port.
      if (this.#running !== undefined) yield* Scope.close(this.#running.scope, Exit.void)
      this.#running = undefined
      if (settings === undefined || key === undefined) return
      const scope = yield* Scope.fork(this.#parent)
      const url = yield* this.#options.listen(settings).pipe(
        Scope.provide(scope),
        Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void)
      )
      this.#running = { key, scope }
      yield* Effect.annotateLogs(Effect.logInfo(`${this.#options.name} listens`), { url })
    }))
  }
}

/** The code of a failure to listen, such as EADDRINUSE. */
export const listenCode = (cause: unknown): string =>
  typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : String(cause)
