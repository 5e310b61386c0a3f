/**
 * Whether the server has the session of this client, as far as the client can know: session present (MQTT 3.2.2.1), a
 * session that the server has lost, and one that it may have begun without the client knowing. It tells the parts of
 * the engine. `engine.ts` calls it.
 */
import { type Connack, pingreq } from "../../Packet.ts"
import type { StoreRecord } from "../../StoreRecord.ts"
import type { Violation } from "../codec/contract.ts"
import type { EngineCore } from "./core.ts"
import type { InboundFlow } from "./inbound.ts"
import { limitsOf } from "./limits.ts"
import type { OutboundFlow } from "./outbound.ts"
import type { Subscriptions } from "./subscriptions.ts"
import * as violations from "./violations.ts"

export class ServerSession {
  readonly #core: EngineCore
  readonly #outbound: OutboundFlow
  readonly #inbound: InboundFlow
  readonly #subscriptions: Subscriptions
  /** The server has, or had, a session of ours: session present is possible. */
  #hasSession = false
  #cleanStart = false
  /**
   * CONNACK is awaited. `#isUnanswered`: an earlier CONNECT had no answer, so the server may have begun a new session.
   */
  #awaitsConnack = false
  #isUnanswered = false
  /** A PINGREQ is under way. Its answer shows what the server's session knows; nothing is subscribed before. */
  #isProbing = false

  constructor(core: EngineCore, outbound: OutboundFlow, inbound: InboundFlow, subscriptions: Subscriptions) {
    this.#core = core
    this.#outbound = outbound
    this.#inbound = inbound
    this.#subscriptions = subscriptions
  }

  /** It is not known yet what the server's session knows. */
  get isProbing(): boolean {
    return this.#isProbing
  }

  /** The store has records of a session. */
  restored(records: ReadonlyArray<StoreRecord>): void {
    this.#hasSession = true
    for (const record of records) {
      if (record._tag === "Identity") this.#core.serverSession = record.incarnation
    }
  }

  connecting(cleanStart: boolean): void {
    this.#cleanStart = cleanStart
    this.#awaitsConnack = true
  }

  /** A connection or an attempt has ended. `wasAsked`: the network got CONNECT. */
  disconnected(wasAsked: boolean): void {
    if (this.#awaitsConnack && wasAsked) this.#isUnanswered = true
    this.#awaitsConnack = false
  }

  /** The first CONNACK of a connection. */
  onConnack(packet: Connack, now: number): Violation | undefined {
    const core = this.#core
    this.#awaitsConnack = false
    // A refused connection never began.
    if (packet.reasonCode !== 0) return undefined
    const cleanStart = this.#cleanStart
    if (packet.sessionPresent && (cleanStart || !this.#hasSession)) return violations.unexpectedSession(cleanStart)
    core.connection++
    core.limits = limitsOf(packet, core.options.protocolVersion, core.options.serverLimits)
    core.online = true
    core.writable = true
    core.poison.connected()
    this.#isProbing = false
    this.#outbound.connected()
    this.#inbound.connected()
    if (packet.sessionPresent) {
      this.#outbound.resume(now)
      this.#inbound.resume()
      if (this.#isUnanswered) this.#doubt()
      this.#subscriptions.table.resume()
      // A new session of the server has no subscriptions, hence sends no messages, until we subscribe. Messages that
      // come before that belong to the session that the store describes.
      if (this.#inbound.isInDoubt) {
        this.#isProbing = true
        core.send(pingreq)
      }
    } else {
      core.serverSession = `${core.options.life}.${core.connection}`
      this.#sessionLost(now)
    }
    this.#subscriptions.table.connected()
    this.#hasSession = true
    this.#cleanStart = false
    this.#isUnanswered = false
    return undefined
  }

  /** The server's session may be a new one, begun by a CONNECT whose CONNACK was lost. */
  #doubt(): void {
    this.#inbound.doubt()
    this.#subscriptions.table.doubt()
  }

  #sessionLost(now: number): void {
    const unacknowledged = this.#outbound.messages.inflight
    const subscriptions = this.#subscriptions.table.known
    if (unacknowledged > 0 || subscriptions > 0 || this.#inbound.hasState) {
      this.#core.emit({ _tag: "SessionLost", unacknowledged, subscriptions })
    }
    this.#outbound.sessionLost(now)
    this.#inbound.sessionLost(now)
    this.#subscriptions.sessionLost()
  }

  onPingresp(): void {
    if (this.#isProbing) this.#inbound.settleDoubt()
    this.#isProbing = false
  }
}
