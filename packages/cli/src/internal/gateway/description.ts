/**
 * What a gateway would do, in words and as JSON, for `gateway --check`. No secret is in it: servers have no user names,
 * passwords and queries.
 */
import type { ClusterPlan, Configuration, ForwarderPlan, SessionPlan } from "./configuration.ts"

const aligned = (rows: ReadonlyArray<readonly [string, string]>): ReadonlyArray<string> => {
  const width = Math.max(0, ...rows.map(([name]) => name.length))
  return rows.map(([name, what]) => `  ${name.padEnd(width)}  ${what}`)
}

const sessionLine = ({ options, store }: SessionPlan): string =>
  [
    options.servers.join(", "),
    options.protocolVersion === 5 ? "MQTT 5" : "MQTT 3.1.1",
    ...options.clientId === undefined ? [] : [`client identifier ${options.clientId}`],
    ...options.username === undefined ? [] : ["with a user name"],
    store === undefined ? `persistence ${options.persistence}` : `store ${store}`
  ].join("; ")

const qosText = (qos: ForwarderPlan["options"]["qos"]): string =>
  qos === "keep" ? "as published" : "cap" in qos ? `at most ${qos.cap}` : String(qos.fix)

const forwarderLine = ({ options, transforms }: ForwarderPlan): string =>
  [
    `${options.sources.join(", ")} to ${options.target}: ${options.filters.join(" ")}`,
    `QoS ${qosText(options.qos)}`,
    ...options.mapping.length === 0 ? [] : [`${options.mapping.length} mapping rules`],
    ...transforms.length === 0 ? [] : [`transforms ${transforms.map(({ type }) => type).join(", ")}`],
    ...options.deadLetter === undefined
      ? []
      : [`dead letters to ${options.deadLetter.topic} by ${options.deadLetter.session}`],
    ...options.enabled ? [] : ["not started"]
  ].join("; ")

interface Address {
  readonly host: string
  readonly port: string | number
}

/** The address of a node of a cluster. */
export const nodeAddress = ({ host, port }: Address): string => `${host.includes(":") ? `[${host}]` : host}:${port}`

const addressOf = (address: Address): string => `http://${nodeAddress(address)}/`

const clusterText = ({ host, port, store, timings }: ClusterPlan): string =>
  `node ${nodeAddress({ host, port })}; locks in the store ${store}; timings ${timings}; ` +
  "one node at a time has all sessions and forwarders"

/** The lines of `--check`, below the line that says that the file is valid. */
export const describe = ({ cluster, forwarders, sessions, settings, stores }: Configuration): ReadonlyArray<string> => {
  const usedStores = new Set(Array.from(sessions.values(), ({ store }) => store))
  const shown = Array.from(stores).filter(([name, { type }]) => type !== "memory" || usedStores.has(name))
  return [
    "stores",
    ...aligned(
      shown.map(([name, { directory, type }]) => [name, directory === undefined ? type : `${type} ${directory}`])
    ),
    "sessions",
    ...aligned(Array.from(sessions, ([name, plan]) => [name, sessionLine(plan)])),
    "forwarders",
    ...aligned(Array.from(forwarders, ([name, plan]) => [name, forwarderLine(plan)])),
    ...cluster === undefined ? [] : [`cluster: ${clusterText(cluster)}`],
    `metrics: ${settings.metrics === undefined ? "none" : addressOf(settings.metrics)}`,
    `admin: ${settings.admin === undefined ? "none" : addressOf(settings.admin)}`
  ]
}

/** The same for programs. */
export const describeJson = ({ cluster, forwarders, sessions, settings, stores }: Configuration): object => ({
  stores: Object.fromEntries(Array.from(stores, ([name, { directory, type }]) => [name, {
    type,
    ...(directory === undefined ? undefined : { directory })
  }])),
  sessions: Object.fromEntries(Array.from(sessions, ([name, { options, store }]) => [name, {
    servers: options.servers,
    protocolVersion: options.protocolVersion,
    persistence: options.persistence,
    ...(options.clientId === undefined ? undefined : { clientId: options.clientId }),
    ...(store === undefined ? undefined : { store })
  }])),
  forwarders: Object.fromEntries(Array.from(forwarders, ([name, { options }]) => [name, {
    sources: options.sources,
    filters: options.filters,
    target: options.target,
    enabled: options.enabled
  }])),
  ...(cluster === undefined
    ? undefined
    : { cluster: { node: nodeAddress(cluster), store: cluster.store, timings: cluster.timings } }),
  ...(settings.metrics === undefined ? undefined : { metrics: addressOf(settings.metrics) }),
  ...(settings.admin === undefined ? undefined : { admin: addressOf(settings.admin) })
})
