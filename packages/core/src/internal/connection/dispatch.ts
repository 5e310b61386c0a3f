/**
 * Passes the packets that arrive, except AUTH, to the owner of a connection in wire order. The handshake
 * (`handshake.ts`) judges AUTH and all packets before CONNACK; a second CONNACK and DISCONNECT end the connection. It
 * sends nothing and closes nothing itself: it tells the link.
 */
import * as Effect from "effect/Effect"
import type { Exchange } from "../../Authentication.ts"
import { type MqttError, type MqttErrorReason, Unexpected } from "../../MqttError.ts"
import type { Auth, Connack, Connect, Disconnect, Packet } from "../../Packet.ts"
import * as ReasonCode from "../../ReasonCode.ts"
import { type Attempt, fromDisconnect, fromViolation } from "../classification.ts"
import type { Violation } from "../codec/contract.ts"
import { Authenticating, refusedAgain, type Runner, type SendAuth } from "./authenticating.ts"
import type { ConnectionHandlers, ConnectionRequest } from "./contract.ts"
import * as Handshake from "./handshake.ts"
import type { IntakeHandlers } from "./intake.ts"

/** A link, for the packets that arrive on it. */
export interface DispatchHost {
  readonly phase: "opening" | "open" | "closing" | "closed"
  readonly counters: { packetsReceived: number }
  /** Describes the attempt, for errors. */
  readonly attempt: Attempt
  /** The server has accepted CONNECT. */
  readonly opened: () => void
  /** The owner has CONNACK, and the packets that came with it. */
  readonly handedOver: () => void
  /** Stops and resumes reading, while the data of the server are checked. */
  readonly setHeld: (isHeld: boolean) => void
  /** Sends DISCONNECT with this reason code, and ends the stream. */
  readonly abort: (reasonCode: number, reason: MqttErrorReason) => void
  /** Closes at once. */
  readonly destroy: (reason: MqttErrorReason) => void
}

// Methods instead of closures, which would be most of the memory of an idle connection.
export class Dispatch implements IntakeHandlers {
  readonly #connect: Connect
  readonly #session: string
  readonly #handlers: ConnectionHandlers
  readonly #host: DispatchHost
  readonly #authenticating: Authenticating | undefined
  /** CONNACK and what came with it, while the authentication checks the server's data. */
  #held: Array<Packet> | undefined
  /** The accepting CONNACK. */
  connack: Connack | undefined

  constructor(
    request: ConnectionRequest,
    handlers: ConnectionHandlers,
    host: DispatchHost,
    runner: Runner,
    sendAuth: SendAuth
  ) {
    this.#connect = request.connect
    this.#session = request.session
    this.#handlers = handlers
    this.#host = host
    this.#authenticating = request.exchange === undefined
      ? undefined
      : new Authenticating(request, host, runner, sendAuth)
  }

  onBytes(bytes: Uint8Array, pending: number): void {
    this.#handlers.onBytes?.(bytes, pending)
  }

  onPackets(packets: Array<Packet>): void {
    this.#host.counters.packetsReceived += packets.length
    if (this.#host.phase === "open") {
      // One check per packet: there is almost never a packet to remove, and then the array is passed on unchanged.
      let index = 0
      while (index < packets.length && !isSpecial(packets[index]!)) {
        index++
      }
      if (index === packets.length) {
        this.#deliver(packets)
        return
      }
    }
    this.#dispatchEach(packets)
  }

  onViolation({ detail, reasonCode }: Violation): void {
    this.#violate(reasonCode, detail)
  }

  onDefect(cause: unknown): void {
    this.#crash("inbound packets could not be handled", cause)
  }

