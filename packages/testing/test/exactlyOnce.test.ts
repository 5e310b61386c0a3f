import type { Packet } from "@effect-mqttx/core/Packet"
import type { ProtocolVersion, QoS } from "@effect-mqttx/core/QoS"
import * as ScriptedBroker from "@effect-mqttx/testing/ScriptedBroker"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Raw from "./support/rawClient.ts"

interface Outgoing {
  readonly topic: string
  readonly payload: string
  readonly qos: QoS
}

/** A client by the book, as plain state: what it still has to send, and what it has received. */
class BookClient {
  readonly queue: Array<Outgoing>
  readonly window: number
  readonly publishing = new Map<number, Outgoing>()
  readonly releasing = new Set<number>()
  readonly unreleased = new Set<number>()
  readonly received: Array<{ readonly topic: string; readonly payload: string; readonly qos: QoS }> = []
  #nextIdentifier = 1

  constructor(messages: ReadonlyArray<Outgoing>, window: number) {
    this.queue = [...messages]
    this.window = window
  }

  get isIdle(): boolean {
    return this.queue.length + this.publishing.size + this.releasing.size + this.unreleased.size === 0
  }

  resume(): Array<Packet> {
    const packets: Array<Packet> = []
    for (const identifier of this.releasing) packets.push(Raw.acknowledge("Pubrel", identifier))
    for (const [packetIdentifier, { payload, qos, topic }] of this.publishing) {
      packets.push(Raw.publishPacket(topic, payload, { qos, packetIdentifier, dup: true }))
    }
    return packets
  }

  send(): Array<Packet> {
    const packets: Array<Packet> = []
    while (this.queue.length > 0 && this.publishing.size + this.releasing.size < this.window) {
      const message = this.queue.shift()!
      const { payload, qos, topic } = message
      if (qos === 0) {
        packets.push(Raw.publishPacket(topic, payload))
        continue
      }
      const packetIdentifier = this.#nextIdentifier++
      this.publishing.set(packetIdentifier, message)
      packets.push(Raw.publishPacket(topic, payload, { qos, packetIdentifier }))
    }
    return packets
  }

  receive(packet: Packet): ReadonlyArray<Packet> {
    switch (packet._tag) {
      case "Publish": {
        const { packetIdentifier, qos, topic } = packet
        if (qos < 2 || !this.unreleased.has(packetIdentifier)) {
          this.received.push({ topic, payload: Raw.text(packet), qos })
        }
        if (qos === 0) return []
        if (qos === 2) this.unreleased.add(packetIdentifier)
        return [Raw.acknowledge(qos === 1 ? "Puback" : "Pubrec", packetIdentifier)]
      }
      case "Puback":
        this.publishing.delete(packet.packetIdentifier)
        return []
      case "Pubrec":
        this.publishing.delete(packet.packetIdentifier)
        this.releasing.add(packet.packetIdentifier)
        return [Raw.acknowledge("Pubrel", packet.packetIdentifier)]
      case "Pubrel":
        this.unreleased.delete(packet.packetIdentifier)
        return [Raw.acknowledge("Pubcomp", packet.packetIdentifier)]
      case "Pubcomp":
        this.releasing.delete(packet.packetIdentifier)
        return []
      default:
        return []
    }
  }
}

const each = 40
const messages = (prefix: string): ReadonlyArray<Outgoing> =>
  Array.from({ length: each }, (_, i) => ({
    topic: `${prefix}/${i % 3}`,
    payload: `${i}`,
    // Each topic has one QoS, so that its order can be judged.
    qos: (i % 3) as QoS
  }))

/** The payloads of one topic without repetitions. */
const firsts = (all: ReadonlyArray<{ readonly topic: string; readonly payload: string }>, topic: string) => [
  ...new Set(all.filter((message) => message.topic === topic).map(({ payload }) => payload))
]

const check = (
  all: ReadonlyArray<{ readonly topic: string; readonly payload: string }>,
  prefix: string,
  label: string
): void => {
  for (const qos of [1, 2]) {
    const topic = `${prefix}/${qos}`
    const expected = messages(prefix).filter((message) => message.topic === topic).map(({ payload }) => payload)
    assert.deepStrictEqual(firsts(all, topic), expected, `${label}: nothing lost, in order, on ${topic}`)
  }
  const twice = all.filter(({ topic }) => topic === `${prefix}/2`)
  assert.strictEqual(twice.length, firsts(all, `${prefix}/2`).length, `${label}: QoS 2 exactly once`)
}

const play = (version: ProtocolVersion, seed: number) =>
  Effect.scoped(Effect.gen(function*() {
    const broker = yield* ScriptedBroker.makeMemory({ limits: { receiveMaximum: 5 }, seed })
    const dial = Raw.dialMemory(broker.transport)
    const book = new BookClient(messages("up"), 5)
    const properties = version === 5 ? { sessionExpiryInterval: 1000, receiveMaximum: 4 } : {}
    const cutter = yield* broker.cutEvery({ packets: [2, 14], seed, limit: 25, handshake: true })
    let isSubscribed = false
    let published = 0
    const down = messages("down")
    for (let connections = 0; connections < 200; connections++) {
      const client = yield* Raw.open(dial, version)
      yield* client.send(Raw.connectPacket(version, "book", { cleanStart: false, properties }))
      while (!client.isClosed() || client.waiting().length > 0) {
        const waiting = client.waiting()[0]
        if (waiting !== undefined) {
          const packet = yield* client.next(waiting._tag)
          if (packet._tag === "Connack") {
            yield* client.send(...book.resume())
            if (!isSubscribed) {
              const properties = {}
              const filters = [Raw.subscribeFilter("down/#")]
              yield* client.send({ _tag: "Subscribe", packetIdentifier: 65_000, filters, properties })
            }
          }
          if (packet._tag === "Suback") isSubscribed = true
          // What arrives on a connection that has ended meanwhile is taken, and answered on the next one.
          const answers = [...book.receive(packet), ...book.send()]
          if (!client.isClosed()) yield* client.send(...answers)
          continue
        }
        if (isSubscribed && published < down.length) {
          const { payload, qos, topic } = down[published++]!
          yield* broker.publish(topic, payload, { qos })
        }
        const session = broker.session("book")
        const isDone = published === down.length && book.isIdle && session?.queued === 0 && session.inflight === 0
        if (isDone) {
          client.stream.destroy()
          return { broker, book, cuts: cutter.cuts() }
        }
        yield* Effect.yieldNow
      }
    }
    return assert.fail(`seed ${seed}: not finished`)
  }))

it.live.each([4, 5] as const)(
  "version %s: QoS 1 and 2 survive random cuts in both directions, for 100 seeds",
  (version) =>
    Effect.gen(function*() {
      let cuts = 0
      for (let seed = 1; seed <= 100; seed++) {
        const result = yield* play(version, seed)
        cuts += result.cuts
        const { book, broker } = result
        const label = `seed ${seed}`
        const accepted = broker.published.filter(({ publisher }) => publisher === "book")
        check(accepted.map((message) => ({ topic: message.topic, payload: Raw.text(message) })), "up", label)
        check(book.received, "down", label)
        assert.deepStrictEqual(broker.violations, [], label)
        for (const { inflightReceived, inflightSent } of broker.connections) {
          assert.isAtMost(inflightReceived.highest, 5, label)
          if (version === 5) assert.isAtMost(inflightSent.highest, 4, label)
        }
      }
      assert.isAbove(cuts, 1000)
    })
)
