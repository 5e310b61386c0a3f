/**
 * TCP connections to a host: resolves its name, and tries all of its addresses, both families in turn, as RFC 8305
 * (Happy Eyeballs) describes. Called by the transport and by `tunnel.ts`.
 *
 * Node's own `autoSelectFamily` gives up an address after 250 ms for the next one, so that a server that is further
 * away than that is not found. Here an attempt goes on while the next one begins, and the first one to connect wins.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Dns from "node:dns"
import * as Net from "node:net"
import { errorCodeOf, isSocketTransient } from "../networkErrors.ts"

/** Milliseconds after which the next address is tried, too (RFC 8305, section 5: "Connection Attempt Delay"). */
const attemptDelay = 250

/** The addresses of a name, in the order of preference. */
export type Lookup = (host: string) => Effect.Effect<ReadonlyArray<string>, Error>

/** Asks the operating system. */
export const systemLookup: Lookup = (host) =>
  Effect.callback((resume) => {
    Dns.lookup(host, { all: true, verbatim: true }, (error, addresses) => {
      resume(error === null ? Effect.succeed(addresses.map(({ address }) => address)) : Effect.fail(error))
    })
  })

/**
 * The addresses of a host in the order in which they are tried: the families take turns, beginning with that of the
 * first address (RFC 8305, section 4). An IP address is its own only address.
 */
export const addressesOf = (host: string, lookup: Lookup = systemLookup): Effect.Effect<ReadonlyArray<string>, Error> =>
  Net.isIP(host) === 0 ? Effect.map(lookup(host), interleave) : Effect.succeed([host])

const interleave = (addresses: ReadonlyArray<string>): ReadonlyArray<string> => {
  const distinct = Array.from(new Set(addresses))
  const family = Net.isIP(distinct[0] ?? "")
  const first = distinct.filter((address) => Net.isIP(address) === family)
  const second = distinct.filter((address) => Net.isIP(address) !== family)
  const order: Array<string> = []
  for (let i = 0; i < Math.max(first.length, second.length); i++) {
    if (i < first.length) order.push(first[i]!)
    if (i < second.length) order.push(second[i]!)
  }
  return order
}

/**
 * Connects to the first of these addresses that answers. Fails when none does, with all of their errors. The scope
 * destroys the socket.
 */
export const race = (
  addresses: ReadonlyArray<string>,
  port: number
): Effect.Effect<Net.Socket, Error, Scope.Scope> =>
  // No interruption can come between the connection and the finalizer, which alone holds the socket.
  Effect.uninterruptibleMask((restore) => {
    const attempts = new Attempts(addresses, port)
    const pace = Effect.gen(function*() {
      while (attempts.next()) yield* Effect.sleep(attemptDelay)
      return yield* Effect.never
    })
    return restore(Effect.raceFirst(Deferred.await(attempts.winner), pace)).pipe(
      Effect.onExit((exit) => Effect.sync(() => attempts.end(Exit.isSuccess(exit) ? exit.value : undefined))),
      Effect.tap((socket) => Effect.addFinalizer(() => Effect.sync(() => socket.destroy())))
    )
  })

/** The attempts to connect to the addresses of one host. */
class Attempts {
  readonly winner = Deferred.makeUnsafe<Net.Socket, Error>()
  readonly #addresses: ReadonlyArray<string>
  readonly #port: number
  readonly #sockets = new Set<Net.Socket>()
  /** Attempts that have not ended yet. */
  #pending = 0
  readonly #errors: Array<Error> = []
  #begun = 0
  #connected: Net.Socket | undefined

  constructor(addresses: ReadonlyArray<string>, port: number) {
    this.#addresses = addresses
    this.#port = port
  }

  /** Tries the next address. False: there is none. */
  next(): boolean {
    const host = this.#addresses[this.#begun]
    if (host === undefined) {
      if (this.#begun === 0) this.#failed()
      return false
    }
    this.#begun++
    const socket = Net.connect({ host, port: this.#port, noDelay: true })
    this.#sockets.add(socket)
    this.#pending++
    // Stays for the life of the socket: an 'error' event without a listener is an uncaught exception.
    socket.on("error", (error) => {
      if (!this.#sockets.delete(socket)) return
      this.#pending--
      this.#errors.push(error)
      // The next address does not wait for the delay then.
      if (!this.next() && this.#pending === 0) this.#failed()
    })
    socket.once("connect", () => {
      this.#sockets.delete(socket)
      if (Deferred.doneUnsafe(this.winner, Exit.succeed(socket))) this.#connected = socket
      else socket.destroy()
    })
    return true
  }

  /** Ends everything but this socket. */
  end(winner: Net.Socket | undefined): void {
    this.#begun = this.#addresses.length
    for (const socket of this.#sockets) socket.destroy()
    this.#sockets.clear()
    if (winner === undefined) this.#connected?.destroy()
  }

  #failed(): void {
    Deferred.doneUnsafe(this.winner, Exit.fail(summary(this.#errors)))
  }
}

/**
 * One error for all addresses. It has the code of the first failure that may pass: a machine without IPv6 must not make
 * the failure of a server on both families a permanent one.
 */
export const summary = (errors: ReadonlyArray<Error>): Error => {
  if (errors.length === 1) return errors[0]!
  const codes = errors.map(errorCodeOf)
  const code = codes.find(isSocketTransient) ?? codes[0]
  const all = new AggregateError(
    errors,
    errors.length === 0
      ? "the name has no address"
      : `none of ${errors.length} addresses answered: ${errors.map(({ message }) => message).join("; ")}`
  )
  return code === undefined ? all : Object.assign(all, { code })
}
