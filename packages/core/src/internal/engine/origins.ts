/**
 * The records of the inbound messages from which an outbound message was made: of one, or of all messages of a batch.
 * A durable session stores them with the message. `outbound.ts` calls it.
 */
import { type OriginKey, originKey } from "../../StoreRecord.ts"
import type { PublishRequest } from "./contract.ts"
import type { EngineCore } from "./core.ts"

type Origin = NonNullable<PublishRequest["origin"]>

const listOf = (origin: Origin): ReadonlyArray<OriginKey> =>
  Array.isArray(origin) ? origin as ReadonlyArray<OriginKey> : [origin as OriginKey]

export const putOrigins = (core: EngineCore, origin: Origin): void => {
  for (const each of listOf(origin)) core.put({ _tag: "Origin", origin: each })
}

export const originKeys = (origin: Origin): ReadonlyArray<string> => listOf(origin).map(originKey)
