/**
 * The tree of topic filters behind `TopicTree`, which programs get. The router of each session has one of its own. It
 * checks no filters and topic names: they are valid.
 */
import * as Topic from "./topics.ts"

// The entry keeps its filter, because a shared subscription and its inner filter end at the same node.
interface Entry<A> {
  readonly filter: string
  readonly value: A
}

interface Node<A> {
  children: Map<string, Node<A>> | undefined
  plus: Node<A> | undefined
  hash: Node<A> | undefined
  entries: Array<Entry<A>> | undefined
}

const makeNode = <A>(): Node<A> => ({ children: undefined, plus: undefined, hash: undefined, entries: undefined })

const isBare = <A>(node: Node<A>): boolean =>
  node.entries === undefined && node.children === undefined && node.plus === undefined && node.hash === undefined

const childOf = <A>(node: Node<A>, level: string): Node<A> | undefined =>
  level === "+" ? node.plus : level === "#" ? node.hash : node.children?.get(level)

// Longer names are not cached: a name of 64 KiB could come with every message.
const longestCached = 256

/** Number of topic names whose answer is kept. */
export const defaultCacheSize = 1024

/**
 * Values by topic filter. A class with methods on its prototype, because every session with a subscription has one.
 */
export class TopicIndex<in out A> {
  size = 0
  #root: Node<A> = makeNode()
  // Two generations: names that were asked for since the last change of generation, and those before. A hit costs one
  // lookup and reorders nothing.
  #young: Map<string, ReadonlyArray<A>> | undefined
  #old: Map<string, ReadonlyArray<A>> | undefined
  readonly #cacheSize: number

  constructor(cacheSize: number = defaultCacheSize) {
    this.#cacheSize = cacheSize
  }

  add(filter: string, value: A): boolean {
    let node = this.#root
    for (const level of Topic.innerFilter(filter).split("/")) {
      let child = childOf(node, level)
      if (child === undefined) {
        child = makeNode()
        if (level === "+") {
          node.plus = child
        } else if (level === "#") {
          node.hash = child
        } else {
          node.children ??= new Map()
          node.children.set(level, child)
        }
      }
      node = child
    }
    if (node.entries?.some((entry) => entry.value === value && entry.filter === filter) === true) {
      return false
    }
    // Most filters have one value: an array that grows takes room for seventeen at once.
    if (node.entries === undefined) node.entries = [{ filter, value }]
    else node.entries.push({ filter, value })
    this.size++
    this.#forget()
    return true
  }

  remove(filter: string, value: A): boolean {
    const levels = Topic.innerFilter(filter).split("/")
    const path: Array<Node<A>> = [this.#root]
    let node = this.#root
    for (const level of levels) {
      const child = childOf(node, level)
      if (child === undefined) {
        return false
      }
      path.push(child)
      node = child
    }
    const index = node.entries?.findIndex((entry) => entry.value === value && entry.filter === filter) ?? -1
    if (node.entries === undefined || index === -1) {
      return false
    }
    node.entries.splice(index, 1)
    if (node.entries.length === 0) {
      node.entries = undefined
    }
    this.#prune(path, levels)
    this.size--
    this.#forget()
    return true
  }

  clear(): void {
    this.#root = makeNode()
    this.size = 0
    this.#forget()
  }

  match(topic: string): ReadonlyArray<A> {
    const young = this.#young?.get(topic)
    if (young !== undefined) {
      return young
    }
    const values = this.#old?.get(topic) ?? this.#collect(topic)
    if (topic.length <= longestCached && this.#cacheSize > 0) {
      this.#young ??= new Map()
      if (this.#young.size >= this.#cacheSize) {
        this.#old = this.#young
        this.#young = new Map()
      }
      this.#young.set(topic, values)
    }
    return values
  }

  #forget(): void {
    this.#young = undefined
    this.#old = undefined
  }

  #prune(path: ReadonlyArray<Node<A>>, levels: ReadonlyArray<string>): void {
    for (let depth = levels.length; depth > 0; depth--) {
      const node = path[depth]
      const parent = path[depth - 1]
      const level = levels[depth - 1]
      if (node === undefined || parent === undefined || level === undefined || !isBare(node)) {
        return
      }
      if (level === "+") {
        parent.plus = undefined
      } else if (level === "#") {
        parent.hash = undefined
      } else if (parent.children !== undefined) {
        parent.children.delete(level)
        if (parent.children.size === 0) {
          parent.children = undefined
        }
      }
    }
  }

  // A loop over the live nodes of each level instead of recursion, because filters may have tens of thousands of
  // levels.
  #collect(topic: string): ReadonlyArray<A> {
    const values: Array<A> = []
    const levels = topic.split("/")
    const last = levels.length - 1
    let alive: Array<Node<A>> = [this.#root]
    for (let depth = 0; depth <= last && alive.length > 0; depth++) {
      const level = levels[depth] as string
      const wildcards = depth > 0 || topic.charCodeAt(0) !== 0x24
      const next: Array<Node<A>> = []
      for (const node of alive) {
        const exact = node.children?.get(level)
        if (exact !== undefined) {
          next.push(exact)
        }
        if (wildcards) {
          if (node.plus !== undefined) {
            next.push(node.plus)
          }
          if (node.hash !== undefined) {
            push(values, node.hash)
          }
        }
      }
      alive = next
    }
    for (const node of alive) {
      push(values, node)
      // "a/#" matches its parent "a" as well.
      if (node.hash !== undefined) {
        push(values, node.hash)
      }
    }
    return values.length === 0 ? nothing : values
  }
}

const nothing: ReadonlyArray<never> = Object.freeze([])

const push = <A>(values: Array<A>, node: Node<A>): void => {
  const entries = node.entries
  if (entries !== undefined) {
    for (let i = 0; i < entries.length; i++) {
      values.push((entries[i] as Entry<A>).value)
    }
  }
}
