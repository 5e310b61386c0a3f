/**
 * Which broker a session is at, as marks that messages carry: two sessions with a mark in common are at one broker.
 *
 * A name that the options give means the same in every program. Without a name the addresses of the servers are the
 * marks, and they count in this program only: `localhost` and `10.0.0.5` are other brokers elsewhere, and taking two
 * brokers for one would lose messages.
 */
import * as Result from "effect/Result"
import * as ServerAddress from "../../ServerAddress.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import { digest } from "./digest.ts"

/** Servers of one session whose addresses are marks. */
const mostAddresses = 16

const noPayload = new Uint8Array(0)
const loopback = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/

export class BrokerMarks {
  readonly #program: string
  readonly #known = new WeakMap<SessionOptions, ReadonlyArray<string>>()
  /** One array for all sessions with the same marks, by which others may go. */
  readonly #arrays = new Map<string, ReadonlyArray<string>>()

  /** `program` tells the addresses of this program from those of others. */
  constructor(program: string) {
    this.#program = program
  }

  of(options: SessionOptions): ReadonlyArray<string> {
    const known = this.#known.get(options)
    if (known !== undefined) return known
    const own = options.brokerName === undefined
      ? Array.from(new Set(options.servers.slice(0, mostAddresses).map((server) => this.#markOf(server))))
      : [options.brokerName]
    const key = own.join(",")
    const marks = this.#arrays.get(key) ?? own
    this.#arrays.set(key, marks)
    this.#known.set(options, marks)
    return marks
  }

  /** Not the address itself: everyone who reads the messages sees the marks. A name cannot begin with `@`. */
  #markOf(server: string): string {
    const number = digest(`${this.#program} ${placeOf(server)}`, noPayload)
    return `@${(number % 2 ** 41).toString(36).padStart(8, "0")}`
  }
}

/** Where a server listens, whatever the protocol and the query of the URL. */
const placeOf = (server: string): string => {
  const parsed = ServerAddress.parse(server)
  if (Result.isFailure(parsed)) return server
  const { host, path, port } = parsed.success
  const name = host.toLowerCase()
  return `${loopback.test(name) ? "localhost" : name}:${port}${path.split("?", 1)[0]!}`
}

export const isSameBroker = (one: ReadonlyArray<string>, other: ReadonlyArray<string>): boolean =>
  one.some((mark) => other.includes(mark))
