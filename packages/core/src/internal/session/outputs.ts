/**
 * Carries out an output of the engine whose changes are committed: writes its packets, reports outcomes, fills the
 * queues of consumers and passes events on. It never throws, and takes no output itself: `engineLoop.ts` does.
 */
import { Unexpected } from "../../MqttError.ts"
import type { Packet } from "../../Packet.ts"
import type { NotSent, SendResult } from "../connection/contract.ts"
import type {
  Consumer,
  DeliveryFor,
  EngineEvent,
  IndependentOutput,
  Output,
  SessionEngine
} from "../engine/contract.ts"
import type { ConsumerQueue } from "./consumerQueue.ts"
import type { SessionCounters } from "./counters.ts"
import type { CurrentConnection } from "./currentConnection.ts"
import { each } from "./each.ts"
import type { TurnClock } from "./turnClock.ts"

/**
 * The callbacks of an output. All are synchronous and run at the end of a turn.
 */
export interface OutputHandlers {
  readonly onEvent: (event: EngineEvent) => void
  readonly onConsumer: (consumer: Consumer) => void
  /** The outbound queue has space again. */
  readonly onSpace: () => void
  /** Number of inbound QoS 0 messages that streams dropped in this turn. */
  readonly onOverflow: (topic: string, count: number) => void
  /** An unexpected exception in a turn. The rest of the turn is carried out. */
  readonly onDefect: (cause: unknown) => void
}

const noPackets: ReadonlyArray<Packet> = []

/** Whether the packet is sent for the first time. */
const isNewPublish = (packet: Packet): boolean => packet._tag === "Publish" && !packet.dup

export class Outputs {
  readonly #engine: SessionEngine
  readonly #current: CurrentConnection
  readonly #clock: TurnClock
  readonly #counters: SessionCounters
  readonly #handlers: OutputHandlers
  /** A read was handed out, and no turn has ended since. */
  hasHandedOut = false
  #isReleasing = false
  #overflowTopic = ""
  #overflowCount = 0

  constructor(
    engine: SessionEngine,
    current: CurrentConnection,
    clock: TurnClock,
    counters: SessionCounters,
    handlers: OutputHandlers
  ) {
    this.#engine = engine
    this.#current = current
    this.#clock = clock
    this.#counters = counters
    this.#handlers = handlers
  }

  /** An output is being handed out by a caller further up the stack. */
  get isReleasing(): boolean {
    return this.#isReleasing
  }

  /** A stream dropped a QoS 0 message. */
  dropped(topic: string): void {
    this.#overflowTopic = topic
    this.#overflowCount++
  }

  /** Hands an output out. Packets are sent only if the connection of this epoch still lives. */
  release(output: Output | IndependentOutput, epoch: number | undefined): void {
    const isInner = this.#isReleasing
    this.#isReleasing = true
    try {
      if ("packets" in output) this.#handOutStored(output, epoch)
      this.#handOut(output)
    } finally {
      // Reset in every case: while it is set, every turn postpones its work.
      this.#isReleasing = isInner
    }
  }

