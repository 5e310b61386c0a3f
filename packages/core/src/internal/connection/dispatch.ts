/**
 * Passes the packets that arrive, except AUTH, to the owner of a connection in wire order. The handshake
 * (`handshake.ts`) judges AUTH and all packets before CONNACK; a second CONNACK and DISCONNECT end the connection. It
 * sends nothing and closes nothing itself: it tells the link.
 */
import type { MqttErrorReason } from "../../MqttError.ts"
import type { Auth, Connack, Connect, Disconnect, Packet } from "../../Packet.ts"
import * as ReasonCode from "../../ReasonCode.ts"
import { type Attempt, fromDisconnect } from "../classification.ts"
import type { Violation } from "../codec/contract.ts"
import type { ConnectionHandlers } from "./contract.ts"
import * as Handshake from "./handshake.ts"
import type { IntakeHandlers } from "./intake.ts"

/** A link, for the packets that arrive on it. */
export interface DispatchHost {
  readonly phase: "opening" | "open" | "closing" | "closed"
  readonly counters: { packetsReceived: number }
  /** The server has accepted CONNECT. */
  readonly opened: () => void
  /** The owner has CONNACK, and the packets that came with it. */
  readonly handedOver: () => void
  /** The peer violated the protocol (MQTT 4.13). */
  readonly violate: (reasonCode: number, detail: string) => void
  /** This client cannot continue. */
  readonly crash: (detail: string, cause: unknown) => void
  /** Closes at once. */
  readonly destroy: (reason: MqttErrorReason) => void
}

// Methods instead of closures, which would be most of the memory of an idle connection.
export class Dispatch implements IntakeHandlers {
  readonly #connect: Connect
  readonly #attempt: Attempt
  readonly #handlers: ConnectionHandlers
  readonly #host: DispatchHost
  /** The accepting CONNACK. */
  connack: Connack | undefined

  constructor(connect: Connect, attempt: Attempt, handlers: ConnectionHandlers, host: DispatchHost) {
    this.#connect = connect
    this.#attempt = attempt
    this.#handlers = handlers
    this.#host = host
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
    this.#host.violate(reasonCode, detail)
  }

  onDefect(cause: unknown): void {
    this.#host.crash("inbound packets could not be handled", cause)
  }

  #dispatchEach(packets: ReadonlyArray<Packet>): void {
    const host = this.#host
    let batch: Array<Packet> = []
    for (const packet of packets) {
      if (host.phase === "opening") {
        if (this.#accepts(packet)) {
          batch.push(packet)
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
      this.#host.crash("the handler of inbound packets failed", cause)
      return
    }
    if (violation !== undefined) {
      this.#host.violate(violation.reasonCode, violation.detail)
    }
  }

  /** Handles packets before the accepting CONNACK. Answers whether this packet is that CONNACK. */
  #accepts(packet: Packet): boolean {
    const step = Handshake.beforeConnack(packet, this.#connect, this.#attempt)
    switch (step._tag) {
      case "Accepted":
        this.connack = step.connack
        this.#host.opened()
        return true
      case "Refused":
        this.#host.destroy(step.reason)
        return false
      case "Breach":
        this.#host.violate(step.reasonCode, step.detail)
        return false
    }
  }

  #onSpecial(packet: Connack | Auth | Disconnect): void {
    // The owner's answer to earlier packets may have ended the link.
    if (this.#host.phase !== "open") {
      return
    }
    switch (packet._tag) {
      case "Connack":
        return this.#host.violate(ReasonCode.protocolError, "a second CONNACK")
      case "Auth": {
        const { detail, reasonCode } = Handshake.answerAuth(packet, this.#connect)
        return this.#host.violate(reasonCode, detail)
      }
      case "Disconnect":
        return this.#host.destroy(fromDisconnect(packet.reasonCode, this.#attempt, packet.properties))
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
