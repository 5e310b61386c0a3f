/**
 * The interface between `MqttJs` and the platform. `internal/node/mqttJs.ts` and `internal/browser/mqttJs.ts` implement
 * it.
 */
import type { TransportRequest } from "../../Transport.ts"
import type { Opening } from "./duplexStream.ts"

/**
 * Builds the options for MQTT.js, including a user's options of `ws`. Sets in `opening` what the platform observes of
 * the attempt.
 */
export type PlatformOptions = (
  request: TransportRequest,
  wsOptions: Readonly<Record<string, unknown>>,
  opening: Opening
) => Readonly<Record<string, unknown>>
