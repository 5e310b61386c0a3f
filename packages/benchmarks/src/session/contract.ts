/**
 * What the processes of the session benchmark say to each other.
 */

/** How one side is used. */
export type Mode =
  | "onMessage"
  | "batches"
  | "messages"
  | "publishAll"
  | "publish"
  | "callback"
  | "async"
  | "bare"
  | "receive"
  | "send"

/** One side of a comparison: it runs in a process of its own. */
export interface Side {
  /** `raw` is MQTT.js, `socket` a bare socket. */
  readonly client: "raw" | "session" | "socket"
  readonly mode: Mode
  readonly qos: 0 | 1
  /** Publishes that wait for their outcome at the same time; 0 where the client decides. */
  readonly outstanding: number
  /** Its figures are exported, and read once a second. */
  readonly watched?: boolean
  /** Other topic filters that are subscribed to before, to which nothing is sent. Default 0. */
  readonly idleFilters?: number
  /** Streams, or listeners, that all get every message. Default 1. */
  readonly streams?: number
  /** Bytes of a session's flight record. Default 0: there is none. */
  readonly flightRecorder?: number
  /** Bytes of a payload, where it is not what the flags say. */
  readonly payloadBytes?: number
}

export interface Conditions {
  readonly port: number
  readonly protocolVersion: 4 | 5
  readonly payloadBytes: number
}

/** Topics that a side publishes to, and that the peer floods. */
export const topics: ReadonlyArray<string> = Array.from({ length: 8 }, (_, index) => `plant/room${index}/temperature`)

/** The filter of every subscription. */
export const filter = "plant/#"

/** The filter of several streams, and the one whose subscription says that all of them are there. */
export const sharedFilter = "plant/+/temperature"
export const startFilter = "plant/start"

/** A filter to which nothing is sent: a neighbour of the topics in the tree of filters. */
export const idleFilter = (index: number): string => `plant/room${index % topics.length}/idle${index}`

/** What the orchestrator asks a side. */
export type SideRequest =
  | { readonly _tag: "Sample" }
  /** Publish no more and settle what is under way, or wait until `expected` messages have arrived. */
  | { readonly _tag: "Stop"; readonly expected: number }
  | { readonly _tag: "Exit" }

export type SideReply =
  | { readonly _tag: "Ready" }
  | SideSample
  | { readonly _tag: "Stopped"; readonly count: number; readonly note: string }

export interface SideSample {
  readonly _tag: "Sample"
  /** Messages received, or settled, since the start. */
  readonly count: number
  /** Milliseconds of this process' own monotonic clock. */
  readonly at: number
  /** Microseconds of processor time. */
  readonly cpu: number
}

/** What the orchestrator asks the peer. */
export type PeerRequest = { readonly _tag: "Reset" } | { readonly _tag: "Sample" } | { readonly _tag: "StopFlood" }

export type PeerReply = { readonly _tag: "Listening"; readonly port: number } | PeerSample

export interface PeerSample {
  readonly _tag: "Sample"
  /** PUBLISH packets that came from the client. */
  readonly received: number
  /** PUBLISH packets handed to the socket. */
  readonly sent: number
  /** PUBACK packets that came from the client, in the order of the PUBLISH packets. */
  readonly acknowledged: number
  /** What the client did wrong, if anything. */
  readonly fault: string
  readonly at: number
  readonly cpu: number
}