  /**
   * Hands out what a read has brought, before the end of the turn, when the engine has collected nothing that has to be
   * written or stored. Answers whether it did. Never throws.
   */
  handOutRead(): boolean {
    if (this.#isReleasing || this.isWaiting || !this.#engine.canHandOut) return false
    this.hasHandedOut = true
    try {
      this.release(this.#engine.take()!, this.#current.epoch)
    } catch (cause) {
      this.#handlers.onDefect(cause)
    }
    return true
  }

  /**
   * Nothing can be handed out now: the connection is broken, or it opens and is not handed over, though the engine
   * knows it already.
   */
  get isWaiting(): boolean {
    return this.#current.isBroken || this.#current.isOpening && this.#engine.limits !== undefined
  }

  /** Hands out outcomes and events only; the rest of the output is discarded. */
  settle(output: Output): void {
    const { events, settled, spaceAvailable } = output
    this.release({ deliveries: [], events, settled, spaceAvailable }, undefined)
  }

  /** Writes the direct publishes that no packets of an output follow, if there are any. */
  writeDirect(): void {
    const { connection, isBroken } = this.#current
    if (connection === undefined || isBroken || !this.#engine.direct.hasAny) return
    const result = connection.send(noPackets, this.#clock.time)
    if (result._tag === "NotSent") this.#break()
    else this.#wrote(result)
  }

  #handOutStored({ accepted, packets }: Output, epoch: number | undefined): void {
    const { connection } = this.#current
    if (connection !== undefined && epoch === this.#current.epoch) {
      const result = packets.length === 0 && !this.#engine.direct.hasAny
        ? undefined
        : connection.send(packets, this.#clock.time)
      if (result?._tag === "NotSent") {
        this.#partlyWritten(packets, result)
        this.#break()
      } else {
        if (result !== undefined) this.#wrote(result)
        this.#engine.written()
      }
    }
    each(accepted, (outbound) => outbound.owner?.onAccepted?.(outbound), this.#handlers)
  }

  /** The network has all packets, and all direct publishes before them. */
  #wrote({ _tag }: SendResult): void {
    if (_tag === "Congested") this.#engine.setWritable(false, this.#clock.time)
    this.#counters.written(this.#engine.direct.written())
  }

  #partlyWritten(packets: ReadonlyArray<Packet>, { failure, sent }: NotSent): void {
    const refused = packets[sent]
    this.#engine.partlyWritten(
      packets.slice(0, sent).filter(isNewPublish).length,
      failure !== undefined && refused !== undefined && isNewPublish(refused)
        ? new Unexpected({ detail: `cannot encode ${failure.packet}: ${failure.detail}` })
        : undefined
    )
  }

  /** The connection is about to end by itself. Until then the engine keeps its packets, and nothing is handed out. */
  #break(): void {
    this.#engine.setWritable(false, this.#clock.time)
    this.#current.isBroken = true
  }

  #handOut(output: Output | IndependentOutput): void {
    const handlers = this.#handlers
    const { deliveries, events, settled } = output
    const now = settled.length > 0 ? this.#clock.time : 0
    each(settled, (outbound) => {
      // A QoS 0 message whose connection ended before the write is queued again and has no outcome.
      const { outcome } = outbound
      if (outcome === undefined) return
      this.#counters.settled(outbound, now)
      if (outbound.owner !== undefined) outbound.owner.onSettled?.(outbound)
      else if (outcome._tag === "Failed") {
        handlers.onEvent({ _tag: "OrphanFailed", topic: outbound.request.topic, reason: outcome.reason, count: 1 })
      }
    }, handlers)
    if (deliveries.length > 0) this.#deliver(deliveries)
    if ("consumers" in output) {
      const { consumers } = output
      each(consumers, (consumer) => handlers.onConsumer(consumer), handlers)
    }
    each(events, (event) => {
      if (event._tag === "OrphanFailed") this.#counters.abandoned(event.reason, event.count)
      handlers.onEvent(event)
    }, handlers)
    if (output.spaceAvailable) handlers.onSpace()
    if (this.#overflowCount > 0) {
      const count = this.#overflowCount
      this.#overflowCount = 0
      handlers.onOverflow(this.#overflowTopic, count)
    }
  }

  /** Fills all queues before it wakes any consumer, because a woken consumer runs at once. */
  #deliver(deliveries: ReadonlyArray<DeliveryFor>): void {
    const queues: Array<ConsumerQueue> = []
    this.#counters.delivered(deliveries.length)
    for (let i = 0; i < deliveries.length; i++) {
      const { consumer, delivery } = deliveries[i]!
      const queue = consumer.owner as ConsumerQueue
      if (queue.push(delivery)) queues.push(queue)
    }
    each(queues, (queue) => queue.pushed(), this.#handlers)
  }
}
