/**
 * The judgement: what was promised, beside what arrived.
 */
export interface Verdict {
  readonly promised: number
  readonly arrived: number
  /** Promised and never seen. */
  readonly lost: number
  /** Arrivals beyond the first of a message. */
  readonly duplicates: number
  /** Payloads that nobody has published. */
  readonly altered: number
  /** First arrivals on a topic behind a later message of that topic. */
  readonly disordered: number
}

/**
 * `promised` are numbers; `arrivals` are the numbers of each topic in the order of arrival, undefined for an altered
 * payload.
 */
export const judge = (
  promised: ReadonlySet<number>,
  arrivals: Iterable<readonly [topic: string, number: number | undefined]>
): Verdict => {
  const seen = new Set<number>()
  const latest = new Map<string, number>()
  let arrived = 0
  let duplicates = 0
  let altered = 0
  let disordered = 0
  for (const [topic, number] of arrivals) {
    arrived++
    if (number === undefined) {
      altered++
      continue
    }
    if (seen.has(number)) {
      duplicates++
      continue
    }
    seen.add(number)
    if (number < (latest.get(topic) ?? -1)) disordered++
    else latest.set(topic, number)
  }
  let lost = 0
  for (const number of promised) if (!seen.has(number)) lost++
  return { promised: promised.size, arrived, lost, duplicates, altered, disordered }
}
