// Vitest 5 reports failures with two functions that Node 20 lacks; without them a failure there has no message.

const groupBy = <A, K, G>(items: Iterable<A>, keyOf: (item: A, index: number) => K, add: (key: K, item: A) => G) => {
  let index = 0
  for (const item of items) add(keyOf(item, index++), item)
}

if (!("groupBy" in Map)) {
  Object.assign(Map, {
    groupBy: <A, K>(items: Iterable<A>, keyOf: (item: A, index: number) => K): Map<K, Array<A>> => {
      const groups = new Map<K, Array<A>>()
      groupBy(items, keyOf, (key, item) => groups.has(key) ? groups.get(key)!.push(item) : groups.set(key, [item]))
      return groups
    }
  })
}

if (!("groupBy" in Object)) {
  Object.assign(Object, {
    groupBy: <A, K extends PropertyKey>(items: Iterable<A>, keyOf: (item: A, index: number) => K) => {
      const groups: Partial<Record<K, Array<A>>> = Object.create(null)
      groupBy(items, keyOf, (key, item) => (groups[key] ??= []).push(item))
      return groups
    }
  })
}
