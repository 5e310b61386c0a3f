/**
 * The loop guard where messages cannot carry the way that they came, that is where MQTT 3.1.1 is involved: what the forwarders of a manager
 * have written to a server in the last seconds, so that one that reads from there knows the way of what comes back.
 *
 * Two messages with the same topic and payload look alike. Therefore each reader takes each written message once, for each of its filters that
 * the topic matches: mosquitto sends a copy for each on 3.1.1.
 */
import type { Manager } from "../../SessionManager.ts"
import * as Topic from "../../Topic.ts"

/** How long a written message is known, in milliseconds, and how many of one server. */
const memory = 5000
const capacity = 65_536

/** Who reads from a server. */
export interface Reader {
  readonly filters: ReadonlyArray<string>
  readonly protocolVersion: 4 | 5
}

interface Written {
  readonly route: string
  readonly at: number
  readonly taken: Map<Reader, number>
}

class Server {
  readonly readers = new Set<Reader>()
  readonly #written = new Map<number, Array<Written>>()
  size = 0

  note(key: number, route: string, now: number): void {
    this.#forget(now)
    const written: Written = { route, at: now, taken: new Map() }
    const all = this.#written.get(key)
    if (all !== undefined) {
      all.push(written)
      // To the end, where the latest stand: one that is written over and over must not keep the others from being forgotten.
      this.#written.delete(key)
    }
    this.#written.set(key, all ?? [written])
    this.size++
  }

  take(key: number, reader: Reader, topic: string, now: number): string {
    this.#forget(now)
    const all = this.#written.get(key)
    if (all === undefined) return ""
    let copies = 0
    for (const filter of reader.filters) if (Topic.matches(filter, topic)) copies++
    for (const written of all) {
      const taken = written.taken.get(reader) ?? 0
      if (taken >= copies || written.at + memory <= now) continue
      written.taken.set(reader, taken + 1)
      return written.route
    }
    return ""
  }

  /** Keys stand in the order in which they were written last. */
  #forget(now: number): void {
    for (const [key, all] of this.#written) {
      while (all.length > 0 && (all[0]!.at + memory <= now || this.size > capacity)) {
        all.shift()
        this.size--
      }
      if (all.length > 0) return
      this.#written.delete(key)
    }
  }
}

/**
 * The servers of one manager, by address.
 */
export class Echoes {
  readonly #servers = new Map<string, Server>()

  /** Registers who reads from a server; the answer ends it. */
  read(addresses: ReadonlyArray<string>, reader: Reader): () => void {
    for (const address of addresses) {
      let server = this.#servers.get(address)
      if (server === undefined) this.#servers.set(address, server = new Server())
      server.readers.add(reader)
    }
    return () => {
      for (const address of addresses) {
        const server = this.#servers.get(address)
        if (server?.readers.delete(reader) === true && server.readers.size === 0) this.#servers.delete(address)
      }
    }
  }

  /** Whether somebody reads from there who cannot see the way that messages have come. */
  isRead(addresses: ReadonlyArray<string>, protocolVersion: 4 | 5): boolean {
    for (const address of addresses) {
      const readers = this.#servers.get(address)?.readers
      if (readers === undefined) continue
      if (protocolVersion === 4) return true
      for (const reader of readers) if (reader.protocolVersion === 4) return true
    }
    return false
  }

  /** Whether anything is known of these servers. */
  hasAny(addresses: ReadonlyArray<string>): boolean {
    if (this.#servers.size === 0) return false
    for (const address of addresses) if ((this.#servers.get(address)?.size ?? 0) > 0) return true
    return false
  }

  note(addresses: ReadonlyArray<string>, key: number, route: string, now: number): void {
    for (const address of addresses) this.#servers.get(address)?.note(key, route, now)
  }

  /** The way of a message that was written lately; empty: it is not known. */
  take(addresses: ReadonlyArray<string>, key: number, reader: Reader, topic: string, now: number): string {
    for (const address of addresses) {
      const route = this.#servers.get(address)?.take(key, reader, topic, now)
      if (route !== undefined && route !== "") return route
    }
    return ""
  }
}

const ofManager = new WeakMap<Manager, Echoes>()

/** What all forwarders of a manager share. */
export const echoesOf = (manager: Manager): Echoes => {
  let echoes = ofManager.get(manager)
  if (echoes === undefined) ofManager.set(manager, echoes = new Echoes())
  return echoes
}
