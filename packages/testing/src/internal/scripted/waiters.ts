/**
 * Those who wait for something to happen in the broker.
 *
 * They are called back when the broker has finished what it is doing, never in the middle of it: who is told may give
 * it commands at once.
 */
export class Waiters {
  readonly #conditions = new Set<{ readonly check: () => boolean; readonly resume: () => void }>()
  readonly #resumes: Array<() => void> = []

  /** Waits until a condition holds. Answers how to stop waiting; undefined: it holds already. */
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
