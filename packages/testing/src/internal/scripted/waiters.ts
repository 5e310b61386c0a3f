/**
 * Callbacks that wait for a condition in the broker.
 *
 * They are called when the broker has finished its current work, never in the middle of it, so that a callback may give
 * it commands at once.
 */
export class Waiters {
  readonly #conditions = new Set<{ readonly check: () => boolean; readonly resume: () => void }>()
  readonly #resumes: Array<() => void> = []

  /** Waits until a condition holds. Returns a function that stops the wait; undefined: the condition already holds. */
  when(check: () => boolean, resume: () => void): (() => void) | undefined {
    if (check()) return undefined
    const condition = { check, resume }
    this.#conditions.add(condition)
    return () => this.#conditions.delete(condition)
  }

  later(resume: () => void): void {
    this.#resumes.push(resume)
  }

  check(): void {
    for (const condition of this.#conditions) {
      if (!condition.check()) continue
      this.#conditions.delete(condition)
      this.#resumes.push(condition.resume)
    }
  }

  resume(): void {
    if (this.#resumes.length === 0) return
    for (const resume of this.#resumes.splice(0)) resume()
  }
}
