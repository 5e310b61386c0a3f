/**
 * Chooses the next server of a session with several servers.
 */
import type { ServerAddress } from "../../ServerAddress.ts"

interface Candidate {
  readonly address: ServerAddress
  failures: number
  failedAt: number
}

/**
 * Servers in the order of preference, with their recent failures.
 */
export class Servers {
  readonly #candidates: ReadonlyArray<Candidate>

  constructor(addresses: ReadonlyArray<ServerAddress>) {
    this.#candidates = addresses.map((address) => ({ address, failures: 0, failedAt: 0 }))
  }

  get size(): number {
    return this.#candidates.length
  }

  /**
   * The order of one round. Servers that failed within their penalty come last, the earliest failure first; the others
   * keep the order of preference. The penalty is 5 s, doubled with each failure in a row up to 5 min. Every round
   * contains every server.
   */
  round(now: number): ReadonlyArray<ServerAddress> {
    const healthy = this.#candidates.filter((candidate) => !isPenalised(candidate, now))
    const others = this.#candidates.filter((candidate) => isPenalised(candidate, now)).sort((a, b) =>
      a.failedAt - b.failedAt
    )
    return [...healthy, ...others].map((candidate) => candidate.address)
  }

  failed(address: ServerAddress, now: number): void {
    const candidate = this.#find(address)
    candidate.failures++
    candidate.failedAt = now
  }

  succeeded(address: ServerAddress): void {
    this.#find(address).failures = 0
  }

  #find(address: ServerAddress): Candidate {
    return this.#candidates.find((candidate) => candidate.address === address)!
  }
}

const isPenalised = (candidate: Candidate, now: number): boolean =>
  candidate.failures > 0 && now - candidate.failedAt < Math.min(5000 * 2 ** (candidate.failures - 1), 300_000)
