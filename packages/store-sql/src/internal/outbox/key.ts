/**
 * How a session's commit names rows of the outbox: as origins of the messages that were made from them. The relay makes
 * origins, and the store reads them from the keys of its records.
 */
import { type OriginKey, originKey } from "@effect-mqttx/core/StoreRecord"

const forwarder = "@effect-mqttx/store-sql/SqlOutbox"

/** The origin of a message that is made from a row. */
export const originOf = (row: string): OriginKey => ({ forwarder, session: row, packetIdentifier: 1, use: row })

const prefix = originKey(originOf(""))

/** The row that the key of a record names; undefined: it is no key of an origin of the outbox. */
export const rowOf = (key: string): string | undefined => {
  if (!key.startsWith(prefix)) return undefined
  const row = key.slice(prefix.length)
  return /^\d{1,19}$/.test(row) ? row : undefined
}
