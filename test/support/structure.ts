import * as Path from "node:path/posix"
import { importsOf, lineOf, type Node, parse, type Source, walk } from "./source.ts"

/** The sources of one package: path below `src` (with `/`) to text. */
export type Tree = ReadonlyMap<string, string>

/**
 * Floors of a package. A file belongs to the first row that fits: its own path, or a folder with everything below. A
 * file that fits no row is a violation, so that a new concept gets its floor by a decision.
 */
export type Floors = ReadonlyArray<readonly [floor: number, places: ReadonlyArray<string>]>

/** The floors of the core. */
export const floors: Floors = [
  [0, [
    "Authentication.ts",
    "Credentials.ts",
    "Message.ts",
    "MqttError.ts",
    "OptionsSchema.ts",
    "PayloadCodec.ts",
    "PeerText.ts",
    "Properties.ts",
    "Publication.ts",
    "QoS.ts",
    "ReasonCode.ts",
    "ServerAddress.ts",
    "SessionOptions.ts",
    "SessionStore.ts",
    "StoreLease.ts",
    "StoreRecord.ts",
    "Subscription.ts",
    "Topic.ts",
    "TopicTemplate.ts",
    "TopicTree.ts",
    "TraceContext.ts",
    "Transport.ts",
    "internal/errors/",
    "internal/options/",
    "internal/store/",
    "internal/topicTemplate/"
  ]],
  [1, ["Codec.ts", "Packet.ts", "StoreRecordCodec.ts", "internal/codec/"]],
  [2, ["MqttJs.ts", "internal/browser/", "internal/connection/", "internal/mqttJs/", "internal/node/"]],
  [3, ["internal/engine/"]],
  [4, [
    "FlightRecorder.ts",
    "MqttSession.ts",
    "RequestResponse.ts",
    "SessionEvent.ts",
    "SessionLog.ts",
    "SessionStatus.ts",
    "internal/requests/",
    "internal/session/"
  ]],
  [5, [
    "RouteFilter.ts",
    "RouteTransformer.ts",
    "SessionManager.ts",
    "SessionMap.ts",
    "SessionPool.ts",
    "SessionRoute.ts",
    "internal/manager/"
  ]],
  [6, [
    "Forwarder.ts",
    "ForwarderManager.ts",
    "ForwarderMetrics.ts",
    "ForwarderOptions.ts",
    "internal/forwarder/"
  ]]
]

/** What packages stand on besides the core. */
export const packagesBelow: Readonly<Record<string, ReadonlyArray<string>>> = {
  browser: ["@effect-mqttx/store-kvs"],
  cli: [
    "@effect-mqttx/cluster",
    "@effect-mqttx/metrics",
    "@effect-mqttx/store-file",
    "@effect-mqttx/store-redis",
    "@effect-mqttx/store-sql"
  ]
}

