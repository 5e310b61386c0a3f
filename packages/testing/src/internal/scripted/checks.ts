/**
 * Checks of the options of the scripted broker, of its commands and of its faults.
 */
import type { BrokerCoreOptions, BrokerLimits } from "../broker/contract.ts"
import {
  bytes,
  callable,
  type Check,
  type Checks,
  duration,
  either,
  flag,
  having,
  listOf,
  number,
  oneOf,
  qos,
  record,
  recordOf,
  text,
  valuesOf
} from "../checks.ts"
import { profiles } from "../profiles/profiles.ts"
import type {
  CutOptions,
  ListenOptions,
  RecordMatch,
  RefusalOptions,
  ReleaseOptions,
  ServerPublishOptions
} from "./contract.ts"
import type { Fault, PacketMatch } from "./fault.ts"

export const limitChecks: Checks<BrokerLimits> = {
  receiveMaximum: number(1, 65_535),
  receiveMaximum311: number(1),
  maximumInflight: number(1),
  maximumQueued: number(0),
  maximumPacketSize: number(1),
  maximumQoS: qos,
  retainAvailable: flag,
  wildcardSubscriptionAvailable: flag,
  subscriptionIdentifiersAvailable: flag,
  sharedSubscriptionAvailable: flag,
  topicAliasMaximum: number(0, 65_535),
  serverKeepAlive: number(0, 65_535),
  maximumSessionExpiryInterval: number(0)
}

export const coreChecks: Checks<BrokerCoreOptions> = {
  limits: recordOf(limitChecks),
  overlapping: oneOf("merge", "separate"),
  assignTopicAliases: flag,
  queueQoS0: flag,
  retainedBeforeSuback: flag,
  enforceKeepAlive: flag,
  authenticate: callable,
  authenticateEnhanced: callable,
  authorizePublish: callable,
  authorizeSubscribe: callable,
  journal: having("append", "load", "replace"),
  firstSequence: number(0),
  holdAcknowledgement: callable,
  onPublished: callable,
  onDelivery: callable,
  onPublicationSettled: callable,
  onViolation: callable
}

const recording = either(flag, number(0))

const {
  authenticate: _authenticate,
  firstSequence: _firstSequence,
  holdAcknowledgement: _hold,
  onPublicationSettled: _settled,
  ...scripted
} = coreChecks

export const brokerChecks: Checks<ListenOptions> = {
  ...scripted,
  profile: oneOf(...Object.keys(profiles)),
  throttling: flag,
  users: valuesOf(text),
  record: recording,
  seed: number(-Infinity),
  maximumPendingBytes: number(0),
  webSocket: flag
}

const direction = oneOf("received", "sent")
const tag = oneOf(
  "Connect",
  "Connack",
  "Publish",
  "Puback",
  "Pubrec",
  "Pubrel",
  "Pubcomp",
  "Subscribe",
  "Suback",
  "Unsubscribe",
  "Unsuback",
  "Pingreq",
  "Pingresp",
  "Disconnect",
  "Auth"
)

export const matchChecks: Checks<RecordMatch> = {
  direction,
  packet: tag,
  clientId: text,
  connection: number(0),
  where: callable,
  nth: number(1),
  fromNow: flag
}

const packetMatchChecks: Checks<PacketMatch> = {
  direction,
  packet: either(tag, listOf(tag)),
  clientId: text,
  connection: either(number(0), oneOf("next")),
  nth: number(1),
  where: callable,
  probability: number(0, 1)
}

const match = recordOf(packetMatchChecks)

export const faultChecks: Checks<Fault> = {
  match,
  action: record,
  times: number(0)
}

/** The checks of faults, by the names of their arguments and options. */
export const faultArguments = {
  match,
  by: callable,
  bytes,
  duration,
  value: flag
} satisfies { readonly [name: string]: Check }
export const faultOptions = {
  reset: { reset: flag },
  cut: { reset: flag, bytes: number(0) },
  copies: { copies: number(0) },
  order: { count: number(1), order: oneOf("reverse", "shuffle") },
  instead: { instead: flag },
  clientId: { clientId: text }
} satisfies { readonly [kind: string]: { readonly [name: string]: Check } }

/** The checks of commands, by the names of their arguments. */
export const argumentChecks = {
  target: either(text, number(0)),
  count: number(0),
  clientId: text,
  condition: callable,
  record: recording,
  packet: record,
  bytes,
  duration,
  fault: recordOf(faultChecks),
  limits: recordOf(limitChecks),
  reasonCode: number(0, 255),
  filter: text
} satisfies { readonly [name: string]: Check }

export const publishChecks: Checks<ServerPublishOptions> = { qos, retain: flag, properties: record }
export const cutChecks = { reset: flag } satisfies { readonly [name: string]: Check }
export const releaseChecks: Checks<ReleaseOptions> = {
  order: oneOf("original", "reverse", "shuffle"),
  count: number(0)
}
export const refusalChecks: Checks<RefusalOptions & { readonly clientId?: string }> = {
  times: number(0),
  clientId: text
}
export const timesChecks: Checks<RefusalOptions> = { times: number(0) }
export const cutterChecks: Checks<CutOptions> = {
  packets: (value) => Array.isArray(value) && value.length === 2 ? listOf(number(0))(value) : "must be two numbers",
  seed: number(-Infinity),
  limit: number(0),
  handshake: flag,
  clientId: text
}
