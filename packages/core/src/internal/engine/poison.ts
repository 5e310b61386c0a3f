/**
 * Finds the message or subscription over which the server ends the connection, again and again.
 *
 * A server that cannot take a packet may close the connection instead of refusing the packet. The packet is sent again
 * in the resumed session, and everything behind it would wait for ever. Servers work in order, so the oldest packet
 * without an answer is the suspect. A network that is cut looks the same from here. Therefore, from the second
 * connection on that ends with the same suspect, the next connections are proved first: the server answers `proof`
 * PINGREQs, one after the other. Then the suspect goes alone. A connection that ends during the proof clears the
 * suspect, one that ends over the suspect counts, and after `threshold` connections it is given up. Time is that of the
 * engine's inputs.
 */

/**
 * A connection that has lasted so long with nothing but the suspect on its way does not end over it, in milliseconds.
 */
const absolvedAfter = 10_000

/** So many connections may end without a change of what is sent. */
const aloneFrom = 2

/** PINGREQs that the server answers before the suspect is sent. */
const proof = 10

/**
 * What waits for an answer of the server: a message, or the filter of a SUBSCRIBE or UNSUBSCRIBE.
 */
export interface Suspect {
  /** Position in the order of what was sent on the connection. */
  order: number
  /** Connections that the server has ended in a row over it. */
  strikes: number
}

export class PoisonGuard {
  /** 0 switches the guard off. */
  readonly threshold: number
  readonly #ping: () => void
  #order = 0
  /** Packets of this connection that the server has not answered. */
  #unanswered = 0
  /** PINGREQs that the server has answered for the suspect; undefined: none is suspected on this connection. */
  #proved: number | undefined
  /** What is to be sent, or was sent, alone. */
  #suspect: Pick<Suspect, "strikes"> | undefined
  #isSent = false
  #absolvedAt = Infinity

  constructor(threshold: number, ping: () => void) {
    this.threshold = threshold
    this.#ping = ping
  }

  /** Nothing else may be sent. */
  get isAlone(): boolean {
    return this.#suspect !== undefined
  }

  isSuspect({ strikes }: Pick<Suspect, "strikes">): boolean {
    return strikes >= aloneFrom
  }

  /** Whether it may be sent now: a suspect may, when it is alone and the connection is proved. */
  permits(suspect: Pick<Suspect, "strikes">): boolean {
    if (this.#suspect === undefined) return suspect.strikes < aloneFrom
    return this.#suspect === suspect && !this.#isSent && this.#proved! >= proof
  }

  /** The same for what is next: begins the proof of the connection for a suspect. */
  admits(suspect: Pick<Suspect, "strikes">): boolean {
    if (this.#suspect === undefined && suspect.strikes >= aloneFrom && this.#unanswered === 0) {
      this.#suspect = suspect
      this.#proved = 0
      this.#ping()
    }
    return this.permits(suspect)
  }

  /** PINGRESP. */
  ponged(): void {
    if (this.#proved === undefined || this.#proved >= proof) return
    if (++this.#proved < proof) this.#ping()
  }

  sent(suspect: Suspect, now: number): void {
    suspect.order = ++this.#order
    this.#unanswered++
    if (this.#suspect === undefined) return
    this.#isSent = true
    this.#absolvedAt = now + absolvedAfter
  }

  answered(suspect: Suspect): void {
    this.#unanswered--
    suspect.strikes = 0
    if (this.#isSent) this.#clear()
  }

  /** A connection begins: nothing is on its way. */
  connected(): void {
    this.#unanswered = 0
    this.#clear()
  }

  /** The connection has ended; `byServer`: the server has ended it, as far as one can tell. */
  disconnected(byServer: boolean): void {
    // Nothing of the suspect was on its way: connections end here without it.
    if (byServer && this.#suspect !== undefined && !this.#isSent) this.#suspect.strikes = 0
    this.connected()
  }

  /** The server has ended a connection over it, as far as one can tell; whether it is to be given up. */
  strike(suspect: Suspect): boolean {
    return ++suspect.strikes >= this.threshold
  }

  nextDeadline(): number | undefined {
    return this.#absolvedAt === Infinity ? undefined : this.#absolvedAt
  }

  /** The suspect has been on its way for long enough: the connection does not end over it. */
  tick(now: number): void {
    if (this.#suspect === undefined || now < this.#absolvedAt) return
    this.#suspect.strikes = 0
    this.#clear()
  }

  #clear(): void {
    this.#suspect = undefined
    this.#proved = undefined
    this.#isSent = false
    this.#absolvedAt = Infinity
  }
}
