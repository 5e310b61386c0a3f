/**
 * Reason codes of MQTT 5.0 (section 2.4) and return codes of MQTT 3.1.1 (sections 3.2.2.3 and 3.9.3): their names, the
 * packets that may carry them, and whether a failure with one may pass by itself.
 *
 * A code is transient when the same request may succeed later without any change by the client. It is permanent when
 * only a change of credentials, rights, options or server can help. Codes that this version of the specification does
 * not define count as transient.
 *
 * The two numberings never collide where both may appear: the return codes 1 to 5 of a 3.1.1 CONNACK are not reason
 * codes of an MQTT 5 CONNACK, and 0x80 in a 3.1.1 SUBACK has the same meaning as in an MQTT 5 one.
 *
 * Size: one list of the codes, with the documentation of each.
 */
import type { ProtocolVersion } from "./QoS.ts"

/**
 * The packet types that carry reason codes.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type PacketTag =
  | "Connack"
  | "Puback"
  | "Pubrec"
  | "Pubrel"
  | "Pubcomp"
  | "Suback"
  | "Unsuback"
  | "Disconnect"
  | "Auth"

/** Whether a failure may pass by itself (`transient`) or needs a change first (`permanent`). */
type Permanence = "transient" | "permanent"

/**
 * What the specification says about a code.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface ReasonCode {
  /** The value on the wire, 0 to 0xff. */
  readonly code: number
  /** The name in the specification. */
  readonly name: string
  /** One sentence of explanation. */
  readonly meaning: string
  /** The packets that may carry the code. */
  readonly packets: ReadonlyArray<PacketTag>
  /** `true` for codes from 0x80 on and for the 3.1.1 return codes 1 to 5. */
  readonly isError: boolean
  /** Whether the same packet may succeed if it is repeated without a change; `true` for codes that are no errors. */
  readonly isRetryable: boolean
}

/** The acknowledgements of requests that the receiver may refuse. */
const answers: ReadonlyArray<PacketTag> = ["Puback", "Pubrec", "Suback", "Unsuback"]

/** The packets by which a server refuses a connection or a request, or ends the connection. */
const refusals: ReadonlyArray<PacketTag> = ["Connack", ...answers, "Disconnect"]

/** All packets that carry a reason code. */
const tags: ReadonlyArray<PacketTag> = [...refusals, "Pubrel", "Pubcomp", "Auth"]

const entry = (
  code: number,
  name: string,
  meaning: string,
  permanence: Permanence,
  packets: ReadonlyArray<PacketTag>
): ReasonCode => ({ code, name, meaning, packets, isError: code >= 0x80, isRetryable: permanence === "transient" })

