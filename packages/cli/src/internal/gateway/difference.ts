/**
 * What changes from one configuration to the next: what is new, what is gone, and what has other options. It compares
 * only; `runtime.ts` applies it.
 */
import type { Configuration } from "./configuration.ts"

/** The names of one kind of things. */
export interface Changes {
  readonly added: ReadonlyArray<string>
  readonly changed: ReadonlyArray<string>
  readonly removed: ReadonlyArray<string>
}

export interface Difference {
  readonly sessions: Changes
  readonly forwarders: Changes
  /** Forwarders with equal options that have to pause, because a session of theirs is replaced or gone. */
  readonly paused: ReadonlyArray<string>
}

type Keyed = ReadonlyMap<string, { readonly key: string }>

const compare = (before: Keyed, after: Keyed): Changes => ({
  added: Array.from(after.keys()).filter((name) => !before.has(name)),
  changed: Array.from(after.keys()).filter((name) =>
    before.has(name) && before.get(name)!.key !== after.get(name)!.key
  ),
  removed: Array.from(before.keys()).filter((name) => !after.has(name))
})

/** What is applied now. */
export type Applied = Pick<Configuration, "sessions" | "forwarders">

/** Compares what runs with what the file says. */
export const differenceOf = (before: Applied, after: Applied): Difference => {
  const sessions = compare(before.sessions, after.sessions)
  const forwarders = compare(before.forwarders, after.forwarders)
  const replaced = new Set([...sessions.changed, ...sessions.removed])
  const paused = Array.from(before.forwarders)
    .filter(([name, { options: { deadLetter, sources, target } }]) =>
      !forwarders.removed.includes(name) &&
      [...sources, target, deadLetter?.session ?? target].some((session) => replaced.has(session))
    )
    .map(([name]) => name)
  return { sessions, forwarders, paused }
}

const namesOf = ({ added, changed, removed }: Changes): ReadonlyArray<string> => [
  ...added.map((name) => `+${name}`),
  ...changed.map((name) => `~${name}`),
  ...removed.map((name) => `-${name}`)
]

/** For the log: `+new ~changed -gone`, or `none`. */
export const changesText = (changes: Changes): string => namesOf(changes).join(" ") || "none"

export const isEmpty = ({ added, changed, removed }: Changes): boolean =>
  added.length + changed.length + removed.length === 0
