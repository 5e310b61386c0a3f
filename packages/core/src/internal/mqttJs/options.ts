/**
 * Checks the options of `MqttJs`. Options of MQTT.js that belong to the session are refused with a message that says
 * where they go.
 */
import * as Redacted from "effect/Redacted"
import { callable, type Check, flag, integer, isRecord, oneOf } from "../options/plain.ts"
import { kindOf } from "../valueNames.ts"

const record: Check = (value) => isRecord(value) ? undefined : `must be a record, got ${kindOf(value)}`

// MQTT.js finds errors in a proxy's URL only at the first connection. The message never repeats the URL, which may hold
// a password.
const socksProxy: Check = (value) => {
  const text = Redacted.isRedacted(value) ? Redacted.value(value) : value
  return typeof text === "string" && /^socks(?:5h|4a|5|4):\/\/[^/?#]+:[0-9]{1,5}$/.test(text) && URL.canParse(text)
    ? undefined
    : "must be a URL such as socks5h://host:1080, without a path"
}

const ofTheSession: Check = () => "belongs to the session's options: MQTT.js opens the stream only"

// Connect options of MQTT.js that a session has too, or does not use.
const session: ReadonlyArray<string> = [
  "ALPNProtocols",
  "ca",
  "cert",
  "clean",
  "clientId",
  "connectTimeout",
  "host",
  "hostname",
  "incomingStore",
  "keepalive",
  "key",
  "outgoingStore",
  "passphrase",
  "password",
  "path",
  "pfx",
  "port",
  "properties",
  "protocol",
  "protocolVersion",
  "queueQoSZero",
  "reconnectPeriod",
  "rejectUnauthorized",
  "resubscribe",
  "servername",
  "servers",
  "username",
  "will"
]

export const checks: { readonly [name: string]: Check } = {
  ...Object.fromEntries(session.map((name) => [name, ofTheSession])),
  streamBuilder: callable,
  socksProxy,
  socksTimeout: integer(1, 2_147_483_647),
  createWebsocket: callable,
  transformWsUrl: callable,
  wsOptions: record,
  miniProgram: oneOf("wx"),
  forceNativeWebSocket: flag,
  browserBufferSize: integer(1, 1_073_741_824),
  browserBufferTimeout: integer(1, 2_147_483_647)
}