/** The floors of packages that stand on the core. */
export const packageFloors: Readonly<Record<string, Floors>> = {
  browser: [
    [0, ["internal/"]],
    [1, ["IndexedDbStore.ts", "SharedSession.ts"]]
  ],
  cli: [
    [0, [
      "internal/failure.ts",
      "internal/format.ts",
      "internal/jsonPath.ts",
      "internal/lines.ts",
      "internal/progress.ts"
    ]],
    [1, ["internal/connection.ts", "internal/output.ts", "internal/payload.ts"]],
    [2, ["internal/pub.ts", "internal/sub.ts", "internal/request.ts", "internal/recording/", "internal/bench/"]],
    [3, ["internal/doctor/", "internal/gateway/", "internal/store/"]],
    [4, ["internal/simulate/"]],
    [5, ["Cli.ts"]],
    [6, ["internal/program.ts"]],
    [7, ["internal/main.ts"]]
  ],
  metrics: [
    [0, ["MqttSnapshot.ts", "internal/snapshot/"]],
    [1, ["internal/series/"]],
    [2, ["MqttMetrics.ts"]],
    [3, ["internal/http/"]],
    [4, ["internal/page/"]],
    [5, ["MetricsRoutes.ts", "MetricsServer.ts", "NodeMetricsServer.ts"]]
  ],
  cluster: [
    [0, ["ClusterSessionError.ts", "ClusterTimings.ts", "internal/fence.ts", "internal/wire.ts"]],
    [1, ["internal/ownedSession.ts", "internal/protocol.ts"]],
    [2, ["internal/calls.ts", "internal/nodeSessions.ts"]],
    [3, ["internal/owner.ts", "internal/roster.ts"]],
    [4, ["ClusterSession.ts", "ClusterSingleton.ts"]]
  ],
  credentials: [
    [0, ["internal/"]],
    [1, [
      "AwsCustomAuthorizer.ts",
      "AwsSigV4.ts",
      "AzureSas.ts",
      "ConfigCredentials.ts",
      "FileCredentials.ts",
      "Jwt.ts",
      "OAuth2.ts",
      "Scram.ts"
    ]]
  ],
  msgpack: [[0, ["MessagePack.ts"]]],
  rpc: [
    [0, [
      "MqttRpcError.ts",
      "internal/assembly.ts",
      "internal/callNumbers.ts",
      "internal/inbox.ts",
      "internal/messages.ts",
      "internal/options.ts",
      "internal/packets.ts",
      "internal/suspects.ts",
      "internal/topics.ts"
    ]],
    [1, [
      "internal/clientCalls.ts",
      "internal/clientTable.ts",
      "internal/failures.ts",
      "internal/link.ts",
      "internal/notices.ts"
    ]],
    [2, ["internal/replies.ts", "internal/requestPublication.ts"]],
    [3, ["internal/client.ts", "internal/server.ts"]],
    [4, ["MqttRpcClient.ts", "MqttRpcServer.ts"]]
  ],
  socket: [[0, ["SocketTransport.ts"]]],
  "store-kvs": [
    [0, ["internal/"]],
    [1, ["SessionStoreKvs.ts"]]
  ],
  "store-sql": [
    [0, ["internal/"]],
    [1, ["SqlInbox.ts", "SqliteClient.ts", "SqlOutbox.ts", "SqlStore.ts"]]
  ]
}

/**
 * What the platform chooses stands beside the connection. Its contract names it all the same, as the default; the
 * choice is made by an export condition, so that no leaf depends on a file above.
 */
const seam = { specifier: "#transport", floor: 2, contract: "Transport.ts" } as const

/** Floors that do not know each other although one lies above the other. */
const strangers: ReadonlyArray<readonly [string, string]> = [
  ["internal/engine/", "internal/connection/"],
  ["internal/engine/", "internal/node/"],
  ["internal/engine/", "internal/browser/"]
]

export const floorOf = (path: string, all: Floors = floors): number | undefined => {
  for (const [floor, places] of all) {
    for (const place of places) {
      if (place.endsWith("/") ? path.startsWith(place) : path === place) return floor
    }
  }
  // Helpers that lie directly in `internal` are at everybody's service, therefore they may only stand on the leaves.
  return /^internal\/[^/]+\.ts$/.test(path) ? 0 : undefined
}

export const resolveRelative = (from: string, specifier: string): string =>
  Path.normalize(Path.join(Path.dirname(from), specifier))

const sources = (tree: Tree): ReadonlyArray<Source> => Array.from(tree, ([path, text]) => parse(path, text))

/** Groups of files that import each other in a circle, type-only imports included. */
export const circles = (tree: Tree): ReadonlyArray<ReadonlyArray<string>> => {
  const targets = new Map(
    sources(tree).map((source) => [
      source.path,
      importsOf(source).map(({ specifier }) => resolveRelative(source.path, specifier)).filter((path) => tree.has(path))
    ])
  )
  const found = new Map<string, ReadonlyArray<string>>()
  for (const start of targets.keys()) {
    const reachable = reachableFrom(start, targets)
    if (!reachable.has(start)) continue
    const circle = Array.from(reachable).filter((path) => reachableFrom(path, targets).has(start)).sort()
    found.set(circle.join(), circle)
  }
  return Array.from(found.values())
}

