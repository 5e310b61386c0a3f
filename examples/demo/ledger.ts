/**
 * Counts messages by their own numbers, independently of the library: what was published and has not arrived is
 * outstanding.
 */
export interface Summary {
  readonly published: number
  readonly delivered: number
  readonly duplicates: number
  readonly lost: number
}

export class Ledger {
  /** A message is in here from before it is published until it arrives; true once the server acknowledged it. */
  readonly #outstanding = new Map<string, boolean>()
  #published = 0
  #delivered = 0
  #duplicates = 0

  /** About to be published: it may arrive before its acknowledgement does. */
  sending(id: string): void {
    this.#outstanding.set(id, false)
  }

  published(id: string): void {
    this.#published++
    if (this.#outstanding.has(id)) this.#outstanding.set(id, true)
  }

  withdrawn(id: string): void {
    this.#outstanding.delete(id)
  }

  arrived(id: string): void {
    if (this.#outstanding.delete(id)) this.#delivered++
    else this.#duplicates++
  }

  get outstanding(): number {
    return this.#outstanding.size
  }

  /** Once nothing is on its way any more, what was acknowledged and has not arrived is lost. */
  get summary(): Summary {
    let lost = 0
    for (const acknowledged of this.#outstanding.values()) if (acknowledged) lost++
    return { published: this.#published, delivered: this.#delivered, duplicates: this.#duplicates, lost }
  }
}
