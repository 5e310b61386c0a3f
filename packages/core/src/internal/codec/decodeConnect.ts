/**
 * Decoding of CONNECT (MQTT 3.1), CONNACK (MQTT 3.2), DISCONNECT (MQTT 3.14) and AUTH (MQTT 3.15).
 */
import type * as Packet from "../../Packet.ts"
import * as Properties from "../../Properties.ts"
import type { ProtocolVersion, QoS } from "../../QoS.ts"
import * as ReasonCode from "../../ReasonCode.ts"
import { decodeProperties } from "./decodeProperties.ts"
import * as Table from "./propertyTable.ts"
import type { Reader } from "./reader.ts"

const protocolName = [0, 4, 0x4d, 0x51, 0x54, 0x54]

/**
 * CONNECT. The protocol name and level are checked first, so that a server can answer 0x84 to a version that it does
 * not know [MQTT5-3.1.2-2].
 */
export const decodeConnect = (reader: Reader): Packet.Connect => {
  for (const expected of protocolName) {
    if (reader.byte("the protocol name") !== expected) {
      reader.fail("protocol-name", "the protocol name is not MQTT")
    }
  }
  const level = reader.byte("the protocol version")
  if (level !== 4 && level !== 5) {
    reader.fail("protocol-version", `protocol version ${level}`)
  }
  const version: ProtocolVersion = level === 5 ? 5 : 4
  const flags = reader.byte("the connect flags")
  const hasWill = (flags & 0x04) !== 0
  const willQoS = (flags >> 3) & 3
  const hasUsername = (flags & 0x80) !== 0
  const hasPassword = (flags & 0x40) !== 0
  const cleanStart = (flags & 0x02) !== 0
  if ((flags & 0x01) !== 0) {
    reader.fail("connect-flags", "the reserved connect flag is set")
  }
  if (hasWill ? willQoS === 3 : (flags & 0x38) !== 0) {
    reader.fail("will-flags", hasWill ? "will QoS 3" : "will QoS or will retain is set without a will")
  }
  if (version === 4 && hasPassword && !hasUsername) {
    reader.fail("password-without-username", "a password without a user name")
  }
  const keepAlive = reader.twoBytes("the keep alive")
  const properties: Properties.ConnectProperties = version === 5
    ? decodeProperties(reader, Table.inConnect)
    : Properties.none
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    reader.fail("authentication-data", "authentication data without an authentication method")
  }
  const clientId = reader.text("the client identifier")
  const will = hasWill ? decodeWill(reader, version, willQoS as QoS, (flags & 0x20) !== 0) : undefined
  const username = hasUsername ? reader.text("the user name") : undefined
  const password = hasPassword ? reader.binary("the password") : undefined
  reader.finish()
  if (version === 4 && clientId === "" && !cleanStart) {
    reader.fail("client-identifier", "an empty client identifier without Clean Session")
  }
  return {
    _tag: "Connect",
    protocolVersion: version,
    clientId,
    cleanStart,
    keepAlive,
    username,
    password,
    will,
    properties
  }
}

const decodeWill = (reader: Reader, version: ProtocolVersion, qos: QoS, retain: boolean): Packet.Will => {
  const properties: Properties.WillProperties = version === 5
    ? decodeProperties(reader, Table.inWill)
    : Properties.none
  const topic = reader.topicName("the will topic", "topic-name-wildcard")
  if (topic === "") {
    reader.fail("topic-name-empty", "empty will topic")
  }
  const payload = reader.binary("the will payload")
  return { topic, payload, qos, retain, properties }
}

/**
 * CONNACK.
 *
 * A server that does not know the version of CONNECT answers in the form of its own version: two bytes and a return
 * code on 3.1.1 (MQTT 3.1.1, 3.1.2.2), reason code 0x84 and properties on 5 (MQTT 3.1.2.2). Such refusals are decoded
 * with the code that they carry.
 */
export const decodeConnack = (reader: Reader, version: ProtocolVersion): Packet.Connack => {
  const flags = reader.byte("the acknowledge flags")
  if (flags > 1) {
    reader.fail("connack-flags", `acknowledge flags 0x${flags.toString(16)}`)
  }
  const reasonCode = reader.byte("the reason code")
  const form: ProtocolVersion = reader.position === reader.end ? 4 : 5
  const isForeign = form !== version && reasonCode !== 0 && ReasonCode.isAllowed("Connack", reasonCode, form)
  const isShortRefusal = form === 4 && reasonCode === ReasonCode.unsupportedProtocolVersion
  if (version === 5 && form === 4 && reasonCode === 0) {
    reader.fail("protocol-version", "the server accepts the connection as MQTT 3.1.1")
  }
  if (!isForeign && !isShortRefusal && !ReasonCode.isAllowed("Connack", reasonCode, version)) {
    reader.fail("reason-code", `reason code 0x${reasonCode.toString(16)}`)
  }
  const sessionPresent = flags === 1
  if (sessionPresent && reasonCode !== 0) {
    reader.fail("session-present", `session present with reason code 0x${reasonCode.toString(16)}`)
  }
  const properties: Properties.ConnackProperties = (isForeign || isShortRefusal ? form : version) === 5
    ? decodeProperties(reader, Table.inConnack)
    : Properties.none
  reader.finish()
  return { _tag: "Connack", sessionPresent, reasonCode, properties }
}

/**
 * DISCONNECT. On MQTT 5 the reason code and the properties may be omitted (MQTT 3.14.2.1).
 */
export const decodeDisconnect = (
  reader: Reader,
  version: ProtocolVersion,
  fromServer: boolean
): Packet.Disconnect => {
  let reasonCode = 0
  let properties: Properties.DisconnectProperties = Properties.none
  if (version === 5 && reader.position < reader.end) {
    reasonCode = reader.byte("the reason code")
    // Only a client sends "Disconnect with Will Message" (MQTT 3.14.2.1).
    if (!ReasonCode.isAllowed("Disconnect", reasonCode, 5) || (fromServer && reasonCode === 0x04)) {
      reader.fail("reason-code", `reason code 0x${reasonCode.toString(16)}`)
    }
    if (reader.position < reader.end) {
      properties = decodeProperties(reader, Table.inDisconnect)
      if (fromServer && properties.sessionExpiryInterval !== undefined) {
        reader.fail("session-expiry", "a server must not send a session expiry interval")
      }
    }
  }
  reader.finish()
  return { _tag: "Disconnect", reasonCode, properties }
}

/**
 * AUTH. The authentication method is mandatory (MQTT 3.15.2.2.2), except in a success without properties, whose body
 * may even be empty (MQTT 3.15.2.1).
 */
export const decodeAuth = (reader: Reader, fromServer: boolean): Packet.Auth => {
  let reasonCode = 0
  let properties: Properties.AuthProperties = Properties.none
  if (reader.position < reader.end) {
    reasonCode = reader.byte("the reason code")
    properties = decodeProperties(reader, Table.inAuth)
  }
  // Only a server sends Success, and only a client Re-authenticate (MQTT 3.15.2.1).
  if (!ReasonCode.isAllowed("Auth", reasonCode, 5) || reasonCode === (fromServer ? 0x19 : 0x00)) {
    reader.fail("reason-code", `reason code 0x${reasonCode.toString(16)}`)
  }
  if (properties.authenticationMethod === undefined && (reasonCode !== 0 || properties !== Properties.none)) {
    reader.fail("authentication-method", "no authentication method")
  }
  reader.finish()
  return { _tag: "Auth", reasonCode, properties }
}
