/**
 * A key-value store of Effect in one IndexedDB database. Every change is one transaction with strict durability.
 * `IndexedDbStore.ts` calls it.
 */
import * as Effect from "effect/Effect"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import type * as Scope from "effect/Scope"

const table = "values"

const failed = (method: string, key?: string) => (cause: unknown): KeyValueStore.KeyValueStoreError =>
  new KeyValueStore.KeyValueStoreError({
    method,
    ...(key === undefined ? undefined : { key }),
    message: cause instanceof Error ? cause.message : "IndexedDB failed",
    cause
  })

type Request<A> = (store: IDBObjectStore) => { readonly result: A; readonly error: unknown }

/** The result of a request, as soon as its transaction is complete. */
const committed = <A>(
  database: IDBDatabase,
  mode: IDBTransactionMode,
  request: Request<A>
): Promise<A> =>
  new Promise((resolve, reject) => {
    const transaction = database.transaction(table, mode, { durability: "strict" })
    const asked = request(transaction.objectStore(table))
    transaction.addEventListener("complete", () => resolve(asked.result))
    transaction.addEventListener(
      "abort",
      () => reject(transaction.error ?? asked.error ?? new Error("the transaction was aborted"))
    )
  })

const open = (name: string): Promise<IDBDatabase> =>
  new Promise((resolve, reject) => {
    const opening = indexedDB.open(name, 1)
    opening.addEventListener("upgradeneeded", () => opening.result.createObjectStore(table))
    opening.addEventListener("success", () => {
      const { result } = opening
      // Another tab deletes the database, or a later version of the library changes it.
      result.addEventListener("versionchange", () => result.close())
      resolve(result)
    })
    opening.addEventListener("error", () => reject(opening.error ?? new Error("the database cannot be opened")))
    opening.addEventListener("blocked", () => reject(new Error("another tab blocks the database")))
  })

/** The store in the database of this name, for the life of the scope. */
export const makeKeyValueStore = (
  name: string
): Effect.Effect<KeyValueStore.KeyValueStore, KeyValueStore.KeyValueStoreError, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.tryPromise({ try: () => open(name), catch: failed("open") }),
      (database) => Effect.sync(() => database.close())
    ),
    (database) => {
      const read = <A>(method: string, request: Request<A>, key?: string) =>
        Effect.tryPromise({ try: () => committed(database, "readonly", request), catch: failed(method, key) })
      const write = (method: string, request: Request<unknown>, key?: string) =>
        Effect.asVoid(
          Effect.tryPromise({ try: () => committed(database, "readwrite", request), catch: failed(method, key) })
        )
      const get = (key: string) => read<string | Uint8Array | undefined>("get", (store) => store.get(key), key)
      return KeyValueStore.make({
        get: (key) =>
          Effect.map(get(key), (value) => value instanceof Uint8Array ? new TextDecoder().decode(value) : value),
        getUint8Array: (key) =>
          Effect.map(get(key), (value) => typeof value === "string" ? new TextEncoder().encode(value) : value),
        set: (key, value) => write("set", (store) => store.put(value, key), key),
        remove: (key) => write("remove", (store) => store.delete(key), key),
        clear: write("clear", (store) => store.clear()),
        size: read("size", (store) => store.count()),
        keys: Effect.map(read("keys", (store) => store.getAllKeys()), (keys) => keys.map(String))
      })
    }
  )
