/**
 * Checks the values of a gateway's file: each session and each forwarder with the schema of its options, and the rules
 * between them. Reports every mistake with its path. It opens and connects nothing. `load.ts` calls it.
 */
import * as ForwarderOptions from "@effect-mqttx/core/ForwarderOptions"
import type { MqttError } from "@effect-mqttx/core/MqttError"
import * as OptionsSchema from "@effect-mqttx/core/OptionsSchema"
import * as SessionOptions from "@effect-mqttx/core/SessionOptions"
import * as Result from "effect/Result"
import type { Path } from "./positions.ts"
import {
  AdminSchema,
  type ClusterOptions,
  ClusterSchema,
  type GatewayFile,
  GatewaySchema,
  type StoreOptions,
  StoreSchema
} from "./schema.ts"
import { decodeTransform, type Transform, transformsIssues } from "./transforms.ts"

/** The store that sessions have unless they name another one. */
export const builtInStore = "memory"

/** A session of the gateway. */
export interface SessionPlan {
  readonly options: SessionOptions.SessionOptions
  /** The name of its store; undefined: the session is not durable. */
  readonly store: string | undefined
  /** Equal for equal sessions: their options as written, secrets included, and their store. */
  readonly key: string
}

/** A forwarder of the gateway. */
export interface ForwarderPlan {
  readonly options: ForwarderOptions.ForwarderOptions
  readonly transforms: ReadonlyArray<Transform>
  /** Equal for equal forwarders. */
  readonly key: string
}

/** This gateway as a node of a cluster. */
export interface ClusterPlan extends Omit<ClusterOptions, "store"> {
  /** The name of the store whose database has the locks. */
  readonly store: string
  /** Equal for equal clusters: the options, and the store with its secrets. */
  readonly key: string
}

/** A file without mistakes. All names are in the order of the file. */
export interface Configuration {
  readonly settings: Omit<GatewayFile, "cluster" | "stores" | "sessions" | "forwarders">
  /** Undefined: the gateway is alone. */
  readonly cluster: ClusterPlan | undefined
  readonly stores: ReadonlyMap<string, StoreOptions>
  readonly sessions: ReadonlyMap<string, SessionPlan>
  readonly forwarders: ReadonlyMap<string, ForwarderPlan>
}

/** A mistake without its position. */
export interface ConfigurationIssue {
  readonly path: Path
  readonly message: string
}

type Plain = Readonly<Record<string, unknown>>

const isPlain = (value: unknown): value is Plain =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date)

/** A text that is equal for equal values, whatever the order of their keys. */
const keyOf = (value: unknown): string =>
  JSON.stringify(
    value,
    (_, inner: unknown) =>
      isPlain(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => a < b ? -1 : 1)) : inner
  )

const issuesOf = ({ reason }: MqttError, path: Path): ReadonlyArray<ConfigurationIssue> =>
  reason._tag === "InvalidOptions"
    ? reason.issues.map((issue) => ({
      path: issue.path === "" ? path : [...path, ...issue.path.split(".")],
      message: issue.message
    }))
    : [{ path, message: reason.message }]

/** The options of a session that are code, which no file has. */
export const codeOptions: ReadonlyArray<string> = ["reconnectSchedule", "credentials", "authentication"]

/** Of sessions and forwarders in a cluster: another node waits for their end. As in `ClusterTimings.session`. */
export const clusterDefaults = {
  session: {
    drainTimeout: "1 second",
    reconnect: { initialDelay: "200 millis", maxDelay: "30 seconds", permanentDelay: "5 seconds" }
  },
  forwarder: { stopTimeout: "1 second" }
} as const

/** The stores that all nodes of a cluster reach. */
const isShared = ({ type }: StoreOptions): boolean => type === "sql" || type === "redis"

class Checker {
  readonly issues: Array<ConfigurationIssue> = []
  readonly stores = new Map<string, StoreOptions>([[builtInStore, { type: "memory" }]])
  readonly sessions = new Map<string, SessionPlan>()
  readonly forwarders = new Map<string, ForwarderPlan>()
  cluster: ClusterPlan | undefined
  /** Whether the file has `cluster`, with or without mistakes. */
  #isInCluster = false
  /** Stores as they are written, secrets included. */
  readonly #storeEntries = new Map<string, unknown>()
  /** A forwarder is made again when it has to note topics, or no more. */
  #areTopicsSeen = false
  /** The names that the file has, those of entries with mistakes included. */
  #sessionNames = new Set<string>()
  #storeNames = new Set<string>([builtInStore])

