/**
 * Instances whose will the broker has published: they have some time to show a sign of life. Both sides use it.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export class Suspects {
  readonly #grace: Duration.Duration
  readonly #scope: Scope.Scope
  readonly #names = new Set<string>()

  constructor(grace: Duration.Duration, scope: Scope.Scope) {
    this.#grace = grace
    this.#scope = scope
  }

  /** A packet of an instance has arrived. */
  clear(name: string): void {
    this.#names.delete(name)
  }

  /** Runs `onGone` for each instance of a client identifier that shows no sign of life in time. */
  suspect(
    clientId: string,
    instances: Iterable<string>,
    onGone: (name: string) => Effect.Effect<void>
  ): Effect.Effect<void> {
    return Effect.suspend(() => {
      const start = `${clientId}/`
      const names = new Set<string>()
      for (const name of instances) if (name.startsWith(start) && !this.#names.has(name)) names.add(name)
      return Effect.forEach(names, (name) => {
        this.#names.add(name)
        return Effect.suspend(() => this.#names.delete(name) ? onGone(name) : Effect.void).pipe(
          Effect.delay(this.#grace),
          Effect.forkIn(this.#scope, { startImmediately: true })
        )
      }, { discard: true })
    })
  }
}