/**
 * The reason codes of MQTT 5.0 in ascending order.
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const all: ReadonlyArray<ReasonCode> = [
  entry(0x00, "Success", "The request was carried out.", "transient", tags),
  entry(0x01, "Granted QoS 1", "The subscription was accepted with a maximum of QoS 1.", "transient", ["Suback"]),
  entry(0x02, "Granted QoS 2", "The subscription was accepted with a maximum of QoS 2.", "transient", ["Suback"]),
  entry(
    0x04,
    "Disconnect with Will Message",
    "The client ends the connection and wants its will published.",
    "transient",
    ["Disconnect"]
  ),
  entry(
    0x10,
    "No matching subscribers",
    "The message was accepted, but no client subscribes to its topic.",
    "transient",
    [
      "Puback",
      "Pubrec"
    ]
  ),
  entry(0x11, "No subscription existed", "There was no such subscription to remove.", "transient", ["Unsuback"]),
  entry(0x18, "Continue authentication", "The authentication goes on with another step.", "transient", ["Auth"]),
  entry(0x19, "Re-authenticate", "The client starts a re-authentication.", "transient", ["Auth"]),
  entry(0x80, "Unspecified error", "The other side gives no reason.", "transient", refusals),
  entry(0x81, "Malformed Packet", "A packet could not be parsed.", "permanent", ["Connack", "Disconnect"]),
  entry(0x82, "Protocol Error", "A packet was out of order or contradicts the protocol.", "permanent", [
    "Connack",
    "Disconnect"
  ]),
  entry(
    0x83,
    "Implementation specific error",
    "The packet is valid but was not accepted by this implementation.",
    "transient",
    refusals
  ),
  entry(0x84, "Unsupported Protocol Version", "The server does not speak this version of MQTT.", "permanent", [
    "Connack"
  ]),
  entry(0x85, "Client Identifier not valid", "The server does not accept the client identifier.", "permanent", [
    "Connack"
  ]),
  entry(0x86, "Bad User Name or Password", "The server does not accept the user name or password.", "permanent", [
    "Connack"
  ]),
  entry(0x87, "Not authorized", "The client has no right to do this.", "permanent", refusals),
  entry(0x88, "Server unavailable", "The MQTT server is not available.", "transient", ["Connack"]),
  entry(0x89, "Server busy", "The server is busy: try again later.", "transient", ["Connack", "Disconnect"]),
  entry(0x8a, "Banned", "The server's administration has banned this client.", "permanent", ["Connack"]),
  entry(0x8b, "Server shutting down", "The server is shutting down.", "transient", ["Disconnect"]),
  entry(
    0x8c,
    "Bad authentication method",
    "The authentication method is not supported or not the one in use.",
    "permanent",
    ["Connack", "Disconnect"]
  ),
  entry(0x8d, "Keep Alive timeout", "Nothing arrived for one and a half keep alive intervals.", "transient", [
    "Disconnect"
  ]),
  entry(0x8e, "Session taken over", "Another connection uses the same client identifier.", "permanent", ["Disconnect"]),
  entry(0x8f, "Topic Filter invalid", "The topic filter is well formed but not accepted.", "permanent", [
    "Suback",
    "Unsuback",
    "Disconnect"
  ]),
  entry(0x90, "Topic Name invalid", "The topic name is well formed but not accepted.", "permanent", [
    "Connack",
    "Puback",
    "Pubrec",
    "Disconnect"
  ]),
  entry(0x91, "Packet Identifier in use", "The packet identifier is already in use.", "transient", answers),
  entry(0x92, "Packet Identifier not found", "The packet identifier is not known.", "transient", ["Pubrel", "Pubcomp"]),
  entry(0x93, "Receive Maximum exceeded", "More publications were in flight than allowed.", "transient", [
    "Disconnect"
  ]),
  entry(0x94, "Topic Alias invalid", "The topic alias is zero or greater than allowed.", "transient", ["Disconnect"]),
  entry(0x95, "Packet too large", "The packet is greater than the maximum packet size.", "permanent", [
    "Connack",
    "Disconnect"
  ]),
  entry(0x96, "Message rate too high", "Messages arrive too fast.", "transient", ["Disconnect"]),
  entry(0x97, "Quota exceeded", "A limit of the other side has been exceeded.", "transient", [
    "Connack",
    "Puback",
    "Pubrec",
    "Suback",
    "Disconnect"
  ]),
  entry(0x98, "Administrative action", "The connection was closed by an administrator.", "transient", ["Disconnect"]),
  entry(0x99, "Payload format invalid", "The payload does not match its payload format indicator.", "permanent", [
    "Connack",
    "Puback",
    "Pubrec",
    "Disconnect"
  ]),
  entry(0x9a, "Retain not supported", "The server keeps no retained messages.", "permanent", ["Connack", "Disconnect"]),
  entry(0x9b, "QoS not supported", "The quality of service is higher than the server's maximum.", "permanent", [
    "Connack",
    "Disconnect"
  ]),
  entry(0x9c, "Use another server", "The client should use another server for now.", "transient", [
    "Connack",
    "Disconnect"
  ]),
  entry(0x9d, "Server moved", "The client should use another server from now on.", "permanent", [
    "Connack",
    "Disconnect"
  ]),
  entry(0x9e, "Shared Subscriptions not supported", "The server has no shared subscriptions.", "permanent", [
    "Suback",
    "Disconnect"
  ]),
  entry(0x9f, "Connection rate exceeded", "Too many connections were opened in a short time.", "transient", [
    "Connack",
    "Disconnect"
  ]),
  entry(0xa0, "Maximum connect time", "The time granted to this connection is over.", "transient", ["Disconnect"]),
  entry(0xa1, "Subscription Identifiers not supported", "The server has no subscription identifiers.", "permanent", [
    "Suback",
    "Disconnect"
  ]),
  entry(0xa2, "Wildcard Subscriptions not supported", "The server does not accept wildcards.", "permanent", [
    "Suback",
    "Disconnect"
  ])
]

const returnCode = (code: number, name: string, meaning: string, permanence: Permanence): ReasonCode => ({
  code,
  name,
  meaning,
  packets: ["Connack"],
  isError: code !== 0,
  isRetryable: permanence === "transient"
})

/**
 * The return codes of a CONNACK of MQTT 3.1.1 in ascending order (MQTT 3.1.1, table 3.1).
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const allReturnCodes: ReadonlyArray<ReasonCode> = [
  returnCode(0, "Connection Accepted", "The connection was accepted.", "transient"),
  returnCode(
    1,
    "Connection Refused, unacceptable protocol version",
    "The server does not speak this version of MQTT.",
    "permanent"
  ),
  returnCode(
    2,
    "Connection Refused, identifier rejected",
    "The server does not accept the client identifier.",
    "permanent"
  ),
  returnCode(3, "Connection Refused, Server unavailable", "The MQTT server is not available.", "transient"),
  returnCode(
    4,
    "Connection Refused, bad user name or password",
    "The user name or password is malformed or wrong.",
    "permanent"
  ),
  returnCode(5, "Connection Refused, not authorized", "The client has no right to connect.", "permanent")
]

const byCode: ReadonlyMap<number, ReasonCode> = new Map(all.map((reason) => [reason.code, reason]))

// One byte a code: the codec asks for every acknowledgement, and an index beats a set.
const makeTable = (allowed: (tag: PacketTag) => Iterable<number>): Readonly<Record<PacketTag, Uint8Array>> => {
  const table: Partial<Record<PacketTag, Uint8Array>> = {}
  for (const tag of tags) {
    const row = new Uint8Array(256)
    for (const code of allowed(tag)) {
      row[code] = 1
    }
    table[tag] = row
  }
  return table as Record<PacketTag, Uint8Array>
}

const allowed5 = makeTable((tag) => all.filter((reason) => reason.packets.includes(tag)).map((reason) => reason.code))

const allowed4 = makeTable((tag) => tag === "Connack" ? [0, 1, 2, 3, 4, 5] : tag === "Suback" ? [0, 1, 2, 0x80] : [0])

/**
 * Whether a code may stand in a packet of the given type (MQTT 2.4 and the tables of section 3). On 3.1.1 that is 0 to
 * 5 in CONNACK, 0, 1, 2 and 0x80 in SUBACK, and 0, which stands for "no code", in the others.
 *
 * @stability stable
 * @category predicates
 * @since 0.1.0
 */
