/**
 * Payloads whose content follows from seed and number, so that an altered one is recognised by whoever knows the seed.
 */
const fill = (seed: number, number: number): string => {
  let state = (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(number + 1, 0xc2b2ae35)) >>> 0
  const length = state % 300
  let text = ""
  while (text.length < length) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    text += state.toString(36)
  }
  return text
}

export const payloadOf = (seed: number, number: number): string => `${number}:${fill(seed, number)}`

/** The number of a payload; undefined when it is not one that was published. */
export const numberOf = (seed: number, payload: string): number | undefined => {
  const number = Number.parseInt(payload, 10)
  return payloadOf(seed, number) === payload ? number : undefined
}

/** Few topics, so that order for each topic means something. */
export const topicOf = (prefix: string, number: number): string => `${prefix}/${number % 7}`
