/**
 * Which inbound messages of other sessions the outbound ones of a durable session were made from: what its store says, and what has been
 * committed since.
 *
 * An entry counts only for a message that may have been here before (`Delivery.redelivered`): the identifier of a new one may be the same, and
 * the entry of an earlier one is then stale.
 */
import { type OriginKey, originKey, type StoreRecord } from "../../StoreRecord.ts"

/** Where entries are deleted for good. */
export interface OriginLedgerHost {
  readonly forget: (key: string) => void
}

export class OriginLedger {
  readonly #host: OriginLedgerHost
  readonly #origins = new Map<string, OriginKey>()

  constructor(host: OriginLedgerHost, records: ReadonlyArray<StoreRecord>) {
    this.#host = host
    for (const record of records) if (record._tag === "Origin") this.add(record.origin)
  }

  get size(): number {
    return this.#origins.size
  }

  has(origin: OriginKey): boolean {
    return this.#origins.get(originKey(origin))?.incarnation === origin.incarnation
  }

  /** The commit that holds the record has succeeded. */
  add(origin: OriginKey): void {
    this.#origins.set(originKey(origin), origin)
  }

  /** The identifier was released by the source's server. */
  release(session: string, packetIdentifier: number): void {
    const key = originKey({ session, packetIdentifier })
    if (this.#origins.delete(key)) this.#host.forget(key)
  }

  /** The source session began anew at its server: what belonged to its earlier lives never comes again. A `#` may follow a life's name. */
  prune(session: string, incarnation: string): void {
    for (const [key, origin] of this.#origins) {
      if (origin.session !== session || origin.incarnation.split("#", 1)[0] === incarnation) continue
      this.#origins.delete(key)
      this.#host.forget(key)
    }
  }
}
