/**
 * The engine and the scripted broker's protocol core on an order-preserving link, driven at random by a seed: packets
 * flow, the link is cut and made anew, limits change, the server loses the session, consumers come and go, the process
 * dies and starts again.
 */
import * as BrokerCore from "@effect-mqttx/testing/BrokerCore"
import { assert } from "@effect/vitest"
import type {
  Consumer,
  Delivery,
  EngineOptions,
  Outbound,
  Output,
  SessionEngine
} from "../../src/internal/engine/contract.ts"
import { makeEngine } from "../../src/internal/engine/engine.ts"
import type { Packet } from "../../src/Packet.ts"
import { none } from "../../src/Properties.ts"
import type { QoS } from "../../src/QoS.ts"
import { keyOf, type StoreRecord } from "../../src/StoreRecord.ts"
import { bytes, consumerRequest, request, textOf } from "./harness.ts"
import { makePlan, makeRandom, type Plan } from "./plan.ts"

const clientId = "client"

interface Publication {
  readonly text: string
  readonly topic: string
  readonly qos: QoS
  readonly outbound: Outbound
  /** The acceptance is committed. */
  accepted: boolean
  /** Nobody is there any more to be told: the process that published it is gone. */
  orphaned: boolean
  /** The server may have had it in a session that is lost. */
  straddled: boolean
  settlements: number
}

/** One place for a consumer, which may be taken by another one after it has left. */
interface Slot {
  readonly filters: ReadonlyArray<string>
  readonly name: string | undefined
  /** Undefined while a consumer with a name is away. */
  consumer: Consumer | undefined
  /** What was handed out and is not acknowledged. */
  pending: Array<Delivery>
  /** Topic to the texts in the order in which they were first handed out. */
  readonly seen: Map<string, number>
}

export class World {
  readonly plan: Plan
  readonly random: ReturnType<typeof makeRandom>
  readonly broker: BrokerCore.BrokerCore
  engine: SessionEngine
  now = 1_000_000
  connection: number | undefined = undefined
  #connections = 0
  #toBroker: Array<Packet> = []
  #toClient: Array<Packet> = []
  #hasSession = false
  #receiveMaximum = 65_535
  readonly publications = new Map<string, Publication>()
  /** Texts that the server accepted from the client, in order, and those of the server's messages by their outcome. */
  readonly arrived: Array<BrokerCore.PublishedMessage> = []
  readonly outcomes: Array<BrokerCore.DeliveryOutcome> = []
  readonly violations: Array<BrokerCore.ClientViolation> = []
  /** Slot and text to how often a consumer has finished with it, for good. */
  readonly done = new Map<string, number>()
  #uncommitted: Array<string> = []
  #slots: Array<Slot> = []
  #records = new Map<string, StoreRecord>()
  #counter = 0
  sessionLosses = 0
  /** Messages that were sent with a topic alias alone. */
  aliased = 0
  /** The server has begun a new session, and the store does not know of it. */
  #lossIsUnknown = false
  /**
   * Packet identifiers between PUBREC and PUBCOMP, in the order of the PUBRECs, and the PUBRELs that must come next.
   */
  #releasing: Array<number> = []
  #pubrels: Array<number> = []

  constructor(seed: number) {
    this.plan = makePlan(seed)
    const { options, overlapping, protocolVersion } = this.plan
    this.random = makeRandom(seed)
    this.broker = BrokerCore.makeBrokerCore({
      overlapping,
      assignTopicAliases: true,
      retainedBeforeSuback: this.random.chance(0.5),
      enforceKeepAlive: false,
      limits: protocolVersion === 4 ? { receiveMaximum311: options.maxInflight } : {},
      onPublished: (message) => {
        if (message.publisher === clientId) this.arrived.push(message)
      },
      onDelivery: (outcome) => this.outcomes.push(outcome),
      onViolation: (violation) => {
        // The server counts PUBRECs for each connection and compares with those of older ones; the order is checked
        // here in its stead.
        if (!/^PUBREL \d+ is out of order$/.test(violation.detail)) this.violations.push(violation)
      }
    })
    this.engine = makeEngine(options, this.plan)
    this.#addConsumers()
  }

