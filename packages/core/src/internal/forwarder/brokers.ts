/**
 * Identifies the broker of a session by marks that messages carry. Two sessions with a mark in common are at one
 * broker.
 *
 * A name from the options means the same in every program. Without a name, the addresses of the servers are the marks,
 * and they are valid within this program only. An address such as `localhost` or `10.0.0.5` may be another broker on
 * another machine, and taking two brokers for one would lose messages.
 */
import * as Result from "effect/Result"
import * as ServerAddress from "../../ServerAddress.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import { digest } from "../digest.ts"

/** Servers of one session whose addresses are marks. */
const mostAddresses = 16

const noPayload = new Uint8Array(0)
const loopback = /^(?:localhost|127(?:\.\d{1,3}){3}|::1)$/

export class BrokerMarks {
  readonly #program: string
  readonly #known = new WeakMap<SessionOptions, ReadonlyArray<string>>()
  /** One array for all sessions with the same marks, so that callers can compare arrays by identity. */
  readonly #arrays = new Map<string, ReadonlyArray<string>>()

  /** `program` makes the address marks of this program differ from those of other programs. */
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

  /**
   * A hash instead of the address, because every reader of the messages sees the marks. A name cannot begin with `@`.
   */
  #markOf(server: string): string {
    const number = digest(`${this.#program} ${hostAndPortOf(server)}`, noPayload)
    return `@${(number % 2 ** 41).toString(36).padStart(8, "0")}`
  }
}

/** The host and port of a server, without the protocol and the query of the URL. */
const hostAndPortOf = (server: string): string => {
  const parsed = ServerAddress.parse(server)
  if (Result.isFailure(parsed)) return server
  const { host, path, port } = parsed.success
  const name = host.toLowerCase()
  return `${loopback.test(name) ? "localhost" : name}:${port}${path.split("?", 1)[0]!}`
}

export const isSameBroker = (one: ReadonlyArray<string>, other: ReadonlyArray<string>): boolean =>
  one.some((mark) => other.includes(mark))
