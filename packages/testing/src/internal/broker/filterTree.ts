/**
 * Topic filters and their matching in the broker (MQTT 4.7 and 4.8.2).
 *
 * It does not share the client's matcher on purpose, so that it does not share the client's mistakes.
 */

const sharePrefix = "$share/"

/**
 * A parsed topic filter.
 */
export interface ParsedFilter {
  readonly share: string | undefined
  readonly filter: string
}

/**
 * Undefined for an invalid filter.
 */
export const parseFilter = (full: string): ParsedFilter | undefined => {
  let share: string | undefined
  let filter = full
  if (full.startsWith(sharePrefix)) {
    const slash = full.indexOf("/", sharePrefix.length)
    if (slash <= sharePrefix.length) return undefined
    share = full.slice(sharePrefix.length, slash)
    if (share.includes("+") || share.includes("#")) return undefined
    filter = full.slice(slash + 1)
  }
  return isValid(filter) ? { share, filter } : undefined
}

const isValid = (filter: string): boolean => {
  if (filter === "" || filter.includes("\u0000")) return false
  const levels = filter.split("/")
  return levels.every((level, index) =>
    level === "+" || (level === "#" ? index === levels.length - 1 : !level.includes("+") && !level.includes("#"))
  )
}

/**
 * Whether a filter uses a wildcard.
 */
export const hasWildcard = (filter: string): boolean => filter.includes("+") || filter.includes("#")

/**
 * Whether a filter (without `$share`) matches a topic name.
 */
export const matches = (filter: string, topic: string): boolean => {
  if (filter === topic) return true
  if (topic.startsWith("$") && (filter.startsWith("+") || filter.startsWith("#"))) return false
  const wanted = filter.split("/")
  const levels = topic.split("/")
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === "#") return true
    if (i >= levels.length || (wanted[i] !== "+" && wanted[i] !== levels[i])) return false
  }
  return wanted.length === levels.length
}

interface Node<T> {
  readonly children: Map<string, Node<T>>
  readonly values: Array<T>
}

const makeNode = <T>(): Node<T> => ({ children: new Map(), values: [] })

/**
 * Values by topic filter.
 */
export interface FilterTree<T> {
  readonly insert: (filter: string, value: T) => void
  readonly remove: (filter: string, value: T) => void
  /** The values of all matching filters. The array is shared; callers must not change it. */
  readonly match: (topic: string) => ReadonlyArray<T>
}

const cachedTopics = 4096

export const makeFilterTree = <T>(): FilterTree<T> => {
  const root = makeNode<T>()
  const cache = new Map<string, ReadonlyArray<T>>()

  const collect = (node: Node<T>, levels: ReadonlyArray<string>, index: number, into: Array<T>): void => {
    const wildcards = index > 0 || !levels[0]!.startsWith("$")
    if (wildcards) {
      const rest = node.children.get("#")
      if (rest !== undefined) into.push(...rest.values)
    }
    if (index === levels.length) {
      into.push(...node.values)
      return
    }
    const exact = node.children.get(levels[index]!)
    if (exact !== undefined) collect(exact, levels, index + 1, into)
    if (wildcards) {
      const any = node.children.get("+")
      if (any !== undefined) collect(any, levels, index + 1, into)
    }
  }

  return {
    insert: (filter, value) => {
      let node = root
      for (const level of filter.split("/")) {
        let child = node.children.get(level)
        if (child === undefined) {
          child = makeNode()
          node.children.set(level, child)
        }
        node = child
      }
      node.values.push(value)
      cache.clear()
    },
    remove: (filter, value) => {
      const path: Array<readonly [Node<T>, string]> = []
      let node = root
      for (const level of filter.split("/")) {
        const child = node.children.get(level)
        if (child === undefined) return
        path.push([node, level])
        node = child
      }
      const index = node.values.indexOf(value)
      if (index < 0) return
      node.values.splice(index, 1)
      cache.clear()
      for (let i = path.length - 1; i >= 0; i--) {
        const [parent, level] = path[i]!
        const child = parent.children.get(level)!
        if (child.values.length > 0 || child.children.size > 0) return
        parent.children.delete(level)
      }
    },
    match: (topic) => {
      const known = cache.get(topic)
      if (known !== undefined) return known
      const found: Array<T> = []
      collect(root, topic.split("/"), 0, found)
      if (cache.size >= cachedTopics) cache.clear()
      cache.set(topic, found)
      return found
    }
  }
}
