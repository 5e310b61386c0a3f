/**
 * Collects the messages dropped in one turn, and reports one event per cause.
 */
import type { MessageDropped } from "../../SessionEvent.ts"
import type { EventBody } from "./lifecycle.ts"

type Direction = MessageDropped["direction"]
type Cause = MessageDropped["cause"]

export class DroppedMessages {
  #byCause: Map<Cause, { direction: Direction; topic: string; count: number }> | undefined

  note(direction: Direction, cause: Cause, topic: string): void {
    this.#byCause ??= new Map()
    const dropped = this.#byCause.get(cause)
    if (dropped === undefined) {
      this.#byCause.set(cause, { direction, topic, count: 1 })
    } else {
      dropped.topic = topic
      dropped.count++
    }
  }

  /** Emits the events, at the end of a turn. */
  tell(emit: (event: EventBody) => void): void {
    if (this.#byCause === undefined) return
    for (const [cause, dropped] of this.#byCause) emit({ _tag: "MessageDropped", cause, ...dropped })
    this.#byCause = undefined
  }
}
