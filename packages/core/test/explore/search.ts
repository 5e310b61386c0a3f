/**
 * The breadth-first search through the states of a world. A state is the list of actions that leads to it, carried out
 * from the beginning: the engine and the broker cannot be copied. States with equal digests are one.
 */
import { apply, enabled } from "./actions.ts"
import { digestOf } from "./digest.ts"
import { finish } from "./finish.ts"
import type { Plan } from "./plan.ts"
import type { Subject } from "./subject.ts"
import { type Invariant, Violated } from "./violation.ts"
import { World } from "./world.ts"

/** What ends a search early. */
export interface Bounds {
  /** The longest trace. */
  readonly depth: number
  /** States that are visited. */
  readonly states: number
  readonly seconds: number
}

/** An invariant that does not hold, and the shortest way there. */
export interface Finding {
  readonly invariant: Invariant
  readonly detail: string
  readonly trace: ReadonlyArray<string>
  /** The invariant does not hold at the end that everything comes to, not in the state itself. */
  readonly isAtEnd: boolean
}

/** What a search has seen. */
export interface Result {
  readonly plan: Plan
  readonly states: number
  readonly transitions: number
  /** The length of the longest trace that was visited. */
  readonly depth: number
  /** There are no further states. */
  readonly isComplete: boolean
  readonly seconds: number
  readonly finding: Finding | undefined
}

/** A state by the one it was first reached from. */
interface Node {
  readonly parent: Node | undefined
  readonly action: string
  readonly depth: number
  readonly actions: ReadonlyArray<string>
}

const traceOf = (node: Node): Array<string> => {
  const trace: Array<string> = []
  for (let at: Node = node; at.parent !== undefined; at = at.parent) trace.push(at.action)
  return trace.reverse()
}

/** Carries a trace out. */
export const replay = (subject: Subject, plan: Plan, trace: ReadonlyArray<string>): World => {
  const world = new World(subject, plan)
  for (const action of trace) apply(world, action)
  return world
}

/** What does not hold when this is done; undefined: everything holds. */
const findingOf = (trace: ReadonlyArray<string>, isAtEnd: boolean, step: () => void): Finding | undefined => {
  try {
    step()
    return undefined
  } catch (cause) {
    if (cause instanceof Violated) return { invariant: cause.invariant, detail: cause.message, trace, isAtEnd }
    const detail = cause instanceof Error ? cause.stack ?? cause.message : String(cause)
    return { invariant: "nothing is thrown", detail, trace, isAtEnd }
  }
}

/**
 * Visits all states within the bounds, nearest first, until an invariant does not hold.
 */
export const search = (subject: Subject, plan: Plan, bounds: Bounds): Result => {
  const began = performance.now()
  const visited = new Set<string>()
  const end = began + bounds.seconds * 1000
  let transitions = 0
  let depth = 0
  let frontier: Array<Node> = []
  const result = (isComplete: boolean, finding?: Finding): Result => ({
    plan,
    states: visited.size,
    transitions,
    depth,
    isComplete,
    seconds: (performance.now() - began) / 1000,
    finding
  })

  /** Looks at a state that was reached; answers what does not hold. */
  const visit = (world: World, parent: Node | undefined, action: string, next: Array<Node>): Finding | undefined => {
    const digest = digestOf(world)
    if (visited.has(digest)) return undefined
    visited.add(digest)
    const node = { parent, action, depth: parent === undefined ? 0 : parent.depth + 1, actions: enabled(world) }
    depth = node.depth
    next.push(node)
    return findingOf(traceOf(node), true, () => finish(world))
  }

  const first = visit(new World(subject, plan), undefined, "", frontier)
  if (first !== undefined) return result(false, first)
  while (frontier.length > 0) {
    if (depth >= bounds.depth) return result(false)
    const next: Array<Node> = []
    for (const node of frontier) {
      const trace = traceOf(node)
      for (const action of node.actions) {
        if (visited.size >= bounds.states || performance.now() > end) return result(false)
        transitions++
        const world = replay(subject, plan, trace)
        const finding = findingOf([...trace, action], false, () => apply(world, action)) ??
          visit(world, node, action, next)
        if (finding !== undefined) return result(false, finding)
      }
    }
    frontier = next
  }
  return result(true)
}