  run(): void {
    // Copies for overlapping filters are told apart by what SUBACK has confirmed: a lost SUBACK would be a case of its
    // own.
    this.#connect(false)
    this.#settle()
    for (let i = 0; i < this.plan.steps; i++) {
      this.#step()
      this.#checkCount()
    }
    this.#finish()
  }

  #step(): void {
    const { random } = this
    this.now += random.int(0, 50)
    switch (random.int(0, 11)) {
      case 0:
      case 1:
        return this.#publish()
      case 2:
        return this.#serverPublish()
      case 3:
      case 4:
        return this.#turn()
      case 5:
        return this.#carryToBroker(random.int(1, 6))
      case 6:
      case 7:
        return this.#carryToClient(random.int(1, 6))
      case 8:
        return this.#acknowledge(random.int(1, 4))
      case 9:
        if (this.connection === undefined) return this.#connect(this.plan.losses && random.chance(0.1))
        if (random.chance(0.3)) this.#cut()
        return
      case 10:
        if (this.plan.churn && random.chance(0.2)) return this.#replaceConsumer()
        if (this.plan.crashes && random.chance(0.1)) return this.#crash()
        if (this.plan.losses && this.connection === undefined && random.chance(0.3)) this.broker.forgetSession(clientId)
        return
      case 11:
        this.engine.setWritable(random.chance(0.7), this.now)
        return this.engine.tick(this.now)
    }
  }

  #publish(): void {
    const qos = this.random.pick([0, 1, 1, 2, 2] as const)
    const topic = `${this.plan.prefix}/${this.random.int(0, 2)}`
    const text = `${this.#counter++}`
    const admission = this.engine.publish(request(topic, qos, { payload: bytes(text) }), this.now)
    if (admission._tag !== "Accepted") return assert.strictEqual(admission._tag, "Full")
    const publication: Publication = {
      text,
      topic,
      qos,
      outbound: admission.outbound,
      accepted: false,
      orphaned: false,
      straddled: false,
      settlements: 0
    }
    this.publications.set(text, publication)
    admission.outbound.owner = {
      onAccepted: () => {
        publication.accepted = true
      },
      onSettled: () => {
        publication.settlements++
      }
    }
  }

  #serverPublish(): void {
    // While filters are missing, not all consumers are meant to get what is published.
    if (this.broker.session(clientId)?.subscriptions.length !== this.#filters) return
    const text = `${this.#counter++}`
    const topic = `s/${this.random.int(0, 2)}`
    this.broker.publish({ topic, payload: bytes(text), qos: this.random.pick([1, 2] as const) }, this.now)
    this.#collect()
  }

  get #filters(): number {
    return new Set(this.plan.slots.flat()).size
  }

  /**
   * One turn of a session: commit, write, hand out; the link may break, and the process may die, between any two of
   * them.
   */
  #turn(): void {
    const output = this.engine.take()
    if (output === undefined) return
    this.#commit(output)
    if (this.plan.crashes && this.random.chance(0.01)) return this.#crash()
    if (this.connection !== undefined && this.random.chance(0.05)) {
      this.#cut()
    } else {
      this.#send(output)
    }
    this.#handOut(output)
  }

  #handOut(output: Output): void {
    for (const outbound of output.accepted) outbound.owner?.onAccepted?.(outbound)
    for (const outbound of output.settled) {
      assert.isDefined(outbound.outcome)
      outbound.owner?.onSettled?.(outbound)
    }
    for (const { consumer, delivery } of output.deliveries) {
      const slot = this.#slots.find((slot) => slot.consumer === consumer)
      if (slot === undefined) continue
      slot.pending.push(delivery)
      this.#checkOrder(slot, delivery)
    }
    // It may have left since.
    for (const { state } of output.consumers) assert.notStrictEqual(state, "failed")
  }

  #commit(output: Output): void {
    this.#lossIsUnknown = false
    if (!this.plan.durable) assert.strictEqual(output.changes.length, 0)
    for (const change of output.changes) {
      if (change._tag === "Put") this.#records.set(keyOf(change.record), change.record)
      else this.#records.delete(change.key)
    }
    this.#commitDone()
  }

  #commitDone(): void {
    for (const key of this.#uncommitted) this.done.set(key, (this.done.get(key) ?? 0) + 1)
    this.#uncommitted = []
  }

  #send({ packets }: Output): void {
    if (this.connection !== undefined) {
      for (const packet of packets) {
        if (packet._tag === "Pubrel") {
          assert.strictEqual(packet.packetIdentifier, this.#pubrels.shift(), "order of PUBRELs")
        }
        if (packet._tag === "Publish" && packet.topic === "") this.aliased++
        this.#toBroker.push(packet)
      }
    }
    this.engine.written()
  }

  /** Within a topic, and what is not repeated, later messages come later. QoS levels do not wait for each other. */
  #checkOrder(slot: Slot, { message }: Delivery): void {
    const key = `${message.topic} ${message.qos}`
    const number = Number(message.text)
    const last = slot.seen.get(key) ?? -1
    if (number > last) slot.seen.set(key, number)
    else assert.isTrue(message.dup || this.sessionLosses > 0 || this.plan.churn || this.plan.crashes, `order of ${key}`)
  }

  #acknowledge(count: number): void {
    for (let i = 0; i < count; i++) {
      const index = this.random.int(0, this.#slots.length - 1)
      const slot = this.#slots[index]!
      if (slot.pending.length === 0) continue
      const [delivery] = slot.pending.splice(this.random.int(0, slot.pending.length - 1), 1)
      this.engine.acknowledge(slot.consumer!, delivery!, this.now)
      // On 3.1.1 a copy for each subscription would count for itself; there is only one here.
      if (delivery!.message.qos > 0) this.#uncommitted.push(`${index} ${delivery!.message.text}`)
    }
  }

  #addConsumers(): void {
    this.#slots = this.plan.slots.map((filters, index) => {
      const name = this.plan.named ? `${index}` : undefined
      return { filters, name, consumer: this.#addConsumer(filters, name), pending: [], seen: new Map() }
    })
  }

  #addConsumer(filters: ReadonlyArray<string>, name: string | undefined): Consumer {
    const consumer = this.engine.addConsumer(consumerRequest(filters, { name }), this.now)
    if ("_tag" in consumer) return assert.fail(consumer.reason.message)
    return consumer
  }

  #replaceConsumer(): void {
    const slot = this.random.pick(this.#slots)
    if (slot.consumer !== undefined) {
      this.engine.removeConsumer(slot.consumer, this.now)
      slot.pending = []
      slot.consumer = undefined
      // One with a name may stay away for a while.
      if (this.plan.named && this.random.chance(0.5)) return
    }
    slot.consumer = this.#addConsumer(slot.filters, slot.name)
  }

  #connect(cleanStart: boolean): void {
    const { options, protocolVersion } = this.plan
    this.#receiveMaximum = this.random.int(1, 8)
    const connection = ++this.#connections
    const { aliasMaximums } = this.plan
    const topicAliasMaximum = aliasMaximums[connection % aliasMaximums.length]!
    if (protocolVersion === 5) this.broker.setLimits({ receiveMaximum: this.#receiveMaximum, topicAliasMaximum })
    this.connection = connection
    this.engine.connecting(cleanStart)
    this.broker.connectionOpened(connection, this.now)
    const before = this.#publishingTexts()
    this.broker.receive(connection, [{
      _tag: "Connect",
      protocolVersion,
      clientId,
      // The first CONNECT of a session begins it.
      cleanStart: cleanStart || !this.#hasSession,
      keepAlive: 0,
      username: undefined,
      password: undefined,
      will: undefined,
      properties: protocolVersion === 4 ? none : {
        sessionExpiryInterval: 1_000_000,
        receiveMaximum: options.receiveMaximum,
        topicAliasMaximum: options.topicAliasMaximum
      }
    }], this.now)
    this.#collect()
    const [connack] = this.#toClient
    assert(connack?._tag === "Connack" && connack.reasonCode === 0)
    if (this.#hasSession && !connack.sessionPresent) {
      this.sessionLosses++
      this.#lossIsUnknown = true
      for (const text of before) {
        const publication = this.publications.get(text)
        if (publication !== undefined) publication.straddled = true
      }
    }
    this.#hasSession = true
    if (!connack.sessionPresent) this.#releasing = []
    this.#pubrels = [...this.#releasing]
    // CONNACK at once: connecting without it is no different from not connecting.
    this.#carryToClient(this.random.int(1, 4))
  }

  /** What the server may have had without the client knowing. */
  #publishingTexts(): ReadonlyArray<string> {
    const texts: Array<string> = []
    for (const { outbound, text } of this.publications.values()) {
      if (outbound.state === "publishing") texts.push(text)
    }
    for (const record of this.#records.values()) {
      if (record._tag === "Outbound" && record.state === "publishing") texts.push(textOf(record.payload))
    }
    return texts
  }

  #cut(): void {
    const { connection } = this
    if (connection === undefined) return
    // Some of what is on the way arrives.
    this.#carryToBroker(this.random.int(0, this.#toBroker.length))
    this.#carryToClient(this.random.int(0, this.#toClient.length))
    this.broker.connectionClosed(connection, this.now)
    this.engine.disconnected(this.now)
    this.connection = undefined
    this.#toBroker = []
    this.#toClient = []
    this.#collect()
  }

  /** The process dies: what was not committed has never been. */
  #crash(): void {
    // Nothing could tell the next process that the records belong to a session that the server has lost.
    if (this.#lossIsUnknown) return
    this.#cut()
    this.#uncommitted = []
    for (const [text, publication] of this.publications) {
      const stored = Array.from(this.#records.values()).some((record) =>
        record._tag === "Outbound" && (record.state === "releasing" || textOf(record.payload) === text)
      )
      if (!publication.accepted && !stored) publication.accepted = false
      publication.orphaned = true
    }
    this.engine = makeEngine(this.plan.options, { firstPacketIdentifier: this.random.int(1, 65_535) })
    const records: Array<StoreRecord> = Array.from(this.#records.values())
    if (this.#hasSession) {
      records.push({
        _tag: "Identity",
        format: 1,
        protocolVersion: this.plan.protocolVersion,
        clientId,
        incarnation: "1",
        sessionExpiryInterval: undefined
      })
    }
    this.engine.restore(records, this.now)
    this.#releasing = records.filter((record) => record._tag === "Outbound").sort((a, b) => a.sequence - b.sequence)
      .filter(({ state }) => state === "releasing").map(({ packetIdentifier }) => packetIdentifier)
    this.#addConsumers()
  }

  #carryToBroker(count: number): void {
    if (this.connection === undefined) return
    const packets = this.#toBroker.splice(0, count)
    if (packets.length > 0) this.broker.receive(this.connection, packets, this.now)
    this.#collect()
  }

  #carryToClient(count: number): void {
    const packets = this.#toClient.splice(0, count)
    if (packets.length === 0) return
    const violation = this.engine.receive(packets, this.now)
    assert.isUndefined(violation)
    for (const packet of packets) {
      if (packet._tag === "Pubrec" && packet.reasonCode < 0x80) {
        this.#pubrels.push(packet.packetIdentifier)
        if (!this.#releasing.includes(packet.packetIdentifier)) this.#releasing.push(packet.packetIdentifier)
      } else if (packet._tag === "Pubcomp") {
        this.#releasing = this.#releasing.filter((identifier) => identifier !== packet.packetIdentifier)
      }
    }
    if (packets[0]!._tag === "Connack") {
      for (const slot of this.#slots) slot.pending = slot.pending.filter(({ stale }) => !stale)
    }
  }

  #collect(): void {
    for (const { close, connection, packets } of this.broker.take()) {
      assert.isFalse(close, `closed by the server: ${JSON.stringify(this.violations)}`)
      if (connection === this.connection) this.#toClient.push(...packets)
    }
    assert.deepStrictEqual(this.violations, [])
  }

  #finish(): void {
    for (const slot of this.#slots) slot.consumer ??= this.#addConsumer(slot.filters, slot.name)
    if (this.connection === undefined) this.#connect(false)
    this.#settle()
  }

  /** No more faults: everything comes to its end. */
  #settle(): void {
    for (let round = 0; round < 2000; round++) {
      this.now += 10
      this.engine.setWritable(true, this.now)
      const output = this.engine.take()
      if (output === undefined && this.#isQuiet()) return this.#commitDone()
      if (output !== undefined) this.#release(output)
      this.#carryToBroker(Infinity)
      this.#carryToClient(Infinity)
      this.#acknowledge(5)
    }
    assert.fail(`does not come to an end: ${JSON.stringify(this.engine.stats)}`)
  }

  #release(output: Output): void {
    this.#commit(output)
    this.#send(output)
    this.#handOut(output)
  }

  #isQuiet(): boolean {
    return this.#toBroker.length === 0 && this.#toClient.length === 0 &&
      this.#slots.every(({ pending }) => pending.length === 0) && this.broker.outstanding() === 0
  }

  /** The number of pending subscriptions, which the engine keeps, is that of the filters that are not settled. */
  #checkCount(): void {
    const filters = new Set(this.plan.slots.flat())
    const pending = Array.from(filters).filter((filter) => !this.engine.isSettled(filter)).length
    assert.strictEqual(this.engine.stats.pendingSubscriptions, pending)
  }

  check(): void {
    const { durable, options } = this.plan
    const { stats } = this.engine
    assert.deepInclude(stats, {
      queuedMessages: 0,
      queuedBytes: 0,
      inflight: 0,
      unacknowledged: 0,
      unclaimed: 0,
      pendingSubscriptions: 0,
      subscriptions: this.#filters
    })
    const session = this.broker.session(clientId)!
    assert.deepStrictEqual([session.queued, session.inflight, session.unreleased], [0, 0, []])
    assert.strictEqual(session.subscriptions.length, this.#filters)
    const left = Array.from(this.#records.values()).filter(({ _tag }) => _tag !== "Subscription" && _tag !== "Consumer")
    assert.deepStrictEqual(left, [])
    if (!durable) assert.strictEqual(this.#records.size, 0)

    this.#checkPublications(options)
    this.#checkDeliveries()
  }

  #checkPublications({ unacknowledgedOnSessionLost }: EngineOptions): void {
    const counts = new Map<string, number>()
    const last = new Map<string, number>()
    for (const { payload, qos, topic } of this.arrived) {
      const text = textOf(payload)
      assert.strictEqual(topic, this.publications.get(text)!.topic, `topic of ${text}`)
      const count = (counts.get(text) ?? 0) + 1
      counts.set(text, count)
      if (count > 1) continue
      const key = `${topic} ${qos}`
      assert.isAbove(Number(text), last.get(key) ?? -1, `order of ${key}`)
      last.set(key, Number(text))
    }
    for (const { accepted, orphaned, outbound, qos, settlements, straddled, text } of this.publications.values()) {
      const count = counts.get(text) ?? 0
      if (!orphaned) assert.strictEqual(settlements, 1, `settlements of ${text}`)
      const failed = !orphaned && outbound.outcome?._tag === "Failed"
      if (failed) {
        assert.isTrue(straddled && unacknowledgedOnSessionLost === "fail", `failure of ${text}`)
      }
      if (qos === 0) {
        assert.isAtMost(count, 1, `QoS 0 ${text}`)
        continue
      }
      const mayBeGone = failed || (orphaned && (!accepted || (straddled && unacknowledgedOnSessionLost === "fail")))
      if (!mayBeGone) assert.isAtLeast(count, 1, `loss of ${text}`)
      if (qos === 2 && !straddled) assert.isAtMost(count, 1, `duplicate of ${text}`)
    }
  }

  #checkDeliveries(): void {
    for (const { clientId: client, message, outcome, qos, reasonCode } of this.outcomes) {
      if (client !== clientId) continue
      // A PUBREL that comes again after its PUBCOMP was lost finds nothing any more (MQTT 4.4).
      const isFinished = outcome === "Acknowledged" || reasonCode === 0x92
      const text = textOf(message.payload)
      for (let slot = 0; slot < this.plan.slots.length; slot++) {
        const matches = this.plan.slots[slot]!.some((filter) => filter !== "s/0" || message.topic === "s/0")
        if (!matches) continue
        const count = this.done.get(`${slot} ${text}`) ?? 0
        if (isFinished) assert.isAtLeast(count, 1, `loss of ${text} to ${slot}`)
        else assert.strictEqual(outcome, "SessionEnded")
        if (qos === 2) assert.isAtMost(count, 1, `duplicate of ${text} to ${slot}`)
      }
    }
  }
}
