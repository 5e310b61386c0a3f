import type { Connack, Connect, Packet, SubscribeFilter } from "@effect-mqttx/core/Packet"
import * as Properties from "@effect-mqttx/core/Properties"
import type { ProtocolVersion } from "@effect-mqttx/core/QoS"
import * as BrokerCore from "@effect-mqttx/testing/BrokerCore"
import { connectPacket, subscribeFilter } from "./rawClient.ts"

/** A broker core with hand-driven connections and time. */
export class Harness {
  readonly core: BrokerCore.BrokerCore
  readonly violations: Array<BrokerCore.ClientViolation> = []
  readonly published: Array<BrokerCore.PublishedMessage> = []
  readonly outcomes: Array<BrokerCore.DeliveryOutcome> = []
  now = 1_000_000
  readonly #inboxes = new Map<number, Array<Packet>>()
  readonly #closed = new Set<number>()

  constructor(options?: BrokerCore.BrokerCoreOptions) {
    this.core = BrokerCore.makeBrokerCore({
      ...options,
      onViolation: (violation) => this.violations.push(violation),
      onPublished: (message) => this.published.push(message),
      onDelivery: (outcome) => this.outcomes.push(outcome)
    }, this.now)
  }

  open(id: number): void {
    this.#inboxes.set(id, [])
    this.core.connectionOpened(id, this.now)
  }

  connect(id: number, version: ProtocolVersion, clientId: string, fields?: Partial<Connect>): Connack {
    this.open(id)
    const [connack] = this.send(id, connectPacket(version, clientId, fields))
    if (connack?._tag !== "Connack") throw new Error(`${connack?._tag} in place of CONNACK`)
    return connack
  }

  /** Packets that the broker has sent to this connection since the last look. */
  take(id: number): Array<Packet> {
    this.#collect()
    return this.#inboxes.get(id)!.splice(0)
  }

  send(id: number, ...packets: ReadonlyArray<Packet>): Array<Packet> {
    this.core.receive(id, packets, this.now)
    this.#collect()
    const inbox = this.#inboxes.get(id)!
    // The accepting CONNACK is handed out alone: what follows it is looked at by `take`.
    return packets[0]?._tag === "Connect" ? inbox.splice(0, 1) : inbox.splice(0)
  }

  subscribe(
    id: number,
    filter: string,
    fields?: Partial<SubscribeFilter>,
    subscriptionIdentifier?: number
  ): ReadonlyArray<number> {
    const answers = this.send(id, {
      _tag: "Subscribe",
      packetIdentifier: 1,
      filters: [subscribeFilter(filter, fields)],
      properties: subscriptionIdentifier === undefined ? Properties.none : { subscriptionIdentifier }
    })
    const suback = answers.find((packet) => packet._tag === "Suback")
    if (suback === undefined) throw new Error("no SUBACK")
    this.#inboxes.get(id)!.push(...answers.filter((packet) => packet !== suback))
    return suback.reasonCodes
  }

  lose(id: number): void {
    this.core.connectionClosed(id, this.now)
    this.#collect()
  }

  isClosed(id: number): boolean {
    this.#collect()
    return this.#closed.has(id)
  }

  wait(milliseconds: number): void {
    this.now += milliseconds
    this.core.tick(this.now)
    this.#collect()
  }

  #collect(): void {
    for (const { close, connection, packets } of this.core.take()) {
      this.#inboxes.get(connection)!.push(...packets)
      if (close) this.#closed.add(connection)
    }
  }
}

export const tags = (packets: ReadonlyArray<Packet>): ReadonlyArray<string> => packets.map((packet) => packet._tag)
