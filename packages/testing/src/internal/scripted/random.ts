/**
 * A small seeded generator (mulberry32): the same seed gives the same faults on every machine.
 */
export interface SeededRandom {
  /** From 0 up to and without 1. */
  readonly next: () => number
  /** A whole number from `min` to `max`, both included. */
  readonly between: (min: number, max: number) => number
  readonly shuffle: <A>(items: ReadonlyArray<A>) => Array<A>
}

export const makeRandom = (seed: number): SeededRandom => {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000
  }
  const between = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1))
  return {
    next,
    between,
    shuffle: (items) => {
      const shuffled = items.slice()
      for (let i = shuffled.length - 1; i > 0; i--) {
        const j = between(0, i)
        const item = shuffled[i]!
        shuffled[i] = shuffled[j]!
        shuffled[j] = item
      }
      return shuffled
    }
  }
}
