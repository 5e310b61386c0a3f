/**
 * What several runs share: peers and brokers, which are started when a source first asks for them and ended together.
 */
import { Effect, Exit, Scope } from "effect"

export class Fixtures {
  readonly #scope = Scope.makeUnsafe()
  readonly #open = new Map<string, Promise<unknown>>()

  /** The fixture under a key, which says everything that makes fixtures differ. */
  get<A>(key: string, make: Effect.Effect<A, unknown, Scope.Scope>): Promise<A> {
    let fixture = this.#open.get(key) as Promise<A> | undefined
    if (fixture === undefined) {
      fixture = Effect.runPromise(Scope.provide(make, this.#scope))
      this.#open.set(key, fixture)
    }
    return fixture
  }

  close(): Promise<void> {
    return Effect.runPromise(Scope.close(this.#scope, Exit.void))
  }
}