export const isAllowed = (packet: PacketTag, code: number, version: ProtocolVersion = 5): boolean =>
  typeof packet === "string" && typeof code === "number" &&
  (version === 5 ? allowed5 : allowed4)[packet]?.[code] === 1

/**
 * What the specification says about a code, or undefined for an unknown one.
 *
 * With `"Connack"` the codes 1 to 5 are the return codes of MQTT 3.1.1; without a packet type the MQTT 5 meaning is
 * returned.
 *
 * **Example** (Looking up what a server answered)
 *
 * ```ts
 * import { ReasonCode } from "@effect-mqttx/core"
 *
 * ReasonCode.get(0x87, "Puback")?.name // => "Not authorized"
 * ReasonCode.isError(0x10) // => false
 * ```
 *
 * @stability stable
 * @category getters
 * @since 0.1.0
 */
export const get = (code: number, packet?: PacketTag): ReasonCode | undefined =>
  packet === "Connack" && code >= 1 && code <= 5 ? allReturnCodes[code] : byCode.get(code)

/**
 * The name of a code in the words of the specification, which calls 0 by another name in DISCONNECT and SUBACK.
 *
 * @stability stable
 * @category getters
 * @since 0.1.0
 */
export const nameOf = (code: number, packet?: PacketTag): string => {
  if (code === 0 && packet === "Disconnect") {
    return "Normal disconnection"
  }
  if (code === 0 && packet === "Suback") {
    return "Granted QoS 0"
  }
  return get(code, packet)?.name ?? "Unknown reason code"
}

/**
 * A code for people, for example `"Not authorized (0x87)"`.
 *
 * @stability stable
 * @category formatting
 * @since 0.1.0
 */
export const describe = (code: number, packet?: PacketTag): string =>
  `${nameOf(code, packet)} (0x${code.toString(16).padStart(2, "0")})`

