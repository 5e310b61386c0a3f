/**
 * A forwarder at one of its sources, as far as it recognises messages that come back to it, see `recentWrites.ts`.
 *
 * It checks its connection on each write and each read there. A message written around a gap of the connection may
 * arrive after the gap, which may be of any length.
 */
import type { Message } from "../../Message.ts"
import type { ProtocolVersion } from "../../QoS.ts"
import * as Topic from "../topics.ts"
import type { Route } from "./route.ts"

/** How long after its acknowledgement a written message is recognised, in milliseconds. */
export const window = 5000

export interface ReaderOptions {
  /** The marks of the broker that it reads from. */
  readonly brokers: ReadonlyArray<string>
  readonly filters: ReadonlyArray<string>
  readonly protocolVersion: ProtocolVersion
  /** The group of its shared subscription. The members of a group share the copies of one message. */
  readonly share: string | undefined
  /** Whether the server keeps messages of QoS 1 and 2 for it while it has no connection. */
  readonly isResumed: boolean
}

interface Recognised {
  readonly key: number
  readonly route: Route
}

export class Reader {
  readonly options: ReaderOptions
  /** The party to which the server sends copies: this reader, or its group. */
  readonly member: unknown
  /** Since when messages have waited here without a pause; undefined: they are read on arrival. */
  waitingSince: number | undefined
  /** The session that it reads by; undefined: it does not read now. */
  #session: { readonly connection: unknown; readonly now: () => number } | undefined
  #connection: unknown
  #seenAt = -Infinity
  #gapFrom = Infinity
  #gapTo = -Infinity
  /**
   * The message that was recognised last under each packet identifier. The server repeats a message under the same
   * identifier.
   */
  readonly #recognised = new Map<number, Recognised>()

  constructor(options: ReaderOptions) {
    this.options = options
    const { filters, share } = options
    this.member = share === undefined && !filters.some(Topic.isShared) ? this : [share ?? "", ...filters].join("\n")
  }

  /** How many copies of a message the server sends to its member. */
  copiesOf(topic: string): number {
    const { filters } = this.options
    let copies = 0
    for (let i = 0; i < filters.length; i++) if (Topic.matches(filters[i]!, topic)) copies++
    return copies
  }

  attach(session: { readonly connection: unknown; readonly now: () => number }): void {
    this.#session = session
    this.follow(session.now())
  }

  detach(now: number): void {
    this.#session = undefined
    this.follow(now)
  }

  follow(now: number): void {
    const connection = this.#session?.connection
    if (connection !== this.#connection) {
      if (this.#connection !== undefined) this.#gapFrom = this.#seenAt
      this.#gapTo = connection === undefined ? Infinity : now
      this.#connection = connection
    }
    if (connection !== undefined) this.#seenAt = now
  }

  /**
   * Whether a message that is read now may be one that was settled at that time. `isKept`: the server keeps it over a
   * gap.
   */
  mayHave(settledAt: number, isKept: boolean, now: number): boolean {
    const arrivedAt = this.waitingSince ?? now
    if (arrivedAt < settledAt + window) return true
    return isKept && this.options.isResumed && settledAt + window > this.#gapFrom && arrivedAt < this.#gapTo + window
  }

  /** The reader does not need what was settled before this time. */
  needsFrom(now: number): number {
    const isAfterGap = this.options.isResumed && now < this.#gapTo + window
    return Math.min(this.waitingSince ?? now, isAfterGap ? this.#gapFrom : Infinity) - window
  }

  /** The route of a message that the server repeats and that was recognised before. */
  repeated({ dup }: Message, packetIdentifier: number, key: number): Route | undefined {
    if (packetIdentifier === 0) return undefined
    const recognised = this.#recognised.get(packetIdentifier)
    if (recognised === undefined) return undefined
    if (dup && recognised.key === key) return recognised.route
    this.#recognised.delete(packetIdentifier)
    return undefined
  }

  note(packetIdentifier: number, key: number, route: Route): void {
    if (packetIdentifier !== 0) this.#recognised.set(packetIdentifier, { key, route })
  }
}
