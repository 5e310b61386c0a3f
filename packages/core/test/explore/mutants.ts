/**
 * Faults that are planted in the engine: each of them has stood in a program of this kind, and the exploration has to
 * find it.
 */
import { type Edit, engineFile } from "./subject.ts"

/**
 * A fault, and the worlds in which it is looked for, one after the other.
 */
export interface Mutant {
  readonly name: string
  readonly edits: ReadonlyArray<Edit>
  readonly worlds: ReadonlyArray<string>
}

const inEngine = (file: string, from: string, to: string): Edit => ({ file: engineFile(file), from, to })

export const mutants: ReadonlyArray<Mutant> = [
  {
    name: "acknowledged when one of several consumers has answered and another leaves",
    edits: [
      inEngine(
        "handover",
        "if (!delivery.isRetainedCopy) left.push(delivery)",
        "if (!delivery.isRetainedCopy && !delivery.wasAnswered) left.push(delivery)"
      )
    ],
    worlds: ["share-two-qos2", "share-two-qos1"]
  },
  {
    name: "acknowledged as soon as one of several consumers has answered",
    edits: [
      inEngine(
        "inbound",
        "if (!delivery.isOwed) return this.#acknowledgements.completeOnce(delivery)\n    const",
        "if (delivery.wasAnswered) return this.#acknowledgements.completeOnce(delivery)\n    const"
      )
    ],
    worlds: ["share-two-qos1"]
  },
  {
    name: "a message that was routed and not delivered counts as acknowledged when its consumer leaves",
    edits: [
      inEngine(
        "handover",
        "    for (const delivery of this.unfinishedBy(consumer)) {\n      delivery.remove(consumer)\n      if (!delivery.isRetainedCopy) left",
        "    for (const delivery of this.unfinishedBy(consumer)) {\n      delivery.remove(consumer)\n      const isPulled = this.#core.output.deliveries.some((other) => other.delivery === delivery)\n      if (!delivery.isRetainedCopy && !isPulled) left"
      )
    ],
    worlds: ["share-two-qos1", "consume-leave"]
  },
  {
    name: "a QoS 1 message that is delivered again forgets which consumer left it unfinished",
    edits: [inEngine("redelivery", "if (delivery.message.dup) this.#held.redelivered(stale, delivery)\n    else ", "")],
    worlds: ["share-two-qos1"]
  },
  {
    name: "a packet identifier of the store is taken for the message, although the session is new",
    edits: [
      inEngine(
        "inbound",
        "if (packet.dup) {\n        exchange.isRestored = false",
        "if (packet.qos === 2) {\n        exchange.isRestored = false"
      ),
      inEngine(
        "inbound",
        "if (exchange.isRestored) this.#acknowledgements.forget(exchange)",
        "exchange.isRestored = false"
      )
    ],
    worlds: ["consume-session-lost", "named-session-lost"]
  },
  {
    name: "PUBREL leaves a stale entry",
    edits: [
      inEngine(
        "inbound",
        "      this.#acknowledgements.forget(exchange)\n      this.#acknowledgements.flushPubrecs()",
        "      this.#acknowledgements.flushPubrecs()"
      )
    ],
    worlds: ["consume-qos2-cuts"]
  },
  {
    name: "PUBREL leaves a stale entry in the store",
    edits: [
      inEngine(
        "inboundExchanges",
        "this.#core.delete(inboundKey(exchange.packetIdentifier))\n      this.#core.emit",
        "this.#core.emit"
      )
    ],
    worlds: ["consume-qos2"]
  },
  {
    name: "a QoS 2 message that comes again is delivered again",
    edits: [
      inEngine(
        "inbound",
        "if (exchange !== undefined && (exchange.isDone || exchange.delivery !== undefined)) {",
        "if (exchange !== undefined && exchange.isDone) {"
      )
    ],
    worlds: ["consume-qos2-cuts"]
  },
  {
    name: "a QoS 2 message that was finished is delivered again",
    edits: [
      inEngine(
        "inbound",
        "if (exchange !== undefined && (exchange.isDone || exchange.delivery !== undefined)) {",
        "if (exchange !== undefined && exchange.delivery !== undefined) {"
      )
    ],
    worlds: ["consume-qos2-cuts"]
  },
  {
    name: "the use of a packet identifier is the identifier",
    edits: [
      inEngine(
        "inboundExchanges",
        "new Exchange(packetIdentifier, this.#nextUse())",
        "new Exchange(packetIdentifier, String(packetIdentifier))"
      )
    ],
    worlds: ["consume-qos2-cuts"]
  },
  {
    name: "the use of a packet identifier is another one after a restart",
    edits: [
      inEngine("inboundExchanges", "use === \"\" ? this.#nextUse() : use", "use === \"\" ? use : this.#nextUse()")
    ],
    worlds: ["consume-qos2"]
  },
  {
    name: "PUBREC is not stored before it leaves",
    edits: [inEngine("inboundAcknowledgements", "if (exchange.reasonCode < 0x80) this.#exchanges.put(exchange)", "")],
    worlds: ["consume-qos2"]
  },
  {
    name: "a consumer with a name is forgotten at a restart",
    edits: [
      inEngine(
        "engine",
        "this.#subscriptions.restore(consumers)",
        "this.#subscriptions.restore([])"
      )
    ],
    worlds: ["named-qos1", "named-qos2"]
  },
  {
    name: "a consumer with a name is forgotten when it leaves",
    edits: [
      inEngine(
        "subscriptions",
        "    if (consumer.name === undefined) {\n      consumer.state = \"closed\"",
        "    this.#unname(consumer)\n    if (consumer.name === undefined) {\n      consumer.state = \"closed\""
      )
    ],
    worlds: ["named-qos2-cuts"]
  },
  {
    name: "which consumers have finished is forgotten at a restart",
    edits: [
      inEngine("inboundExchanges", "if (finished.length > 0) exchange.finished = [...finished]", "void finished")
    ],
    worlds: ["named-qos2"]
  },
  {
    name: "a session that the server has lost settles nothing of the server's messages",
    edits: [inEngine("serverSession", "    this.#inbound.sessionLost(now)\n", "")],
    worlds: ["consume-session-lost-twice"]
  },
  {
    name: "a session that the server has lost settles nothing of the client's messages",
    edits: [inEngine("serverSession", "    this.#outbound.sessionLost(now)\n", "")],
    worlds: ["publish-session-lost"]
  },
  {
    name: "a lost session leaves the subscriptions as they were",
    edits: [inEngine("serverSession", "    this.#subscriptions.sessionLost()\n", "")],
    worlds: ["consume-session-lost-twice"]
  },
  {
    name: "a CONNACK that was lost is not counted as a session that may be new",
    edits: [inEngine("serverSession", "if (this.#isUnanswered) this.#doubt()", "")],
    worlds: ["consume-session-lost-twice"]
  },
  {
    name: "subscriptions of the store are trusted after a crash",
    edits: [
      inEngine(
        "subscriptionTable",
        "  resume(): void {\n    for (const entry of this.#restored ?? []) {",
        "  resume(): void {\n    for (const entry of [] as Array<SubscriptionEntry>) {"
      )
    ],
    worlds: ["consume-session-lost", "named-session-lost"]
  },
  {
    name: "a sent message that the next connection refuses is refused, and its identifier released",
    edits: [
      inEngine(
        "retransmission",
        "this.#messages.quarantine(message, failed(new Indeterminate({ refusal: refusal.message })))",
        "this.#messages.complete(message, failed(refusal))"
      )
    ],
    worlds: ["publish-limits"]
  },
  {
    name: "the identifier of a sent message that the next connection refuses is released",
    edits: [
      inEngine(
        "retransmission",
        "this.#messages.quarantine(message, failed(new Indeterminate({ refusal: refusal.message })))",
        "this.#messages.complete(message, failed(new Indeterminate({ refusal: refusal.message })))"
      )
    ],
    worlds: ["publish-limits-restart"]
  },
  {
    name: "a message that a lost session may have is refused as never sent",
    edits: [
      inEngine("outbound", "message.wasSent ? new Indeterminate({ refusal: refusal.message }) : refusal", "refusal")
    ],
    worlds: ["publish-session-lost-limits"]
  },
  {
    name: "a quarantined identifier is free after a restart",
    edits: [
      inEngine(
        "outboundMessages",
        "      this.identifiers.reserve(packetIdentifier, message)\n      if (record.state === \"quarantined\") {",
        "      if (record.state !== \"quarantined\") this.identifiers.reserve(packetIdentifier, message)\n      if (record.state === \"quarantined\") {"
      )
    ],
    worlds: ["publish-limits-restart"]
  },
  {
    name: "the new limits of the server are not checked before a message is sent again",
    edits: [
      inEngine(
        "limits",
        "if (message.checked === connection) return undefined",
        "if (message.checked > 0) return undefined"
      )
    ],
    worlds: ["publish-limits"]
  },
  {
    name: "the receive maximum of an older connection counts",
    edits: [
      inEngine(
        "sendWindow",
        "this.#window = Math.min(options.maxInflight, server!.receiveMaximum)",
        "this.#window = options.maxInflight"
      )
    ],
    worlds: ["publish-limits"]
  },
  {
    name: "a poison message is never settled",
    edits: [inEngine("poison", "return ++suspect.strikes >= this.threshold", "return ++suspect.strikes < 0")],
    worlds: ["publish-poison"]
  },
  {
    name: "a poison message is settled without its identifier in quarantine",
    edits: [
      inEngine(
        "outbound",
        "this.messages.quarantine(message, failed(new PoisonMessage({ connections: message.strikes, last })))",
        "this.messages.finish(message, failed(new PoisonMessage({ connections: message.strikes, last })))"
      )
    ],
    worlds: ["publish-poison-qos2"]
  },
  {
    name: "a deadline follows the wall clock",
    edits: [
      inEngine(
        "outboundQueue",
        "const next: OutboundMessage | undefined = message.next\n      if (message.isExpired(now)) ",
        "const next: OutboundMessage | undefined = message.next\n      if (message.isExpired(now + this.#core.epochOffset)) "
      ),
      inEngine(
        "outboundQueue",
        "if (deadline === undefined || now < deadline) return",
        "if (deadline === undefined || now + this.#core.epochOffset < deadline) return"
      )
    ],
    worlds: ["publish-clock"]
  },
  {
    name: "a hold follows the wall clock",
    edits: [
      inEngine(
        "inbound",
        "this.#acknowledgements.giveUp(this.#held.expire(now))",
        "this.#acknowledgements.giveUp(this.#held.expire(now + this.#core.epochOffset))"
      )
    ],
    worlds: ["share-clock"]
  },
  {
    name: "a QoS 2 message is sent again after PUBREC",
    edits: [
      inEngine(
        "retransmission",
        "    this.#release = this.#messages.releasing.head\n    this.#publish = this.#messages.publishing.head",
        "    for (const list of [this.#messages.releasing]) for (let at = list.head; at !== undefined; at = list.head) { list.remove(at); at.state = \"publishing\"; this.#messages.publishing.append(at) }\n    this.#publish = this.#messages.publishing.head"
      )
    ],
    worlds: ["publish-qos2"]
  },
  {
    name: "PUBREC is not stored",
    edits: [
      inEngine(
        "outboundHandshake",
        "    this.#messages.releasing.append(owner)\n    this.#messages.put(owner)",
        "    this.#messages.releasing.append(owner)"
      )
    ],
    worlds: ["publish-qos2"]
  },
  {
    name: "messages are sent again in the wrong order",
    edits: [
      inEngine(
        "outboundMessage",
        "  append(message: OutboundMessage): void {\n    this.insertBefore(message, undefined)",
        "  append(message: OutboundMessage): void {\n    this.insertBefore(message, this.head)"
      )
    ],
    worlds: ["publish-qos1"]
  },
  {
    name: "a direct publish that was not sent is forgotten",
    edits: [
      inEngine(
        "directPublishes",
        "    const returned = this.#returned\n",
        "    const returned: Array<OutboundMessage> = []\n"
      )
    ],
    worlds: ["publish-qos0"]
  },
  {
    name: "a QoS 0 message that was not sent counts as written",
    edits: [
      inEngine(
        "outboundPackets",
        "if (message.request.qos === 0 && message.state === \"settled\") unwritten.push(message)",
        "void unwritten"
      )
    ],
    worlds: ["publish-qos0-stored"]
  },
  {
    name: "a message is accepted before it is stored",
    edits: [
      inEngine(
        "outbound",
        "      this.messages.queue.append(message)\n      this.messages.put(message)",
        "      this.messages.queue.append(message)"
      )
    ],
    worlds: ["publish-qos1"]
  },
  {
    name: "a successor takes a copy of a message that another consumer has, and not the one that waits",
    edits: [
      inEngine("heldMessages", "for (const isTaken of [false, true]) {", "for (const isTaken of [true, false]) {")
    ],
    worlds: ["share-one"]
  }
]