/**
 * Whether a reason code means failure: 0x80 and above (MQTT 2.4). Not for the return codes of a 3.1.1 CONNACK, of which
 * every one but 0 is a failure; `fromReturnCode` translates those.
 *
 * @stability stable
 * @category predicates
 * @since 0.1.0
 */
export const isError = (code: number): boolean => typeof code === "number" && code >= 0x80

/**
 * Whether a failure with this code may pass by itself. 1 to 5 are taken as return codes of a 3.1.1 CONNACK when the
 * packet says so; unknown codes may pass.
 *
 * @stability stable
 * @category predicates
 * @since 0.1.0
 */
export const isRetryable = (code: number, packet?: PacketTag): boolean => get(code, packet)?.isRetryable ?? true

/**
 * The MQTT 5 reason code that means the same as a return code of a 3.1.1 CONNACK. Codes that 3.1.1 reserves become 0x80
 * (Unspecified error).
 *
 * @stability stable
 * @category getters
 * @since 0.1.0
 */
export const fromReturnCode = (returnCode: number): number => {
  switch (returnCode) {
    case 0:
      return success
    case 1:
      return unsupportedProtocolVersion
    case 2:
      return clientIdentifierNotValid
    case 3:
      return serverUnavailable
    case 4:
      return badUserNameOrPassword
    case 5:
      return notAuthorized
    default:
      return unspecifiedError
  }
}

/**
 * 0x00
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const success = 0x00
/**
 * 0x04
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const disconnectWithWillMessage = 0x04
/**
 * 0x10
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const noMatchingSubscribers = 0x10
/**
 * 0x11
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const noSubscriptionExisted = 0x11
/**
 * 0x18
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const continueAuthentication = 0x18
/**
 * 0x19
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const reAuthenticate = 0x19
/**
 * 0x80
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const unspecifiedError = 0x80
/**
 * 0x81
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const malformedPacket = 0x81
/**
 * 0x82
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const protocolError = 0x82
/**
 * 0x83
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const implementationSpecificError = 0x83
/**
 * 0x84
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const unsupportedProtocolVersion = 0x84
/**
 * 0x85
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const clientIdentifierNotValid = 0x85
/**
 * 0x86
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const badUserNameOrPassword = 0x86
/**
 * 0x87
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const notAuthorized = 0x87
/**
 * 0x88
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const serverUnavailable = 0x88
/**
 * 0x89
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const serverBusy = 0x89
/**
 * 0x8A
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const banned = 0x8a
/**
 * 0x8B
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const serverShuttingDown = 0x8b
/**
 * 0x8C
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const badAuthenticationMethod = 0x8c
/**
 * 0x8D
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const keepAliveTimeout = 0x8d
/**
 * 0x8E
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const sessionTakenOver = 0x8e
/**
 * 0x8F
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const topicFilterInvalid = 0x8f
/**
 * 0x90
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const topicNameInvalid = 0x90
/**
 * 0x91
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const packetIdentifierInUse = 0x91
/**
 * 0x92
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const packetIdentifierNotFound = 0x92
/**
 * 0x93
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const receiveMaximumExceeded = 0x93
/**
 * 0x94
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const topicAliasInvalid = 0x94
/**
 * 0x95
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const packetTooLarge = 0x95
/**
 * 0x96
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const messageRateTooHigh = 0x96
/**
 * 0x97
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const quotaExceeded = 0x97
/**
 * 0x98
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const administrativeAction = 0x98
/**
 * 0x99
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const payloadFormatInvalid = 0x99
/**
 * 0x9A
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const retainNotSupported = 0x9a
/**
 * 0x9B
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const qosNotSupported = 0x9b
/**
 * 0x9C
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const useAnotherServer = 0x9c
/**
 * 0x9D
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const serverMoved = 0x9d
/**
 * 0x9E
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const sharedSubscriptionsNotSupported = 0x9e
/**
 * 0x9F
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const connectionRateExceeded = 0x9f
/**
 * 0xA0
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const maximumConnectTime = 0xa0
/**
 * 0xA1
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const subscriptionIdentifiersNotSupported = 0xa1
/**
 * 0xA2
 *
 * @stability stable
 * @category constants
 * @since 0.1.0
 */
export const wildcardSubscriptionsNotSupported = 0xa2
