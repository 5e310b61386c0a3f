/**
 * Which inbound messages of other sessions the outbound ones of a durable session were made from: what its store says,
 * and what has been committed since.
 *
 * An entry names the use of a packet identifier, so that an entry which has outlived its message is taken for no other
 * one. Such entries are replaced by the next message under their identifier, and deleted when forwarder, source and
 * target meet (`retain`).
 */
import { type OriginKey, originKey, type StoreRecord } from "../../StoreRecord.ts"

/** Where entries are deleted from the store. */
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
    return this.#origins.get(originKey(origin))?.use === origin.use
  }

  /** The commit that holds the record has succeeded. */
  add(origin: OriginKey): void {
    this.#origins.set(originKey(origin), origin)
  }

  /** The message is over: the source's server has released the identifier, or what was made of the message is lost. */
  release(origin: Omit<OriginKey, "use">): void {
    const key = originKey(origin)
    if (this.#origins.delete(key)) this.#host.forget(key)
  }

  /** Keeps of a forwarder and a source only the messages that the source has not finished. */
  retain(
    forwarder: string,
    session: string,
    useOf: (packetIdentifier: number) => string | undefined
  ): void {
    for (const [key, origin] of this.#origins) {
      if (origin.forwarder !== forwarder || origin.session !== session) continue
      if (useOf(origin.packetIdentifier) === origin.use) continue
      this.#origins.delete(key)
      this.#host.forget(key)
    }
  }

  /** The forwarder is removed. */
  forgetForwarder(forwarder: string): void {
    for (const [key, origin] of this.#origins) {
      if (origin.forwarder !== forwarder) continue
      this.#origins.delete(key)
      this.#host.forget(key)
    }
  }
}
