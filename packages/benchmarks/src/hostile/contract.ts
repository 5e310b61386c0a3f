/**
 * What the processes of the hostile benchmark say to each other.
 */

/** What the attacked session does with what it gets. */
export type Behaviour =
  /** A handler at QoS 1 and 2 that never ends. */
  | "stalledHandler"
  /** A stream whose consumer stopped after the first message. */
  | "stalledStream"
  /** It has no subscription, and publishes at QoS 2. */
  | "publisher"
  /** It only wants to connect. */
  | "connecting"

/** The part of an attack that the attacked process has to know. */
export interface Target {
  readonly port: number
  readonly protocolVersion: 4 | 5
  readonly transport: "tcp" | "ws"
  readonly behaviour: Behaviour
  readonly qos: 0 | 1 | 2
}

/** The topic of every attack, and one without a subscription. */
export const topic = "attack/topic"
export const otherTopic = "elsewhere"

export interface VictimRequest {
  readonly _tag: "Sample"
}

export type VictimReply =
  | { readonly _tag: "Ready"; readonly resident: number }
  | {
    readonly _tag: "Sample"
    /** Bytes: the highest resident memory since `Ready`. */
    readonly peak: number
    /** Milliseconds: the longest time that the event loop stood still. */
    readonly stall: number
    readonly state: string
    readonly received: number
    readonly connects: number
  }

export type PeerReply =
  | { readonly _tag: "Listening"; readonly port: number }
  /** The attack is over: everything was sent, or the other side took no more. */
  | { readonly _tag: "Done"; readonly bytes: number; readonly connections: number; readonly note: string }
