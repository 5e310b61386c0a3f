/**
 * Finds a message or subscription over which the server ends every connection.
 *
 * A server that cannot take a packet may close the connection instead of refusing the packet. The packet is sent again
 * in the resumed session, and everything behind it would wait forever. Servers work in order, so the oldest unanswered
 * packet is the suspect.
 *
 * A cut network looks the same from here. So after two connections have ended with the same suspect, each next
 * connection is proved first: the server must answer `proof` PINGREQs, one after the other. Then the suspect is sent
 * alone. A connection that ends during the proof clears the suspect. One that ends over the suspect counts. After
 * `threshold` connections the suspect is given up. Times are those of the engine's inputs.
 */
import { type Packet, pingreq } from "../../Packet.ts"

/**
 * Milliseconds. A connection that lasts this long with only the suspect unanswered clears the suspect.
 */
const absolvedAfter = 10_000

/** Number of connections that may end before the suspect is sent alone. */
const aloneFrom = 2

/** Number of PINGREQs that the server must answer before the suspect is sent. */
const proof = 10

/**
 * A message, or the filter of a SUBSCRIBE or UNSUBSCRIBE, that waits for an answer of the server.
 */
export interface Suspect {
  /** Position in the order of transmission on the connection. */
  order: number
  /** Number of consecutive connections that the server ended over it. */
  strikes: number
}

/** The engine, for its guard. */
export interface PoisonHost {
  readonly send: (packet: Packet) => void
}

export class PoisonGuard {
  /** 0 switches the guard off. */
  readonly threshold: number
  readonly #host: PoisonHost
  #order = 0
  /** Number of packets of this connection that the server has not answered. */
  #unanswered = 0
  /** Number of PINGREQs that the server has answered for the suspect; undefined: no suspect on this connection. */
  #proved: number | undefined
  /** The suspect, which is sent alone. */
  #suspect: Pick<Suspect, "strikes"> | undefined
  #isSent = false
  #absolvedAt = Infinity

  constructor(threshold: number, host: PoisonHost) {
    this.threshold = threshold
    this.#host = host
  }

  /** Whether only the suspect may be sent. */
  get isAlone(): boolean {
    return this.#suspect !== undefined
  }

  isSuspect({ strikes }: Pick<Suspect, "strikes">): boolean {
    return strikes >= aloneFrom
  }

  /** Whether it may be sent now. A suspect may when it is alone and the connection is proved. */
  permits(suspect: Pick<Suspect, "strikes">): boolean {
    if (this.#suspect === undefined) return suspect.strikes < aloneFrom
    return this.#suspect === suspect && !this.#isSent && this.#proved! >= proof
  }

  /** The same for the next packet to send. Begins the proof of the connection when it is a suspect. */
  admits(suspect: Pick<Suspect, "strikes">): boolean {
    if (this.#suspect === undefined && suspect.strikes >= aloneFrom && this.#unanswered === 0) {
      this.#suspect = suspect
      this.#proved = 0
      this.#host.send(pingreq)
    }
    return this.permits(suspect)
  }

  /** A PINGRESP arrived. */
  ponged(): void {
    if (this.#proved === undefined || this.#proved >= proof) return
    if (++this.#proved < proof) this.#host.send(pingreq)
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

  /** A connection begins: no packet is under way. */
  connected(): void {
    this.#unanswered = 0
    this.#clear()
  }

  /** The connection has ended; `byServer`: probably by the server. */
  disconnected(byServer: boolean): void {
    // The suspect was not sent: connections end without it.
    if (byServer && this.#suspect !== undefined && !this.#isSent) this.#suspect.strikes = 0
    this.connected()
  }

  /** The server has probably ended a connection over it. Answers whether it is to be given up. */
  strike(suspect: Suspect): boolean {
    return ++suspect.strikes >= this.threshold
  }

  nextDeadline(): number | undefined {
    return this.#absolvedAt === Infinity ? undefined : this.#absolvedAt
  }

  /** The suspect was under way for long enough: the connection does not end over it. */
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

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return {
      order: this.#order,
      unanswered: this.#unanswered,
      proved: this.#proved,
      suspect: this.#suspect,
      isSent: this.#isSent,
      absolvedAt: this.#absolvedAt
    }
  }

  set privateState(state) {
    this.#order = state.order
    this.#unanswered = state.unanswered
    this.#proved = state.proved
    this.#suspect = state.suspect
    this.#isSent = state.isSent
    this.#absolvedAt = state.absolvedAt
  }
}
