/**
 * Callbacks that are due later, by the owner's clock.
 */
export class Alarms {
  #alarms: Array<{ readonly at: number; readonly run: () => void }> = []

  add(at: number, run: () => void): void {
    this.#alarms.push({ at, run })
  }

  /** Infinity: none is due. */
  next(): number {
    let next = Infinity
    for (const { at } of this.#alarms) if (at < next) next = at
    return next
  }

  takeDue(now: number): ReadonlyArray<() => void> {
    const due = this.#alarms.filter(({ at }) => at <= now)
    if (due.length > 0) this.#alarms = this.#alarms.filter(({ at }) => at > now)
    return due.map(({ run }) => run)
  }

  clear(): void {
    this.#alarms = []
  }
}
