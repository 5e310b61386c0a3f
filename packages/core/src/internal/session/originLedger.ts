/**
 * The origins of outbound messages of a durable session: from which inbound messages of other sessions they were made.
 * It combines the records of the store with those committed since.
 *
 * An entry names the use of a packet identifier, so an entry that outlives its message matches no other message. The
 * next message under the identifier replaces such an entry, and `retain` deletes it when forwarder, source and target
 * meet.
 */
import { type OriginKey, originKey, type StoreRecord } from "../../StoreRecord.ts"

/** Deletes entries from the store. */
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

  /** The commit that contains the record has succeeded. */
  add(origin: OriginKey): void {
    this.#origins.set(originKey(origin), origin)
  }

  /** Deletes an entry: the source's server released the identifier, or the message made from it is lost. */
  release(origin: Omit<OriginKey, "use">): void {
    const key = originKey(origin)
    if (this.#origins.delete(key)) this.#host.forget(key)
  }

  /** Keeps, for a forwarder and a source, only the messages that the source has not finished. */
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
