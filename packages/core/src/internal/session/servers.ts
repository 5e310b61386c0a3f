/**
 * Chooses the next server of a session: from its list, or where a server has sent it. The supervisor calls it. It never
 * connects.
 */
import { MqttError, ServerMoved } from "../../MqttError.ts"
import * as ReasonCode from "../../ReasonCode.ts"
import * as ServerAddress from "../../ServerAddress.ts"
import { readServerReference } from "./serverReference.ts"

interface Candidate {
  readonly address: ServerAddress.ServerAddress
  failures: number
  failedAt: number
}

const candidateOf = (address: ServerAddress.ServerAddress): Candidate => ({ address, failures: 0, failedAt: 0 })

/**
 * Servers in the order of preference, with their recent failures.
 */
export class Servers {
  readonly #maximumRedirects: number
  #candidates: ReadonlyArray<Candidate>
  /** Where a server has sent the session, for the next connect only. */
  #targets: Array<ServerAddress.ServerAddress> = []
  /** The servers of the round that were not tried yet. */
  #rest: Array<ServerAddress.ServerAddress> = []
  /** Redirects in a row. */
  #redirects = 0

  constructor(addresses: ReadonlyArray<ServerAddress.ServerAddress>, maximumRedirects = 3) {
    this.#candidates = addresses.map(candidateOf)
    this.#maximumRedirects = maximumRedirects
  }

  get size(): number {
    return this.#candidates.length
  }

  /** The server that the session prefers to all others. */
  get preferred(): ServerAddress.ServerAddress {
    return this.#candidates[0]!.address
  }

  isPreferred(address: ServerAddress.ServerAddress): boolean {
    return isSame(this.preferred, address)
  }

  /** The next server was named by another one, or was found to be there again. */
  get isExpected(): boolean {
    return this.#targets.length > 0
  }

  /**
   * The order of one round. Servers that failed within their penalty come last, the earliest failure first; the others
   * keep the order of preference. The penalty is 5 s, doubled with each failure in a row up to 5 min. Every round
   * contains every server.
   */
  round(now: number): Array<ServerAddress.ServerAddress> {
    const healthy = this.#candidates.filter((candidate) => !isPenalised(candidate, now))
    const others = this.#candidates.filter((candidate) => isPenalised(candidate, now)).sort((a, b) =>
      a.failedAt - b.failedAt
    )
    return [...healthy, ...others].map((candidate) => candidate.address)
  }

  /** Begins a round. */
  begin(now: number): void {
    if (!this.isExpected) this.#redirects = 0
    this.#rest = this.round(now)
  }

  /** The next server of the round, those where another one has sent the session first. Undefined: the round is over. */
  next(): ServerAddress.ServerAddress | undefined {
    return this.#targets.shift() ?? this.#rest.shift()
  }

  failed(address: ServerAddress.ServerAddress, now: number): void {
    const candidate = this.#find(address)
    if (candidate === undefined) return
    candidate.failures++
    candidate.failedAt = now
  }

  succeeded(address: ServerAddress.ServerAddress): void {
    const candidate = this.#find(address)
    if (candidate !== undefined) candidate.failures = 0
    this.#targets = []
    this.#rest = []
  }

  /** The preferred server can be reached again, and is the next one. */
  returning(): void {
    this.succeeded(this.preferred)
    this.#targets = [this.preferred]
  }

  /** A connection was stable: what follows is no chain of redirects. */
  settled(): void {
    this.#redirects = 0
  }

  /**
   * Follows a server that sends the session elsewhere. Undefined: the next server of the round is where it goes.
   * Otherwise the error, with why it is not followed where it is a redirect.
   *
   * Where a server has moved (0x9D) takes its place for the life of the session, and the server itself becomes the last
   * resort. Another server to use (0x9C) is for the next connect only.
   */
  redirect(from: ServerAddress.ServerAddress, error: MqttError): MqttError | undefined {
    const { reason } = error
    if (reason._tag !== "ServerMoved") return error
    const targets = this.#maximumRedirects === 0
      ? "redirects are refused"
      : this.#redirects >= this.#maximumRedirects
      ? `more than ${this.#maximumRedirects} redirects in a row`
      : readServerReference(reason.serverReference, from)
    if (typeof targets === "string") {
      return new MqttError({ ...error, reason: new ServerMoved({ ...reason, notFollowed: targets }) })
    }
    this.#redirects++
    this.#targets = [...targets]
    if (reason.reasonCode === ReasonCode.serverMoved) this.#replace(from, targets)
    return undefined
  }

  #replace(from: ServerAddress.ServerAddress, targets: ReadonlyArray<ServerAddress.ServerAddress>): void {
    const place = this.#candidates.findIndex(({ address }) => isSame(address, from))
    // A server that is not in the list was itself for one connect only.
    if (place === -1) return
    const others = this.#candidates.filter(({ address }) =>
      !isSame(address, from) && !targets.some((target) => isSame(target, address))
    )
    const before = others.filter((candidate) => this.#candidates.indexOf(candidate) < place)
    const after = others.filter((candidate) => this.#candidates.indexOf(candidate) > place)
    this.#candidates = [...before, ...targets.map(candidateOf), ...after, candidateOf(from)]
  }

  #find(address: ServerAddress.ServerAddress): Candidate | undefined {
    return this.#candidates.find((candidate) => isSame(candidate.address, address))
  }
}

const isSame = (a: ServerAddress.ServerAddress, b: ServerAddress.ServerAddress): boolean =>
  a === b || ServerAddress.format(a) === ServerAddress.format(b)

const isPenalised = (candidate: Candidate, now: number): boolean =>
  candidate.failures > 0 && now - candidate.failedAt < Math.min(5000 * 2 ** (candidate.failures - 1), 300_000)
