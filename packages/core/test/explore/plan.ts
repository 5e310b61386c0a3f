/**
 * What a world of the exploration consists of, and how often each fault may happen in it.
 */
import type { EngineOptions } from "../../src/internal/engine/contract.ts"
import type { ProtocolVersion, QoS } from "../../src/QoS.ts"

/** One place for a consumer, taken by one consumer after the other. */
export interface PlannedSlot {
  /** Undefined: a consumer without a name. */
  readonly name?: string
  /** It is subscribed before the exploration begins. */
  readonly initial: boolean
}

/**
 * The faults and changes of mind that a world has; each number is how many of them one run has at most.
 */
export interface Budget {
  /** The network ends, with any prefix of what was on the way to the server arriving. */
  readonly cuts: number
  /** The process dies, anywhere in a turn, and the next one begins from the store. */
  readonly crashes: number
  /** The program ends in order, and the next one begins from the store. */
  readonly ends: number
  /** The server forgets the session while the client is away. */
  readonly losses: number
  /** A consumer leaves. */
  readonly leaves: number
  /** The name of a consumer is forgotten. */
  readonly forgets: number
  /** The clock moves beyond every hold. */
  readonly waits: number
  /** The wall clock jumps by a day. */
  readonly jumps: number
}

/** Limits that a server may announce in its next CONNACK. */
export type LimitName = "receiveMaximum1" | "maximumQoS1" | "maximumQoS0" | "smallPackets"

/**
 * What a server announces that grants everything. Packets to subscribe and to acknowledge stay below the size of
 * `smallPackets`.
 */
export const noLimits = { receiveMaximum: 65_535, maximumQoS: 2, maximumPacketSize: undefined } as const

/** What each limit is. */
export const limitsOf: Readonly<Record<LimitName, object>> = {
  receiveMaximum1: { ...noLimits, receiveMaximum: 1 },
  maximumQoS1: { ...noLimits, maximumQoS: 1 },
  maximumQoS0: { ...noLimits, maximumQoS: 0 },
  smallPackets: { ...noLimits, maximumPacketSize: 24 }
}

/**
 * A world to explore.
 */
export interface Plan {
  readonly name: string
  readonly protocolVersion: ProtocolVersion
  readonly durable: boolean
  /** QoS of each message from the client, and of each from the server, in order. */
  readonly toServer: ReadonlyArray<QoS>
  readonly toClient: ReadonlyArray<QoS>
  readonly slots: ReadonlyArray<PlannedSlot>
  readonly budget: Budget
  readonly limits: ReadonlyArray<LimitName>
  /** The server closes the connection over the first message from the client, every time. */
  readonly poison: boolean
  readonly options: EngineOptions
}

const noFaults: Budget = { cuts: 0, crashes: 0, ends: 0, losses: 0, leaves: 0, forgets: 0, waits: 0, jumps: 0 }

/** How long messages without a consumer are held in these worlds, in milliseconds. */
export const hold = 10_000

type PlanInput = Partial<Omit<Plan, "budget" | "options" | "name">> & {
  readonly budget?: Partial<Budget>
  readonly options?: Partial<EngineOptions>
}

/** A world with defaults: durable, version 5, nothing happens. */
export const plan = (name: string, input: PlanInput): Plan => {
  const { budget, options, ...rest } = input
  const protocolVersion = input.protocolVersion ?? 5
  const durable = input.durable ?? true
  return {
    name,
    toServer: [],
    toClient: [],
    slots: [],
    limits: [],
    poison: false,
    ...rest,
    protocolVersion,
    durable,
    budget: { ...noFaults, ...budget },
    options: {
      session: "session",
      life: "0",
      receiveMaximum: 65_535,
      topicAliasMaximum: 0,
      topicAliases: "auto",
      inboundLimit: 1_000_000,
      maxInflight: 65_535,
      maxInflightQoS2: 20,
      onSessionLost: "resubscribe",
      unacknowledgedOnSessionLost: "resend",
      subscriptionIdentifiers: "auto",
      onAckDeadline: "wait",
      protocolVersion,
      durable,
      queue: { messages: 20, bytes: 100_000, policy: "suspend" },
      unclaimed: { hold, messages: 100 },
      ackDeadline: 1e9,
      poisonThreshold: input.poison === true ? 3 : 0,
      subscribeTimeout: 30_000,
      ...options
    }
  }
}

/** Slots without names, all there from the beginning. */
export const unnamed = (count: number): ReadonlyArray<PlannedSlot> =>
  Array.from({ length: count }, () => ({ initial: true }))

/** Slots with names, all there from the beginning. */
export const named = (...names: ReadonlyArray<string>): ReadonlyArray<PlannedSlot> =>
  names.map((name) => ({ name, initial: true }))