/** What a file imports, what that imports, and so on; the file itself only when it is among that. */
const reachableFrom = (
  start: string,
  targets: ReadonlyMap<string, ReadonlyArray<string>>
): ReadonlySet<string> => {
  const reached = new Set<string>()
  const waiting = [start]
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    for (const target of targets.get(path) ?? []) {
      if (reached.has(target)) continue
      reached.add(target)
      waiting.push(target)
    }
  }
  return reached
}

/**
 * Imports of a package that point up, join strangers, leave `src`, or come from a file without a floor. The core
 * imports no other package, and the others nothing but the core and the packages `below`.
 */
export const floorViolations = (
  tree: Tree,
  all: Floors = floors,
  below: ReadonlyArray<string> = []
): ReadonlyArray<string> => {
  const violations: Array<string> = []
  for (const source of sources(tree)) {
    const path = source.path
    if (path === "index.ts") continue
    const floor = floorOf(path, all)
    if (floor === undefined) {
      violations.push(`${path}: stands on no floor`)
      continue
    }
    for (const { specifier, line } of importsOf(source)) {
      const at = `${path}:${line}`
      if (specifier.startsWith("#")) {
        if (specifier !== seam.specifier) {
          violations.push(`${at}: imports ${specifier}, which is not known here`)
        } else if (path !== seam.contract && (floor < seam.floor || path.startsWith("internal/engine/"))) {
          violations.push(`${at}: floor ${floor} imports ${specifier}`)
        }
        continue
      }
      if (!specifier.startsWith(".")) {
        const isBelow = all !== floors && ["@effect-mqttx/core", ...below].some((name) => isOrUnder(specifier, name))
        if (specifier.startsWith("@effect-mqttx/") && !isBelow) {
          violations.push(`${at}: imports a package above: ${specifier}`)
        }
        continue
      }
      const target = resolveRelative(path, specifier)
      if (!tree.has(target)) {
        violations.push(`${at}: imports ${target}, which is not a file of src`)
        continue
      }
      const targetFloor = floorOf(target, all)
      if (targetFloor === undefined) {
        violations.push(`${at}: imports ${target}, which stands on no floor`)
      } else if (targetFloor > floor) {
        violations.push(`${at}: floor ${floor} imports ${target} of floor ${targetFloor}`)
      } else if (
        strangers.some(([a, b]) =>
          (path.startsWith(a) && target.startsWith(b)) || (path.startsWith(b) && target.startsWith(a))
        )
      ) {
        violations.push(`${at}: ${target} is a stranger to it`)
      }
    }
  }
  return violations
}

const isOrUnder = (specifier: string, name: string): boolean => specifier === name || specifier.startsWith(`${name}/`)

/** Imports of MQTT.js (and of its codec) outside of the module that is allowed to know it. */
export const mqttViolations = (tree: Tree, allowed?: string): ReadonlyArray<string> => {
  const violations: Array<string> = []
  for (const source of sources(tree)) {
    for (const { specifier, line } of importsOf(source)) {
      const forbidden = (isOrUnder(specifier, "mqtt") && !(allowed !== undefined && source.path === allowed)) ||
        isOrUnder(specifier, "mqtt-packet")
      if (forbidden) violations.push(`${source.path}:${line}: imports ${specifier}`)
    }
  }
  return violations
}

/** Relative imports that leave the `src` of a package: packages know each other by name only. */
export const escapeViolations = (tree: Tree): ReadonlyArray<string> => {
  const violations: Array<string> = []
  for (const source of sources(tree)) {
    for (const { specifier, line } of importsOf(source)) {
      if (specifier.startsWith(".") && resolveRelative(source.path, specifier).startsWith("..")) {
        violations.push(`${source.path}:${line}: imports ${specifier}, outside of its package`)
      }
    }
  }
  return violations
}

