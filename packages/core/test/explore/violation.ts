/**
 * How an invariant says that it does not hold.
 */

/** The invariants, by the name that a report prints. */
export type Invariant =
  | "the server finds no fault"
  | "the engine finds no fault"
  | "nothing is thrown"
  | "acknowledged only when finished"
  | "QoS 2 once to a consumer"
  | "finished is never seen again"
  | "a use names one message"
  | "QoS 2 once at the server"
  | "settled once"
  | "the outcome is true"
  | "accepted is not lost"
  | "order of arrival"
  | "time is monotonic"
  | "comes to rest"
  | "nothing is left behind"

/**
 * An invariant that does not hold in a state.
 */
export class Violated extends Error {
  readonly invariant: Invariant

  constructor(invariant: Invariant, detail: string) {
    super(`${invariant}: ${detail}`)
    this.invariant = invariant
  }
}

/** Fails with this invariant unless the condition holds. */
export const holds: (condition: boolean, invariant: Invariant, detail: () => string) => asserts condition = (
  condition,
  invariant,
  detail
) => {
  if (!condition) throw new Violated(invariant, detail())
}
