/**
 * The sender's half of the QoS 1 and QoS 2 handshakes (MQTT 4.3): what PUBACK, PUBREC and PUBCOMP mean for the message
 * whose packet identifier they carry. It starts no handshake: `outbound.ts` does, and passes the packets on.
 */
import type { Puback, Pubcomp, Pubrec } from "../../Packet.ts"
import type { Violation } from "../codec/contract.ts"
import type { EngineCore } from "./core.ts"
import { OutboundMessage } from "./outboundMessage.ts"
import type { OutboundMessages } from "./outboundMessages.ts"
import type { OutboundPackets } from "./outboundPackets.ts"
import { outcomeOf, succeeded } from "./publishOutcome.ts"
import type { Retransmission } from "./retransmission.ts"
import type { SendWindow } from "./sendWindow.ts"
import * as violations from "./violations.ts"

export class OutboundHandshake {
  readonly #core: EngineCore
  readonly #messages: OutboundMessages
  readonly #packets: OutboundPackets
  readonly #window: SendWindow
  readonly #retransmission: Retransmission

  constructor(
    core: EngineCore,
    messages: OutboundMessages,
    packets: OutboundPackets,
    window: SendWindow,
    retransmission: Retransmission
  ) {
    this.#core = core
    this.#messages = messages
    this.#packets = packets
    this.#window = window
    this.#retransmission = retransmission
  }

  onPuback(packet: Puback): Violation | undefined {
    const owner = this.#messages.identifiers.get(packet.packetIdentifier)
    if (owner === undefined) return this.#unknown(packet)
    if (!(owner instanceof OutboundMessage) || owner.request.qos !== 1) return this.#wrong(packet)
    if (owner.state === "settled") return this.#messages.endQuarantine(owner)
    this.#retransmission.leavePublishing(owner)
    this.#window.vacate(owner)
    this.#messages.complete(owner, outcomeOf(packet))
    return undefined
  }

  onPubrec(packet: Pubrec): Violation | undefined {
    const owner = this.#messages.identifiers.get(packet.packetIdentifier)
    if (owner === undefined) {
      this.#packets.pubrel(packet.packetIdentifier, this.#core.isVersion5 ? 0x92 : 0)
      return this.#unknown(packet)
    }
    if (!(owner instanceof OutboundMessage) || owner.request.qos !== 2) return this.#wrong(packet)
    if (owner.state === "settled") {
      if (packet.reasonCode >= 0x80) return this.#messages.endQuarantine(owner)
      this.#packets.pubrel(packet.packetIdentifier, 0)
      return undefined
    }
    if (owner.state === "releasing") {
      this.#packets.pubrel(packet.packetIdentifier, 0)
      return undefined
    }
    this.#retransmission.leavePublishing(owner)
    if (packet.reasonCode >= 0x80) {
      this.#window.vacate(owner)
      this.#messages.complete(owner, outcomeOf(packet))
      return undefined
    }
    // A message from an earlier connection takes its place only now, because it was not sent on this one.
    if (owner.connection === this.#core.connection) this.#window.vacate(owner)
    this.#window.occupy(owner, this.#core.now)
    owner.state = "releasing"
    owner.reasonCode = packet.reasonCode
    owner.reasonString = packet.properties.reasonString
    owner.dropPayload()
    this.#messages.releasing.append(owner)
    this.#messages.put(owner)
    this.#packets.pubrel(packet.packetIdentifier, 0)
    return undefined
  }

  onPubcomp(packet: Pubcomp): Violation | undefined {
    const owner = this.#messages.identifiers.get(packet.packetIdentifier)
    if (owner === undefined) return this.#unknown(packet)
    if (!(owner instanceof OutboundMessage)) return this.#wrong(packet)
    if (owner.state === "settled") return this.#messages.endQuarantine(owner)
    if (owner.state !== "releasing") return this.#wrong(packet)
    this.#retransmission.leaveReleasing(owner)
    this.#window.vacate(owner)
    this.#messages.complete(owner, succeeded(owner.reasonCode, owner.reasonString))
    return undefined
  }

  #unknown(packet: Puback | Pubrec | Pubcomp): undefined {
    this.#core.emit({
      _tag: "UnknownPacketIdentifier",
      packet: packet._tag,
      packetIdentifier: packet.packetIdentifier
    })
    return undefined
  }

  #wrong(packet: Puback | Pubrec | Pubcomp): Violation {
    return violations.wrongAcknowledgement(packet._tag, packet.packetIdentifier)
  }
}