/** What an optional peer is needed for, or few programs load: a subpath, never part of the entry. */
const subpaths: ReadonlySet<string> = new Set([
  "AedesBroker.ts",
  "FlightRecorder.ts",
  "MqttJs.ts",
  "NodeMetricsServer.ts"
])

/** Public concepts (files directly in `src`) that the barrel does not export under their own name. */
export const barrelViolations = (tree: Tree): ReadonlyArray<string> => {
  const text = tree.get("index.ts")
  if (text === undefined) return ["index.ts is missing"]
  const exported = new Map<string, string>()
  for (const node of parse("index.ts", text).program.body as ReadonlyArray<Node>) {
    const exportedAs = node.exported as { readonly name?: string } | null | undefined
    if (node.type === "ExportAllDeclaration" && exportedAs?.name !== undefined) {
      exported.set((node.source as Node).value as string, exportedAs.name)
    }
  }
  const violations: Array<string> = []
  for (const path of tree.keys()) {
    if (path.includes("/") || path === "index.ts" || subpaths.has(path)) continue
    const name = path.slice(0, -".ts".length)
    if (exported.get(`./${path}`) !== name) violations.push(`index.ts: lacks export * as ${name} from "./${path}"`)
    exported.delete(`./${path}`)
  }
  for (const specifier of exported.keys()) {
    violations.push(`index.ts: exports ${specifier}, which is not a concept of src`)
  }
  return violations
}

/** What a browser loads with the core's entry: its sources, and what is missing. */
export const reachable = (
  tree: Tree,
  entry: string,
  seam: Readonly<Record<string, string>>
): { readonly files: ReadonlyArray<Source>; readonly violations: ReadonlyArray<string> } => {
  const files = new Map<string, Source>()
  const violations: Array<string> = []
  const visit = (path: string, from: string): void => {
    if (files.has(path)) return
    const text = tree.get(path)
    if (text === undefined) {
      violations.push(`${from}: imports ${path}, which is not a file of src`)
      return
    }
    const source = parse(path, text)
    files.set(path, source)
    for (const { specifier, line } of importsOf(source)) {
      const target = seam[specifier] ?? (specifier.startsWith(".") ? resolveRelative(path, specifier) : undefined)
      if (target !== undefined) visit(target, `${path}:${line}`)
    }
  }
  visit(entry, "package.json")
  return { files: Array.from(files.values()), violations }
}

const nodeModules =
  /^(?:node:|(?:assert|buffer|child_process|cluster|crypto|dgram|dns|events|fs|http|http2|https|module|net|os|path|perf_hooks|process|punycode|querystring|readline|repl|stream|string_decoder|timers|tls|tty|url|util|v8|vm|worker_threads|zlib)(?:\/|$)|@effect\/platform-node)/

const nodeGlobals = new Set([
  "Buffer",
  "NodeJS",
  "__dirname",
  "__filename",
  "clearImmediate",
  "global",
  "process",
  "require",
  "setImmediate"
])

/** Imports of Node's modules and uses of its globals: neither exists in a browser. */
export const nodeViolations = (files: ReadonlyArray<Source>): ReadonlyArray<string> => {
  const violations: Array<string> = []
  for (const source of files) {
    for (const { specifier, line } of importsOf(source)) {
      if (nodeModules.test(specifier)) violations.push(`${source.path}:${line}: imports ${specifier}`)
    }
    const uses: Array<Node> = []
    const declared = new Set<string>()
    walk(source.program, (node, parent, key) => {
      if (node.type !== "Identifier") return
      const name = node.name as string
      if (!nodeGlobals.has(name) || parent === undefined) return
      if (key === "params" || (key === "id" && parent.type !== "TSTypeParameter") || key === "local") declared.add(name)
      else if (!((key === "key" || key === "property") && parent.computed !== true)) uses.push(node)
    })
    for (const use of uses) {
      const name = use.name as string
      if (!declared.has(name)) violations.push(`${source.path}:${lineOf(source, use.start)}: uses the global ${name}`)
    }
  }
  return violations
}
