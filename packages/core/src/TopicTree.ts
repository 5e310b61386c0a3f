/**
 * An index of values by topic filter, which finds the filters that match a topic name.
 *
 * It is a tree of levels with a small cache of answers in front. Every change empties the cache. The cache never holds
 * more than twice `cacheSize` answers.
 */
import * as Predicate from "effect/Predicate"
import { defaultCacheSize, TopicIndex } from "./internal/topicIndex.ts"

const TypeId = "~effect-mqttx/core/TopicTree"

/**
 * Values by topic filter. A value may be under several filters, and at most once under each.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface TopicTree<in out A> {
  readonly [TypeId]: typeof TypeId
  /** Number of values, counted once for each of their filters. */
  readonly size: number
  /**
   * Adds a value under a valid filter; `false` when it is there already. A shared subscription is a filter of its own
   * that matches by its inner filter.
   */
  readonly add: (filter: string, value: A) => boolean
  /** Removes a value from under a filter; `false` when it was not there. */
  readonly remove: (filter: string, value: A) => boolean
  /** Removes everything. */
  readonly clear: () => void
  /**
   * The values under all filters that match a topic name (MQTT 4.7, with the rule for names that begin with `$`), each
   * once per filter, in no particular order. The array is never changed afterwards; another call may return it again.
   */
  readonly match: (topic: string) => ReadonlyArray<A>
  /** Whether any filter matches a topic name. */
  readonly has: (topic: string) => boolean
}

/**
 * Options of a tree.
 *
 * @stability stable
 * @category options
 * @since 0.1.0
 */
export interface TopicTreeOptions {
  /** Number of recent topic names whose answer is kept; 0 switches the cache off. Default 1024. */
  readonly cacheSize?: number | undefined
}

class TopicTreeImpl<in out A> implements TopicTree<A> {
  readonly [TypeId]: typeof TypeId = TypeId
  readonly #index: TopicIndex<A>

  constructor(cacheSize: number) {
    this.#index = new TopicIndex(cacheSize)
  }

  get size(): number {
    return this.#index.size
  }

  readonly add = (filter: string, value: A): boolean => this.#index.add(filter, value)

  readonly remove = (filter: string, value: A): boolean => this.#index.remove(filter, value)

  readonly clear = (): void => this.#index.clear()

  readonly match = (topic: string): ReadonlyArray<A> => this.#index.match(topic)

  readonly has = (topic: string): boolean => this.#index.match(topic).length > 0
}

/**
 * An empty tree. Values are compared by `===`.
 *
 * **Example** (Finding the listeners of a topic name)
 *
 * ```ts
 * import { TopicTree } from "@effect-mqttx/core"
 *
 * const listeners = TopicTree.make<string>()
 * listeners.add("sensors/+/temperature", "thermometer")
 * listeners.add("alarms/#", "siren")
 *
 * listeners.match("sensors/room1/temperature") // => ["thermometer"]
 * ```
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const make = <A>(options?: TopicTreeOptions): TopicTree<A> =>
  new TopicTreeImpl(options?.cacheSize ?? defaultCacheSize)

/**
 * Whether a value is a tree of this module.
 *
 * @stability stable
 * @category guards
 * @since 0.1.0
 */
export const isTopicTree = (u: unknown): u is TopicTree<unknown> => Predicate.hasProperty(u, TypeId)
