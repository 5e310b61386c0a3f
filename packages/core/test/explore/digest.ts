/**
 * The digest of a state: equal for two states that behave alike from here on. Everything that the engine, the broker's
 * session, the links, the store and the ledgers hold goes in, except for what only counts.
 */
import * as Crypto from "node:crypto"
import { QueuedRecords } from "../../src/internal/store/queuedRecords.ts"
import type { World } from "./world.ts"
import { clientId } from "./world.ts"

/**
 * Properties that no decision depends on: options, figures, caches, and what is overwritten before it is read.
 */
const skipped: ReadonlySet<string> = new Set([
  "options",
  "stats",
  "targets",
  "count",
  "routing",
  "$young",
  "$old",
  "receivedAt",
  "arrivedAt",
  "acceptedAt",
  "at",
  "lastReceivedAt",
  // Counters: what they gave away is compared, see below, and what they give next is larger.
  "$sequence",
  "$order",
  "$routing",
  // The messages of the ledger have it.
  "$first",
  "recPosition",
  "lastPubrel",
  "delivery",
  "nextDelivery"
])

/** Positions: only their order counts, and whether there is one. */
const positions: ReadonlySet<string> = new Set(["order", "position", "lastPuback", "lastPubrec"])

/** Numbers of connections: only whether they are the present one counts. */
const connections: ReadonlySet<string> = new Set(["connection", "checked", "sentOn"])

const isPrimitive = (value: unknown): value is string | number => typeof value === "string" || typeof value === "number"

class Writer {
  readonly #ids = new Map<object, number>()
  readonly #connection: number
  /** Positions in the order in which they were met. */
  readonly #positions: Array<number> = [0]
  text = ""

  constructor(connection: number) {
    this.#connection = connection
  }

  /** The text, with the order of the positions. */
  get end(): string {
    const sorted = [...new Set(this.#positions)].sort((a, b) => a - b)
    return `${this.text}|${this.#positions.map((position) => sorted.indexOf(position)).join()}`
  }

  write(value: unknown): void {
    switch (typeof value) {
      case "string":
        this.text += `"${value}"`
        return
      case "object":
        if (value === null) this.text += "null"
        else this.#object(value)
        return
      case "function":
        this.text += "f"
        return
      default:
        this.text += `${value as number},`
    }
  }

  #object(value: object): void {
    if (value instanceof Uint8Array) {
      this.text += `b${value.join(".")}`
      return
    }
    const id = this.#ids.get(value)
    if (id !== undefined) {
      this.text += `@${id}`
      return
    }
    this.#ids.set(value, this.#ids.size)
    if (Array.isArray(value)) this.#list("[", value)
    else if (value instanceof Set) this.#set(value)
    else if (value instanceof Map) this.#map(value)
    else if (value instanceof Uint16Array) this.#list("u", value)
    else if (value instanceof QueuedRecords) this.#list("q", messagesOf(value))
    else if (value instanceof Error) this.text += `!${(value as { readonly _tag?: string })._tag ?? value.name}`
    else this.#properties(value)
  }

  #list(mark: string, values: Iterable<unknown>): void {
    this.text += mark
    for (const value of values) this.write(value)
    this.text += "]"
  }

  /** No decision depends on the order of words and numbers in a set. */
  #set(values: ReadonlySet<unknown>): void {
    const list = [...values]
    this.#list("{", list.every(isPrimitive) ? list.sort() : list)
  }

  #map(values: ReadonlyMap<unknown, unknown>): void {
    this.text += "("
    for (const [key, value] of values) {
      this.write(key)
      this.write(value)
    }
    this.text += ")"
  }

  #properties(value: object): void {
    this.text += "<"
    for (const key in value) {
      if (skipped.has(key)) continue
      const property = (value as Record<string, unknown>)[key]
      if (property === undefined) continue
      if (typeof property === "number" && (positions.has(key) || (key === "sequence" && "vacancies" in value))) {
        this.#positions.push(property)
        continue
      }
      // A figure in the engine, and the identifiers that wait for PUBREL in the broker, whose order it checks in vain.
      if (key === "received") {
        if (property instanceof Map) this.#list("{", property.keys())
        continue
      }
      this.text += `${key}:`
      if (connections.has(key) && typeof property === "number") {
        this.text += property === this.#connection ? "now" : property === 0 ? "never" : "before"
      } else {
        this.write(property)
      }
    }
    this.text += ">"
  }
}

const messagesOf = (queued: QueuedRecords): Iterable<unknown> =>
  Array.from(queued, ({ expiresAt, publish, sequence }) => [sequence, expiresAt, publish])

/** The connection that the engine knows, or knew last. */
const engineConnection = (world: World): number =>
  (world.engine as unknown as { readonly $core: { readonly connection: number } }).$core.connection

/**
 * The text that is hashed: also for finding out why two states differ.
 */
export const textOf = (world: World): string => {
  const engine = new Writer(engineConnection(world))
  // Consumers and deliveries of the slots are objects of the engine: one writer knows them again.
  engine.write([
    world.engine,
    world.slots,
    world.commit?.output,
    world.commit !== undefined && world.commit.connection === world.connection
  ])
  const session = world.broker.state.sessions.get(clientId)
  const server = new Writer(session?.connection?.connection ?? -1)
  server.write([
    session,
    world.toClient,
    world.toServer,
    world.appended,
    world.connection !== undefined,
    world.isAttached
  ])
  const records = [...world.records].sort(([a], [b]) => a < b ? -1 : 1)
  server.write([records, world.inbound, world.outbound, world.left, world.published, world.served, world.serial])
  server.write([world.life, world.now])
  return engine.end + server.end
}

/** The digest. */
export const digestOf = (world: World): string => Crypto.createHash("sha1").update(textOf(world)).digest("base64")
