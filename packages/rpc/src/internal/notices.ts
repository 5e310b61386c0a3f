/**
 * What servers send to a client outside of calls: each notice once, put together from its parts. Of many servers the
 * oldest ones are forgotten.
 */
import { Assembly, type Budget } from "./assembly.ts"
import { CallNumbers } from "./callNumbers.ts"
import type { Part } from "./packets.ts"

interface Sender {
  readonly seen: CallNumbers
  readonly open: Map<number, Assembly>
}

const mostSenders = 256
const mostOpen = 16

export class Notices {
  readonly #budget: Budget
  readonly #largest: number
  readonly #senders = new Map<string, Sender>()

  constructor(budget: Budget, largest: number) {
    this.#budget = budget
    this.#largest = largest
  }

  /** Takes a part in. Answers with the notice that it completes, or with whether the part was good for nothing. */
  accept(part: Part): Uint8Array | "waiting" | "refused" {
    const { open, seen } = this.#senderOf(part.sender)
    let assembly = open.get(part.call)
    if (assembly === undefined) {
      if (!seen.add(part.call)) return "waiting"
      if (open.size >= mostOpen) {
        const [oldest] = open
        oldest![1].dispose()
        open.delete(oldest![0])
      }
      assembly = new Assembly(this.#budget, this.#largest)
      open.set(part.call, assembly)
    }
    const taken = assembly.accept(part)
    if (taken === "duplicate" || (typeof taken !== "string" && taken.length === 0)) return "waiting"
    assembly.dispose()
    open.delete(part.call)
    return typeof taken === "string" ? "refused" : taken[0]!.body
  }

  #senderOf(name: string): Sender {
    let sender = this.#senders.get(name)
    if (sender === undefined) {
      if (this.#senders.size >= mostSenders) {
        const [oldest] = this.#senders
        for (const assembly of oldest![1].open.values()) assembly.dispose()
        this.#senders.delete(oldest![0])
      }
      sender = { seen: new CallNumbers(), open: new Map() }
      this.#senders.set(name, sender)
    }
    return sender
  }
}
