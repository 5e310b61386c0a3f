/**
 * Retransmission in a resumed session: all PUBRELs first, then the PUBLISHes as the window admits (MQTT 4.4). Nothing
 * new is sent before it has ended. `outbound.ts` calls it.
 */
import { Indeterminate } from "../../MqttError.ts"
import type { EngineCore } from "./core.ts"
import { refuseLater } from "./limits.ts"
import type { OutboundMessage } from "./outboundMessage.ts"
import type { OutboundMessages } from "./outboundMessages.ts"
import type { OutboundPackets } from "./outboundPackets.ts"
import { failed } from "./publishOutcome.ts"
import type { SendWindow } from "./sendWindow.ts"

export class Retransmission {
  readonly #core: EngineCore
  readonly #messages: OutboundMessages
  readonly #packets: OutboundPackets
  readonly #window: SendWindow
  /** The next message whose PUBREL, and the next one whose PUBLISH, must be sent again on this connection. */
  #release: OutboundMessage | undefined = undefined
  #publish: OutboundMessage | undefined = undefined

  constructor(core: EngineCore, messages: OutboundMessages, packets: OutboundPackets, window: SendWindow) {
    this.#core = core
    this.#messages = messages
    this.#packets = packets
    this.#window = window
  }

  /** Everything was sent again. */
  get isDone(): boolean {
    return this.#release === undefined && this.#publish === undefined
  }

  /** Whether `pump` would send more; undefined when everything was sent again. */
  get hasMore(): boolean | undefined {
    if (this.#release !== undefined) return false
    if (this.#publish === undefined) return undefined
    return this.#admits(this.#publish) && this.#core.poison.permits(this.#publish)
  }

  /** The server has the session. */
  resume(now: number): void {
    this.#release = this.#messages.releasing.head
    this.#publish = this.#messages.publishing.head
    this.#pumpReleases(now)
  }

  stop(): void {
    this.#release = this.#publish = undefined
  }

  /** Sends again what the window admits. */
  pump(now: number): void {
    this.#pumpReleases(now)
    if (this.#release === undefined) this.#pumpPublishes(now)
  }

  /** The message has left the messages without PUBACK or PUBREC. */
  leavePublishing(message: OutboundMessage): void {
    if (this.#publish === message) this.#publish = message.next
    this.#messages.publishing.remove(message)
  }

  /** The message has left the messages without PUBCOMP. */
  leaveReleasing(message: OutboundMessage): void {
    if (this.#release === message) this.#release = message.next
    this.#messages.releasing.remove(message)
  }

  #pumpReleases(now: number): void {
    for (let message = this.#release; message !== undefined; message = this.#release) {
      if (!this.#core.online || !this.#core.poison.admits(message)) return
      this.#release = message.next
      this.#window.occupy(message, now)
      this.#packets.pubrel(message.packetIdentifier, 0)
    }
  }

  #pumpPublishes(now: number): void {
    for (let message = this.#publish; message !== undefined; message = this.#publish) {
      if (!this.#admits(message) || !this.#core.poison.admits(message)) return
      this.#publish = message.next
      const refusal = refuseLater(message, this.#core)
      if (refusal === undefined) {
        this.#window.occupy(message, now)
        this.#packets.publish(message, true, now)
      } else {
        this.#messages.publishing.remove(message)
        this.#messages.quarantine(message, failed(new Indeterminate({ refusal: refusal.message })))
      }
    }
  }

  #admits({ request }: OutboundMessage): boolean {
    return this.#core.sendable && !this.#packets.isFull && this.#window.admits(request.qos)
  }

  /** Only for flight records, see `recording/engineGraph.ts`. */
  get privateState() {
    return { release: this.#release, publish: this.#publish }
  }

  set privateState(state) {
    this.#release = state.release
    this.#publish = state.publish
  }
}
