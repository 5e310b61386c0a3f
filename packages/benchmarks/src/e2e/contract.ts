/**
 * What the processes of the end-to-end rows say to each other.
 */

export interface EndRequest {
  /** `raw` is MQTT.js, `socket` a bare socket. */
  readonly client: "session" | "raw" | "socket"
  readonly role: "publish" | "receive"
  readonly url: string
  readonly port: number
  /** The authority of a TLS server. */
  readonly ca?: string
  readonly protocolVersion: 4 | 5
  readonly qos: 0 | 1 | 2
  readonly payloadBytes: number
}

export const topics: ReadonlyArray<string> = Array.from({ length: 8 }, (_, index) => `plant/room${index}/temperature`)

export const filter = "plant/#"

/** Publish so many messages and wait until they are settled, or wait until so many have arrived. */
export interface RunRequest {
  readonly _tag: "Run"
  readonly count: number
}

export type EndReply =
  | { readonly _tag: "Ready" }
  /** Microseconds of processor time since the request. */
  | { readonly _tag: "Done"; readonly cpu: number }
