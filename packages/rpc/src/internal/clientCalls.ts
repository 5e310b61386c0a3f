/**
 * The calls of a client that are not over, by their number and by the identifier that Effect's client gave them.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { RpcClientError } from "effect/rpc/RpcClientError"
import type * as Scope from "effect/Scope"
import { Assembly, type Budget } from "./assembly.ts"
import { Inbox } from "./inbox.ts"

export interface Call {
  readonly number: number
  /** The identifier that Effect's client gave it, and the client. */
  readonly id: string | number
  readonly client: number
  readonly assembly: Assembly
  readonly inbox: Inbox
  readonly outcome: Deferred.Deferred<void, RpcClientError>
  /** Succeeds with the instance that carries the call out. */
  readonly accepted: Deferred.Deferred<string>
  owner: string | undefined
  /** Number of parts that were sent. */
  sent: number
  /** When a server last showed that it has the call. */
  confirmedAt: number
  /** Its caller does not wait any more. It stays until its server is known, and can be told. */
  isAbandoned: boolean
}

export class ClientCalls {
  readonly #budget: Budget
  readonly #largest: number
  readonly #scope: Scope.Scope
  readonly #calls = new Map<number, Call>()
  readonly #ids = new Map<string | number, Call>()
  #count = 0

  constructor(budget: Budget, largest: number, scope: Scope.Scope) {
    this.#budget = budget
    this.#largest = largest
    this.#scope = scope
  }

  open(id: string | number, client: number, now: number): Call {
    const call: Call = {
      number: this.#count++,
      id,
      client,
      assembly: new Assembly(this.#budget, this.#largest),
      inbox: new Inbox(this.#budget, this.#scope),
      outcome: Deferred.makeUnsafe<void, RpcClientError>(),
      accepted: Deferred.makeUnsafe<string>(),
      owner: undefined,
      sent: 0,
      confirmedAt: now,
      isAbandoned: false
    }
    this.#calls.set(call.number, call)
    this.#ids.set(id, call)
    return call
  }

  get all(): ReadonlyArray<Call> {
    return Array.from(this.#calls.values())
  }

  has(call: Call): boolean {
    return this.#calls.get(call.number) === call
  }

  withId(id: string | number): Call | undefined {
    return this.#ids.get(id)
  }

  /** The call, unless another server has it. */
  of(server: string, number: number): Call | undefined {
    const call = this.#calls.get(number)
    return call !== undefined && (call.owner === undefined || call.owner === server) ? call : undefined
  }

  /** The servers that have calls. */
  get owners(): ReadonlySet<string> {
    const owners = new Set<string>()
    for (const { owner } of this.#calls.values()) if (owner !== undefined) owners.add(owner)
    return owners
  }

  /** The calls of each server whose callers wait, for heartbeats. */
  get awaited(): ReadonlyMap<string, ReadonlyArray<readonly [call: number, sent: number]>> {
    const awaited = new Map<string, Array<readonly [number, number]>>()
    for (const { isAbandoned, number, owner, sent } of this.#calls.values()) {
      if (owner === undefined || isAbandoned) continue
      const calls = awaited.get(owner)
      if (calls === undefined) awaited.set(owner, [[number, sent]])
      else calls.push([number, sent])
    }
    return awaited
  }

  /** Its caller does not wait any more. */
  abandon(call: Call): void {
    this.#ids.delete(call.id)
    if (call.owner === undefined) call.isAbandoned = true
    else this.forget(call)
  }

  forget(call: Call): void {
    if (!this.#calls.delete(call.number)) return
    if (this.#ids.get(call.id) === call) this.#ids.delete(call.id)
    call.assembly.dispose()
  }

  /** Ends a call with a failure, or with what Effect's client was handed before. */
  end(call: Call, error: RpcClientError | undefined): Effect.Effect<void> {
    return Effect.sync(() => {
      this.forget(call)
      Deferred.doneUnsafe(call.outcome, error === undefined ? Effect.void : Effect.fail(error))
    })
  }
}
