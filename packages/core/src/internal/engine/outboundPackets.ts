/**
 * Writes PUBLISH and PUBREL packets into the collecting output, and knows which messages the network has not got yet:
 * those of the collecting output, and those of the output that was taken and is not written. It decides nothing about
 * messages. The parts of the sender call it.
 */
import type { Publish } from "../../Packet.ts"
import { none, type PublishProperties } from "../../Properties.ts"
import type { Output, PublishRequest } from "./contract.ts"
import type { EngineCore } from "./core.ts"
import {
  messageProperties,
  type OutboundMessage,
  removePublishes,
  weigh,
  withRemainingExpiry
} from "./outboundMessage.ts"
import { OutboundAliases } from "./topicAliases.ts"

/** Limit of PUBLISH packets in one output, in bytes. The rest stays in the queue, whose bounds apply to it. */
const outputBytes = 1_048_576

/**
 * The most that a packet has besides three times its weight, which is the text in UTF-8. A packet near the server's
 * Maximum Packet Size was measured without an automatic alias, hence gets none.
 */
const packetOverhead = 64

export class OutboundPackets {
  readonly #core: EngineCore
  readonly #aliases = new OutboundAliases()
  /** Messages whose PUBLISH is in the collecting output, and their bytes. */
  #sent: Array<OutboundMessage> = []
  #sentBytes = 0
  /** The same for the output that was taken and is not written yet. */
  #taken: Array<OutboundMessage> = []

  constructor(core: EngineCore) {
    this.#core = core
  }

  /** The collecting output takes no further PUBLISH. */
  get isFull(): boolean {
    return this.#sentBytes >= outputBytes
  }

  connected(): void {
    const { limits, options } = this.#core
    this.#aliases.connected(options.topicAliases === "auto" ? limits!.topicAliasMaximum : 0)
  }

  publish(message: OutboundMessage, dup: boolean, now: number): void {
    const { bytes, packetIdentifier, request } = message
    let properties: PublishProperties = none
    if (this.#core.isVersion5) {
      properties = message.properties
      if (properties.messageExpiryInterval !== undefined) {
        properties = withRemainingExpiry(properties, properties.messageExpiryInterval, now - message.acceptedAt)
      }
    }
    this.#core.output.packets.push(this.#packetOf(request, packetIdentifier, dup, properties, bytes))
    // A retransmission was on the network before: it counts as sent even if this output is not written.
    if (!dup) this.#sent.push(message)
    this.#sentBytes += message.bytes + 16
  }

  /** The packet of a QoS 0 message that does not go through an output. */
  direct(request: PublishRequest): Publish {
    const properties = this.#core.isVersion5 ? messageProperties(request.properties) : none
    return this.#packetOf(request, 0, false, properties, weigh(request))
  }

  #packetOf(
    { payload, qos, retain, topic, topicAlias }: PublishRequest,
    packetIdentifier: number,
    dup: boolean,
    properties: PublishProperties,
    bytes: number
  ): Publish {
    const { isVersion5, limits } = this.#core
    let name = topic
    // A retransmission has its topic: it does not depend on what this connection got before.
    if (isVersion5 && !dup && limits!.topicAliasMaximum !== 0) {
      const { maximumPacketSize, topicAliasMaximum } = limits!
      if (topicAlias !== 0 && topicAlias <= topicAliasMaximum) {
        name = this.#aliases.define(topicAlias, topic)
        properties = { ...properties, topicAlias }
      } else if (bytes * 3 + packetOverhead <= maximumPacketSize) {
        const alias = this.#aliases.automatic(topic)
        if (alias !== undefined) {
          name = alias.define()
          properties = alias.addTo(properties)
        }
      }
    }
    return { _tag: "Publish", topic: name, payload, qos, retain, dup, packetIdentifier, properties }
  }

  pubrel(packetIdentifier: number, reasonCode: number): void {
    this.#core.send({ _tag: "Pubrel", packetIdentifier, reasonCode, properties: none })
  }

  /** The collecting output was taken. */
  takenOutput(): void {
    if (this.#sent.length === 0) return
    this.#taken = this.#taken.length === 0 ? this.#sent : this.#taken.concat(this.#sent)
    this.#sent = []
    this.#sentBytes = 0
  }

  written(): void {
    if (this.#taken.length > 0) this.#taken = []
  }

  /**
   * The network got the first `count` messages of the output that was taken. Returns the message behind them, which
   * `hasFailed` says could not be encoded.
   */
  partlyWritten(count: number, hasFailed: boolean): OutboundMessage | undefined {
    const refused = hasFailed ? this.#taken[count] : undefined
    this.#taken.splice(0, refused === undefined ? count : count + 1)
    for (const message of this.#taken) {
      if (message.request.qos === 0) message.outcome = undefined
    }
    return refused
  }

  /** Removes the PUBLISH packets of these messages from the collecting output or from the one that was taken. */
  remove(output: Output, messages: ReadonlySet<OutboundMessage>): void {
    const isCollecting = output === this.#core.output
    removePublishes(output.packets, isCollecting ? this.#sent : this.#taken, messages)
    if (isCollecting) this.#sentBytes = this.#sent.reduce((bytes, message) => bytes + message.bytes + 16, 0)
    // An alias may have been defined by a packet that is not sent.
    this.#aliases.clear()
  }

  /**
   * The connection has ended. Returns what the network never got: all messages of the collecting output, and QoS 0 of
   * the output that was not written.
   */
  disconnected(): ReadonlyArray<OutboundMessage> {
    const unwritten: Array<OutboundMessage> = []
    for (const message of this.#taken) {
      if (message.request.qos === 0 && message.state === "settled") unwritten.push(message)
    }
    for (const message of this.#sent) {
      if (message.request.qos === 0 || message.state === "publishing") unwritten.push(message)
    }
    this.#taken = []
    this.#sent = []
    this.#sentBytes = 0
    return unwritten
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { aliases: this.#aliases, sent: this.#sent, sentBytes: this.#sentBytes, taken: this.#taken }
  }

  set privateState(state) {
    this.#sent = state.sent
    this.#sentBytes = state.sentBytes
    this.#taken = state.taken
  }
}