  #mistake(path: Path, message: string): void {
    this.issues.push({ path, message })
  }

  store(name: string, entry: unknown): void {
    this.#storeNames.add(name)
    if (name === builtInStore) {
      return this.#mistake(["stores", name], "is built in; name a store of your own differently")
    }
    const store = OptionsSchema.decode(StoreSchema, entry, "gateway")
    if (Result.isFailure(store)) {
      this.issues.push(...issuesOf(store.failure, ["stores", name]))
      return
    }
    const { directory } = store.success
    for (const [other, options] of this.stores) {
      if (directory !== undefined && options.directory === directory) {
        this.#mistake(["stores", name, "directory"], `is that of the store ${other}`)
      }
    }
    this.stores.set(name, store.success)
    this.#storeEntries.set(name, entry)
  }

  /** With the whole file, a mistake elsewhere would hide those between its keys; the same holds for stores. */
  admin(entry: unknown): void {
    const admin = OptionsSchema.decode(AdminSchema, entry, "gateway")
    this.#areTopicsSeen = Result.isSuccess(admin) && admin.success.topics !== undefined
    if (Result.isFailure(admin)) this.issues.push(...issuesOf(admin.failure, ["admin"]))
  }

  /** After the stores. */
  clusterNode(entry: unknown): void {
    this.#isInCluster = true
    const decoded = OptionsSchema.decode(ClusterSchema, entry, "gateway")
    if (Result.isFailure(decoded)) {
      this.issues.push(...issuesOf(decoded.failure, ["cluster"]))
      return
    }
    const names = Array.from(this.stores).filter(([, { type }]) => type === "sql").map(([name]) => name)
    const { store = names.length === 1 ? names[0] : undefined } = decoded.success
    if (store === undefined) {
      const expected = names.length === 0
        ? "expected a store of the type sql in the file: its database says which node owns the sessions"
        : `expected store, one of those of the type sql: ${names.join(", ")}`
      return this.#mistake(["cluster"], expected)
    }
    if (!names.includes(store)) {
      // A store with a mistake of its own has no type here.
      const isKnown = this.stores.has(store) || !this.#storeNames.has(store)
      const all = names.length === 0 ? "" : `: ${names.join(", ")}`
      if (isKnown) this.#mistake(["cluster", "store"], `expected the name of a store of the type sql${all}`)
      return
    }
    this.cluster = { ...decoded.success, store, key: keyOf({ entry, store: this.#storeEntries.get(store) }) }
  }

  session(name: string, entry: unknown): void {
    this.#sessionNames.add(name)
    if (!isPlain(entry)) return
    const path = ["sessions", name]
    const { store, ...given } = entry
    for (const option of ["name", ...codeOptions]) {
      if (option in given) this.#mistake([...path, option], "no such option in a file")
    }
    const persistence = given["persistence"] ?? "durable"
    const isDurable = persistence === "durable"
    const storeName = store ?? (isDurable ? this.cluster?.store ?? builtInStore : undefined)
    if (storeName !== undefined && (typeof storeName !== "string" || !this.#storeNames.has(storeName))) {
      this.#mistake([...path, "store"], `expected the name of a store: ${Array.from(this.#storeNames).join(", ")}`)
    } else if (storeName !== undefined && !isDurable) {
      this.#mistake([...path, "store"], "only a session with the persistence durable has a store")
    } else if (this.#isInCluster && store !== undefined) {
      const options = this.stores.get(String(store))
      if (options !== undefined && !isShared(options)) {
        this.#mistake(
          [...path, "store"],
          "expected a store that all nodes of the cluster reach: of the type sql or redis"
        )
      }
    }
    const isVolatile = isDurable && this.stores.get(String(storeName))?.type === "memory"
    const own = Object.fromEntries(
      Object.entries(given).filter(([key]) => key !== "name" && !codeOptions.includes(key))
    )
    const options = SessionOptions.decode({
      // A server should not keep the session of a process that is gone much longer than it takes to start it again.
      ...(isVolatile ? { sessionExpiry: "1 hour" } : undefined),
      ...(this.#isInCluster ? withClusterDefaults(own) : own),
      name,
      persistence
    })
    if (Result.isFailure(options)) {
      this.issues.push(...issuesOf(options.failure, path))
      return
    }
    this.sessions.set(name, {
      options: options.success,
      store: isDurable ? String(storeName) : undefined,
      key: keyOf({ given, persistence, store: storeName, entry: this.#storeEntries.get(String(storeName)) })
    })
  }

  forwarder(name: string, entry: unknown): void {
    if (!isPlain(entry)) return
    const path = ["forwarders", name]
    if ("name" in entry) this.#mistake([...path, "name"], "no such option in a file: the table is the name")
    const { name: _, transforms: list = [], ...given } = entry
    const transforms = this.#transforms([...path, "transforms"], list)
    const defaults = this.#isInCluster ? clusterDefaults.forwarder : undefined
    const decoded = ForwarderOptions.decode({ ...defaults, ...given, name })
    if (Result.isFailure(decoded)) {
      this.issues.push(...issuesOf(decoded.failure, path))
      return
    }
    const { deadLetter, sources, target } = decoded.success
    for (const [index, source] of sources.entries()) {
      this.#expectSession(
        Array.isArray(given["sources"]) ? [...path, "sources", String(index)] : [...path, "sources"],
        source
      )
    }
    this.#expectSession([...path, "target"], target)
    if (deadLetter !== undefined) this.#expectSession([...path, "deadLetter", "session"], deadLetter.session)
    const store = this.sessions.get(target)?.store
    // A queue in memory is gone with the process, and a message in it would be lost when its source had forgotten it.
    const isVolatile = store !== undefined && this.stores.get(store)?.type === "memory"
    const options = isVolatile && decoded.success.acceptance === undefined
      ? { ...decoded.success, acceptance: "acknowledged" as const }
      : decoded.success
    this.forwarders.set(name, {
      options,
      transforms,
      key: keyOf({ given, transforms, acceptance: options.acceptance, areTopicsSeen: this.#areTopicsSeen })
    })
  }

  #transforms(path: Path, list: unknown): ReadonlyArray<Transform> {
    if (!Array.isArray(list)) {
      this.#mistake(path, "expected an array of tables")
      return []
    }
    const transforms = list.flatMap((each: unknown, index) => {
      const transform = decodeTransform(each)
      if (Result.isSuccess(transform)) return [transform.success]
      this.issues.push(...issuesOf(transform.failure, [...path, String(index)]))
      return []
    })
    // With a mistake among them, the indices are not those of the file.
    if (transforms.length < list.length) return transforms
    for (const { index, message } of transformsIssues(transforms)) {
      this.#mistake([...path, String(index), "type"], message)
    }
    return transforms
  }

  #expectSession(path: Path, name: string): void {
    if (!this.#sessionNames.has(name)) {
      this.#mistake(path, `there is no session ${name}: expected one of ${Array.from(this.#sessionNames).join(", ")}`)
    }
  }
}

const withClusterDefaults = (own: Plain): Plain => {
  const { reconnect, ...others } = { ...clusterDefaults.session, ...own }
  return {
    ...others,
    reconnect: isPlain(reconnect) ? { ...clusterDefaults.session.reconnect, ...reconnect } : reconnect
  }
}

const distinct = (issues: ReadonlyArray<ConfigurationIssue>): ReadonlyArray<ConfigurationIssue> =>
  Array.from(new Map(issues.map((issue) => [JSON.stringify(issue), issue])).values())

const entriesOf = (file: unknown, key: string): ReadonlyArray<readonly [string, unknown]> => {
  const value = isPlain(file) && Object.hasOwn(file, key) ? file[key] : undefined
  return isPlain(value) ? Object.entries(value) : []
}

/** Checks the values of a file. All mistakes are reported at once. */
export const decodeConfiguration = (
  file: unknown
): Result.Result<Configuration, ReadonlyArray<ConfigurationIssue>> => {
  const whole = OptionsSchema.decode(GatewaySchema, file, "gateway")
  const checker = new Checker()
  if (Result.isFailure(whole)) checker.issues.push(...issuesOf(whole.failure, []))
  if (isPlain(file) && Object.hasOwn(file, "admin")) checker.admin(file["admin"])
  for (const [name, entry] of entriesOf(file, "stores")) checker.store(name, entry)
  if (isPlain(file) && Object.hasOwn(file, "cluster")) checker.clusterNode(file["cluster"])
  for (const [name, entry] of entriesOf(file, "sessions")) checker.session(name, entry)
  for (const [name, entry] of entriesOf(file, "forwarders")) checker.forwarder(name, entry)
  if (Result.isSuccess(whole) && Object.keys(whole.success.sessions).length === 0) {
    checker.issues.push({ path: ["sessions"], message: "expected at least one session" })
  }
  if (Result.isFailure(whole) || checker.issues.length > 0) return Result.fail(distinct(checker.issues))
  const { cluster: _, forwarders: _forwarders, sessions: _sessions, stores: _stores, ...settings } = whole.success
  return Result.succeed({
    settings,
    cluster: checker.cluster,
    stores: checker.stores,
    sessions: checker.sessions,
    forwarders: checker.forwarders
  })
}
