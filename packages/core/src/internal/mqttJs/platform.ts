/**
 * What `MqttJs` asks of the platform: `internal/node/mqttJs.ts` and `internal/browser/mqttJs.ts` answer.
 */
import type { TransportRequest } from "../../Transport.ts"
import type { Opening } from "./duplexStream.ts"

/**
 * Options for MQTT.js, with a user's options of `ws` among them. Tells by `opening` what the platform will see of the
 * attempt.
 */
export type PlatformOptions = (
  request: TransportRequest,
  wsOptions: Readonly<Record<string, unknown>>,
  opening: Opening
) => Readonly<Record<string, unknown>>
