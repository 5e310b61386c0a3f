/**
 * Properties objects whose long lists are decoded on access, so that received properties take little more memory than
 * their bytes.
 *
 * The codec makes them. A decoded list is cached for as long as it is in use, so that a loop over
 * `properties.userProperties` decodes it once. Spreading such an object decodes the lists, and the result keeps them;
 * the functions here do not decode.
 */
import { Annotation } from "./encodedProperties.ts"

export interface DeferredLists {
  /** The bytes that the lists are decoded from. */
  readonly bytes: Uint8Array
  /** The keys of the lists. */
  readonly names: ReadonlyArray<string>
  readonly decode: (bytes: Uint8Array, name: string) => ReadonlyArray<unknown>
}

/** The lists of an object, in a field of it that nothing shows. */
class Deferred extends Annotation {
  readonly #lists: DeferredLists

  private constructor(properties: object, lists: DeferredLists) {
    super(properties)
    this.#lists = lists
  }

  static add(properties: object, lists: DeferredLists): object {
    return new Deferred(properties, lists)
  }

  static of(properties: object): DeferredLists | undefined {
    return #lists in properties ? properties.#lists : undefined
  }
}

/**
 * Adds the lists to the object.
 */
export const defer = (properties: object, lists: DeferredLists): void => {
  Deferred.add(properties, lists)
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
 * The deferred lists of an object; undefined: it has none.
 */
export const deferredOf = (properties: object): DeferredLists | undefined => Deferred.of(properties)

/**
 * The same properties with bytes of their own, which retain no network buffer. `slice` of a Buffer would be a view.
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
