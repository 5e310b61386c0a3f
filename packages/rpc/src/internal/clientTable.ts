/**
 * The clients of a server and their calls. The numbers of calls are remembered when the client has gone, so that a
 * request that arrives again is not carried out again. The oldest clients are forgotten for newer ones.
 */
import type * as Scope from "effect/Scope"
import { Assembly, Budget } from "./assembly.ts"
import { CallNumbers } from "./callNumbers.ts"
import { Inbox } from "./inbox.ts"
import type { ServerOptions } from "./options.ts"

export interface RemoteClient {
  /** The instance. */
  readonly name: string
  /** By which Effect's server knows it. */
  readonly number: number
  readonly seen: CallNumbers
  readonly calls: Map<number, ServedCall>
  /** The calls that run, by the identifier that Effect's client gave them. */
  readonly running: Map<string | number, ServedCall>
  replyTopic: string
  notices: number
}

export interface ServedCall {
  readonly number: number
  readonly client: RemoteClient
  readonly assembly: Assembly
  readonly inbox: Inbox
  id: string | number | undefined
  /** Number of parts that were sent. */
  sent: number
  /** When the client last showed that it has the call. */
  confirmedAt: number
}

/** The calls of this many clients that have gone are remembered. */
const mostGone = 1024

export class ClientTable {
  readonly #options: ServerOptions
  readonly #budget: Budget
  readonly #scope: Scope.Scope
  readonly #onForgotten: (number: number) => void
  /** In the order of their last requests. */
  readonly #clients = new Map<string, RemoteClient>()
  readonly #numbers = new Map<number, RemoteClient>()
  readonly #gone = new Map<string, CallNumbers>()
  #count = 0
  #calls = 0

  constructor(options: ServerOptions, scope: Scope.Scope, onForgotten: (number: number) => void) {
    this.#options = options
    this.#budget = new Budget(options.maxBufferedBytes)
    this.#scope = scope
    this.#onForgotten = onForgotten
  }

  get names(): Iterable<string> {
    return this.#clients.keys()
  }

  get numbers(): ReadonlySet<number> {
    return new Set(this.#numbers.keys())
  }

  get busy(): ReadonlyArray<RemoteClient> {
    return Array.from(this.#clients.values()).filter(({ calls }) => calls.size > 0)
  }

  get isFull(): boolean {
    return this.#calls >= this.#options.maxCalls
  }

  named(name: string): RemoteClient | undefined {
    return this.#clients.get(name)
  }

  numbered(number: number): RemoteClient | undefined {
    return this.#numbers.get(number)
  }

  /** The client of a request; undefined: there are as many as may be, and all have calls. */
  requester(name: string, replyTopic: string): RemoteClient | undefined {
    let client = this.#clients.get(name)
    if (client === undefined) {
      if (this.#clients.size >= this.#options.maxClients && !this.#dropIdle()) return undefined
      client = {
        name,
        number: this.#count++,
        seen: this.#gone.get(name) ?? new CallNumbers(),
        calls: new Map(),
        running: new Map(),
        replyTopic,
        notices: 0
      }
      this.#numbers.set(client.number, client)
    } else {
      this.#clients.delete(name)
    }
    client.replyTopic = replyTopic
    this.#clients.set(name, client)
    return client
  }

  open(client: RemoteClient, number: number, now: number): ServedCall {
    const call: ServedCall = {
      number,
      client,
      assembly: new Assembly(this.#budget, this.#options.maxMessageSize),
      inbox: new Inbox(this.#budget, this.#scope),
      id: undefined,
      sent: 0,
      confirmedAt: now
    }
    client.calls.set(number, call)
    this.#calls++
    return call
  }

  remove(call: ServedCall): void {
    const { client } = call
    if (client.calls.get(call.number) !== call) return
    client.calls.delete(call.number)
    this.#calls--
    if (call.id !== undefined) client.running.delete(call.id)
    call.assembly.dispose()
  }

  /** The client does not exist any more. */
  forget(client: RemoteClient): void {
    if (this.#clients.get(client.name) !== client) return
    for (const call of client.calls.values()) this.remove(call)
    this.#numbers.delete(client.number)
    this.#clients.delete(client.name)
    this.#gone.delete(client.name)
    if (this.#gone.size >= mostGone) {
      const [oldest] = this.#gone.keys()
      this.#gone.delete(oldest!)
    }
    this.#gone.set(client.name, client.seen)
    this.#onForgotten(client.number)
  }

  #dropIdle(): boolean {
    for (const client of this.#clients.values()) {
      if (client.calls.size > 0) continue
      this.forget(client)
      return true
    }
    return false
  }
}
