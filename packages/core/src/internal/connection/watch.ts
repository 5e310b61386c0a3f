/**
 * Decides when a connection needs attention: the arithmetic of keep alive and write timeout, without timers and
 * effects.
 *
 * The connection records times as plain numbers, once per batch. `keepAlive.ts` asks `Watch.next` what to do and how
 * long to sleep. All times are milliseconds of one monotonic clock.
 */

/**
 * The current state of a connection.
 */
export interface Observed {
  /** When the last bytes were handed to the network. */
  readonly lastSent: number
  /** When the last bytes arrived, or reading was resumed. */
  readonly lastReceived: number
  readonly paused: boolean
  readonly bytesSent: number
  /** Bytes handed over and not yet taken by the operating system. */
  readonly pendingBytes: number
}

export type Action =
  /** Nothing to do for `wait` milliseconds. */
  | { readonly _tag: "Wait"; readonly wait: number }
  | { readonly _tag: "Ping" }
  /** Nothing arrived for one and a half keep alives. */
  | { readonly _tag: "Silent" }
  /** The network took no byte for the write timeout. */
  | { readonly _tag: "Stuck" }

const ping: Action = { _tag: "Ping" }
const silent: Action = { _tag: "Silent" }
const stuck: Action = { _tag: "Stuck" }

// A wake-up that is this much too late means that the process or the machine stood still. The peer's answer may then be
// unread in the socket.
const tolerance = 250

/**
 * The watch over one connection.
 *
 * PINGREQ is due shortly before the keep alive has passed since the last packet in either direction. Outbound, because
 * the server closes a silent connection (MQTT 3.1.2.10). Inbound, to detect a peer that is gone while we still send.
 * Half a keep alive remains for the answer. Any received byte counts as a sign of life.
 */
export class Watch {
  readonly #pingAfter: number
  readonly #silentAfter: number
  readonly #writeTimeout: number
  #pinged = -Infinity
  #taken = 0
  #progressed: number
  #due: number
  #silentNotBefore = -Infinity

  /** `keepAlive` and `writeTimeout` in milliseconds; 0 switches either off. */
  constructor(keepAlive: number, writeTimeout: number, now: number) {
    const enabled = keepAlive > 0
    this.#pingAfter = enabled ? keepAlive - Math.min(keepAlive / 10, 2000) : Infinity
    this.#silentAfter = enabled ? keepAlive * 1.5 : Infinity
    this.#writeTimeout = writeTimeout > 0 ? writeTimeout : Infinity
    this.#progressed = now
    this.#due = now
  }

  next(now: number, seen: Observed): Action {
    if (now - this.#due > tolerance) {
      this.#silentNotBefore = now + tolerance
    }
    this.#due = now
    if (seen.pendingBytes === 0) {
      this.#taken = seen.bytesSent
      this.#progressed = now
    } else {
      const taken = seen.bytesSent - seen.pendingBytes
      if (taken !== this.#taken) {
        this.#taken = taken
        this.#progressed = now
      } else if (now - this.#progressed >= this.#writeTimeout) {
        return stuck
      }
    }
    const silentAt = seen.paused
      ? Infinity
      : Math.max(seen.lastReceived + this.#silentAfter, this.#silentNotBefore)
    if (now >= silentAt) {
      return silent
    }
    // Inbound silence causes no second PINGREQ before an answer. While reading is paused it causes none, because no
    // answer can arrive.
    const asking = seen.paused || this.#pinged > seen.lastReceived
    const pingAt = Math.min(seen.lastSent, asking ? Infinity : seen.lastReceived) + this.#pingAfter
    if (now >= pingAt) {
      this.#pinged = now
      return ping
    }
    this.#due = Math.min(pingAt, silentAt, now + this.#writeTimeout / 4)
    // Whole milliseconds, as timers use them: a rounded-down rest would cause repeated short waits.
    return { _tag: "Wait", wait: Math.ceil(this.#due - now) }
  }
}
