/**
 * The identity of a session at its server: its client identifier, and the incarnation that a durable session remembers.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Connack } from "../../Packet.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import type * as StoreRecord from "../../StoreRecord.ts"

/** Different on each call, independent of the clock. */
export const randomToken: Effect.Effect<string> = Effect.gen(function*() {
  const words = [yield* Random.nextIntBetween(0, 2 ** 32), yield* Random.nextIntBetween(0, 2 ** 32)]
  return words.map((word) => word.toString(36)).join("")
})

/** Finds the identity record in the records of a store. */
export const identityIn = (records: ReadonlyArray<StoreRecord.StoreRecord>): StoreRecord.IdentityRecord | undefined =>
  records.find((record) => record._tag === "Identity")

/**
 * Chooses the client identifier. A durable session uses the one in its store, otherwise one derived from its name, so
 * that it finds its session again. Other sessions get a random suffix, so that two programs do not take over each
 * other's session. Empty: the server assigns one (MQTT 3.1.3.1).
 */
export const chooseClientId = Effect.fnUntraced(function*(
  options: SessionOptions,
  records: ReadonlyArray<StoreRecord.StoreRecord>
): Effect.fn.Return<string> {
  if (options.clientId !== undefined) return options.clientId
  if (options.assignedClientId) return identityIn(records)?.clientId ?? ""
  const stem = `mqttx-${options.name.replace(/[^0-9a-zA-Z-]/g, "-")}`
  if (options.persistence === "durable") return identityIn(records)?.clientId ?? stem
  const random = yield* Random.nextIntBetween(0, 36 ** 8)
  return `${stem}-${random.toString(36).padStart(8, "0")}`
})

/**
 * The identity after this CONNACK. The incarnation is that of the server's session, see `Message.serverSession`.
 */
const identityOf = (
  options: SessionOptions,
  clientId: string,
  { properties }: Connack,
  incarnation: string
): StoreRecord.IdentityRecord => ({
  _tag: "Identity",
  format: 1,
  protocolVersion: options.protocolVersion,
  clientId,
  incarnation,
  sessionExpiryInterval: options.protocolVersion === 4
    ? undefined
    : properties.sessionExpiryInterval ?? Math.round(Duration.toSeconds(options.sessionExpiry))
})

const isSameIdentity = (a: StoreRecord.IdentityRecord, b: StoreRecord.IdentityRecord): boolean =>
  a.clientId === b.clientId && a.incarnation === b.incarnation && a.protocolVersion === b.protocolVersion &&
  a.sessionExpiryInterval === b.sessionExpiryInterval

/** The session, for its identity. */
export interface IdentityHost {
  readonly options: SessionOptions
  readonly engineLoop: {
    readonly record: (record: StoreRecord.StoreRecord) => void
    readonly stats: { readonly serverSession: string }
  }
}

/**
 * Keeps the recorded identity of a durable session up to date.
 */
export class RecordedIdentity {
  readonly #host: IdentityHost
  /** Undefined: nothing is recorded yet. */
  #known: StoreRecord.IdentityRecord | undefined

  constructor(host: IdentityHost, known: StoreRecord.IdentityRecord | undefined) {
    this.#host = host
    this.#known = known
  }

  /** The server accepted CONNECT. */
  accepted(connack: Connack, clientId: string): void {
    const { engineLoop, options } = this.#host
    const before = this.#known
    const identity = identityOf(options, clientId, connack, engineLoop.stats.serverSession)
    this.#known = identity
    if (before === undefined || !isSameIdentity(before, identity)) engineLoop.record(identity)
  }
}
