/**
 * What is expected of each server, version and network. The table of docs/interop.md is made of this, and the suite
 * holds the servers against it.
 */
import type { Options } from "../session/behaviourWorld.ts"

export const networks = ["tcp", "tls", "mtls", "ws", "wss"] as const
export type Network = typeof networks[number]

export const serverNames = ["mosquitto", "aedes", "RabbitMQ", "NATS", "ejabberd"] as const
export type ServerName = typeof serverNames[number]

export const features = ["QoS 0", "QoS 1", "QoS 2", "retained", "offline"] as const
/** `offline`: what was published while a durable session was away comes when it is back. */
export type Feature = typeof features[number]

/** A server in one version. */
export interface Row {
  readonly server: ServerName
  readonly version: 4 | 5
  /** The version that the row was measured with. */
  readonly release: string
  /** The tag of the reason with which every connection is refused, and why. */
  readonly refused?: {
    readonly reason: string
    readonly why: string
    /** Where the reason differs. */
    readonly over?: Readonly<Partial<Record<Network, string>>>
  }
  /** The tags of the reasons with which a session refuses a feature, and why. */
  readonly without?: Readonly<Partial<Record<Feature, { readonly reason: string; readonly why: string }>>>
  /** What sessions are told about the server. */
  readonly serverLimits?: Options<never>["serverLimits"]
}

const withoutQoS2 = { reason: "NotSupported", why: "the server has no QoS 2; `serverLimits` say so on 3.1.1" }

const withoutMqtt5 = "this release speaks MQTT 3.1.1 only"

export const rows: ReadonlyArray<Row> = [
  { server: "mosquitto", version: 4, release: "2.0.11" },
  { server: "mosquitto", version: 5, release: "2.0.11" },
  { server: "aedes", version: 4, release: "2.0.0-beta.1" },
  { server: "aedes", version: 5, release: "2.0.0-beta.1" },
  {
    server: "RabbitMQ",
    version: 4,
    release: "3.10.8",
    without: { "QoS 2": withoutQoS2 },
    serverLimits: { maximumQoS: 1 }
  },
  {
    server: "RabbitMQ",
    version: 5,
    release: "3.10.8",
    refused: {
      reason: "ConnectionRefused",
      why:
        `${withoutMqtt5}, and closes the connection without CONNACK; over mtls this looks like a refused certificate`,
      over: { mtls: "TlsFailure" }
    }
  },
  {
    server: "NATS",
    version: 4,
    release: "2.9.10",
    without: { "QoS 2": withoutQoS2 },
    serverLimits: { maximumQoS: 1 }
  },
  { server: "NATS", version: 5, release: "2.9.10", refused: { reason: "UnsupportedVersion", why: withoutMqtt5 } },
  { server: "ejabberd", version: 4, release: "23.01" },
  { server: "ejabberd", version: 5, release: "23.01" }
]

/** The tag of the reason with which every connection over this network is refused; undefined: it is not. */
export const refusalOf = ({ refused }: Row, network: Network): string | undefined =>
  refused?.over?.[network] ?? refused?.reason

/** The table of docs/interop.md. */
export const table = (): string => {
  const cell = (row: Row, network: Network): string => {
    const refusal = refusalOf(row, network)
    if (refusal !== undefined) return `refused: \`${refusal}\``
    const lacks = Object.entries(row.without ?? {}).map(([feature, { reason }]) => `${feature} refused: \`${reason}\``)
    return lacks.length === 0 ? "passed" : `passed; ${lacks.join("; ")}`
  }
  const why = ({ refused, without }: Row): string =>
    [refused, ...Object.values(without ?? {})].flatMap((each) => each === undefined ? [] : [each.why]).join("; ")
  return [
    `| Server | MQTT | ${networks.join(" | ")} | Why |`,
    `| --- | --- | ${networks.map(() => "---").join(" | ")} | --- |`,
    ...rows.map((row) =>
      `| ${row.server} ${row.release} | ${row.version === 4 ? "3.1.1" : "5"} | ${
        networks.map((network) => cell(row, network)).join(" | ")
      } | ${why(row)} |`
    )
  ].join("\n")
}