  /** See `Connection.reauthenticate`. */
  reauthenticate(exchange: Exchange): Effect.Effect<void, MqttError> {
    return Effect.suspend(() =>
      this.#authenticating !== undefined && this.#host.phase === "open"
        ? this.#authenticating.reauthenticate(exchange)
        : Effect.fail(refusedAgain(this.#session))
    )
  }

  /** The connection has ended. */
  end(error: MqttError): void {
    this.#authenticating?.end(error)
  }

  #violate(reasonCode: number, detail: string): void {
    this.#host.abort(reasonCode, fromViolation(reasonCode, detail, this.#host.attempt))
  }

  /** This client cannot continue. */
  #crash(detail: string, cause: unknown): void {
    this.#host.abort(ReasonCode.implementationSpecificError, new Unexpected({ detail, cause }))
  }

  #dispatchEach(packets: ReadonlyArray<Packet>): void {
    const host = this.#host
    if (this.#held !== undefined) {
      this.#held.push(...packets)
      return
    }
    let batch: Array<Packet> = []
    for (let index = 0; index < packets.length; index++) {
      const packet = packets[index]!
      if (host.phase === "opening") {
        if (this.#accepts(packet)) {
          batch.push(packet)
        } else if (this.#authenticating?.isVerifying === true) {
          this.#held = packets.slice(index)
          return host.setHeld(true)
        }
      } else if (!isSpecial(packet)) {
        batch.push(packet)
      } else {
        if (packet._tag === "Disconnect") {
          batch.push(packet)
        }
        this.#deliver(batch)
        batch = []
        this.#onSpecial(packet)
      }
      if (isEnding(host)) {
        return
      }
    }
    this.#deliver(batch)
    if (host.phase === "open") {
      host.handedOver()
    }
  }

  #deliver(packets: ReadonlyArray<Packet>): void {
    if (packets.length === 0) {
      return
    }
    let violation: Violation | undefined
    try {
      violation = this.#handlers.onPackets(packets)
    } catch (cause) {
      this.#crash("the handler of inbound packets failed", cause)
      return
    }
    if (violation !== undefined) {
      this.#violate(violation.reasonCode, violation.detail)
    }
  }

  /** Handles packets before the accepting CONNACK. Answers whether this packet is that CONNACK. */
  #accepts(packet: Packet): boolean {
    const step = Handshake.beforeConnack(packet, this.#connect, this.#host.attempt)
    switch (step._tag) {
      case "Accepted":
        if (this.#authenticating?.verifies(step.connack, () => this.#release()) === false) {
          return false
        }
        this.connack = step.connack
        this.#host.opened()
        return true
      case "Continue":
      case "Renewed":
        this.#onAuth(packet as Auth)
        return false
      case "Refused":
        this.#host.destroy(step.reason)
        return false
      case "Breach":
        this.#violate(step.reasonCode, step.detail)
        return false
    }
  }

  /** The server's data are accepted. */
  #release(): void {
    const held = this.#held
    this.#held = undefined
    if (held !== undefined) {
      this.#host.setHeld(false)
      this.#dispatchEach(held)
    }
  }

  #onAuth(packet: Auth): void {
    if (this.#authenticating === undefined) {
      return this.#violate(ReasonCode.protocolError, "AUTH without an authentication method in CONNECT")
    }
    this.#authenticating.onAuth(packet, this.#host.phase === "open")
  }

  #onSpecial(packet: Connack | Auth | Disconnect): void {
    // The owner's answer to earlier packets may have ended the link.
    if (this.#host.phase !== "open") {
      return
    }
    switch (packet._tag) {
      case "Connack":
        return this.#violate(ReasonCode.protocolError, "a second CONNACK")
      case "Auth":
        return this.#onAuth(packet)
      case "Disconnect":
        return this.#host.destroy(fromDisconnect(packet.reasonCode, this.#host.attempt, packet.properties))
    }
  }
}

const isEnding = ({ phase }: DispatchHost): boolean => phase === "closing" || phase === "closed"

const isSpecial = (packet: Packet): packet is Connack | Auth | Disconnect => {
  switch (packet._tag) {
    case "Connack":
    case "Auth":
    case "Disconnect":
      return true
    default:
      return false
  }
}
