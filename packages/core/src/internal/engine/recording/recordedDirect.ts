/**
 * The direct publishes of an engine that keeps a flight record: passes every call on, and has it noted. It changes no
 * call and no answer. `recordedEngine.ts` makes it.
 */
import type { Publish } from "../../../Packet.ts"
import type { Direct, PublishRequest } from "../contract.ts"
import { DirectResult } from "./segment.ts"

/** The recording engine, for its direct publishes. */
export interface DirectRecorder {
  /** Adds a direct publish to a row. */
  readonly beginDirect: (request: PublishRequest, now: number) => void
  /** Ends the row with the result of its last call. */
  readonly endDirect: (result: number, topic: string) => void
  readonly threwDirect: (cause: unknown, topic: string) => never
  readonly directWritten: (run: () => number) => number
  readonly directReturned: (args: ReadonlyArray<unknown>, run: () => number) => number
}

export class RecordedDirect implements Direct {
  readonly #direct: Direct
  readonly #recorder: DirectRecorder
  /** The last message has its packet, and the packet is in no write yet. */
  #isAwaiting = false
  #topic = ""

  constructor(direct: Direct, recorder: DirectRecorder) {
    this.#direct = direct
    this.#recorder = recorder
  }

  /** The topic of the last call, if its packet did not get into a write; its row has ended. */
  takeAwaiting(): string | undefined {
    if (!this.#isAwaiting) return undefined
    this.#isAwaiting = false
    return this.#topic
  }

  publish(request: PublishRequest, now: number): Publish | undefined {
    if (this.#isAwaiting) this.#recorder.endDirect(DirectResult.notAppended, this.takeAwaiting()!)
    this.#recorder.beginDirect(request, now)
    let packet: Publish | undefined
    try {
      packet = this.#direct.publish(request, now)
    } catch (cause) {
      return this.#recorder.threwDirect(cause, request.topic)
    }
    if (packet === undefined) this.#recorder.endDirect(DirectResult.waits, request.topic)
    else {
      this.#isAwaiting = true
      this.#topic = request.topic
    }
    return packet
  }

  appended(topic: string): number {
    this.#isAwaiting = false
    return this.#direct.appended(topic)
  }

  get topics(): ReadonlyArray<string> {
    return this.#direct.topics
  }

  get hasAny(): boolean {
    return this.#direct.hasAny
  }

  get isOwed(): boolean {
    return this.#direct.isOwed
  }

  written(): number {
    // Not noted where it does nothing: it is called with every write.
    return this.#direct.hasAny
      ? this.#recorder.directWritten(() => this.#direct.written())
      : this.#direct.written()
  }

  returned(packets: ReadonlyArray<Publish>, now: number): number {
    return this.#recorder.directReturned([packets, now], () => this.#direct.returned(packets, now))
  }
}
