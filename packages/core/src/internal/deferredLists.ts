/**
 * Properties objects whose long lists are decoded on access: what comes from the network takes little more memory than
 * its bytes, whatever it would become.
 *
 * The codec makes them. What was decoded lives as long as it is in use, so that a loop over `properties.userProperties`
 * decodes them once. Spreading such an object decodes them, and the result keeps them; the functions here do not
 * decode.
 */

export interface DeferredLists {
  /** What the lists are decoded from. */
  readonly bytes: Uint8Array
  /** The keys of the lists. */
  readonly names: ReadonlyArray<string>
  readonly decode: (bytes: Uint8Array, name: string) => ReadonlyArray<unknown>
}

const all = new WeakMap<object, DeferredLists>()

/**
 * Gives the object its lists.
 */
export const defer = (properties: object, lists: DeferredLists): void => {
  all.set(properties, lists)
  for (const name of lists.names) {
    let decoded: WeakRef<ReadonlyArray<unknown>> | undefined
    Object.defineProperty(properties, name, {
      enumerable: true,
      configurable: true,
      get: () => {
        let list = decoded?.deref()
        if (list === undefined) {
          list = lists.decode(lists.bytes, name)
          decoded = new WeakRef(list)
        }
        return list
      }
    })
  }
}

/**
 * The lists of an object that has some.
 */
export const deferredOf = (properties: object): DeferredLists | undefined => all.get(properties)

/**
 * The same properties with bytes of their own, which keep no network buffer alive: `slice` of a Buffer would be a view.
 */
export const detach = <Properties extends { readonly correlationData?: Uint8Array }>(
  properties: Properties
): Properties => {
  const lists = deferredOf(properties)
  const { correlationData } = properties
  if (lists === undefined) {
    return correlationData === undefined
      ? properties
      : { ...properties, correlationData: new Uint8Array(correlationData) }
  }
  const copy: { [name: string]: unknown } = {}
  for (const name of Object.keys(properties)) {
    if (!lists.names.includes(name)) {
      copy[name] = properties[name as keyof Properties]
    }
  }
  if (correlationData !== undefined) {
    copy["correlationData"] = new Uint8Array(correlationData)
  }
  defer(copy, { ...lists, bytes: new Uint8Array(lists.bytes) })
  return copy as Properties
}
