/**
 * The connection options for MQTT.js in a browser, besides the address: none. Called by `MqttJs` through the platform's
 * transport.
 */
import type { TransportRequest } from "../../Transport.ts"
import type { Duplex, Opening } from "../mqttJs/duplexStream.ts"
import type { PlatformOptions } from "../mqttJs/platform.ts"

export { notSupported as mqttJsRefusal } from "./notSupported.ts"

export const mqttJsOptions: PlatformOptions = () => ({})

export const watchStream = (_stream: Duplex, _opening: Opening, _request: TransportRequest): void => {}

// MQTT.js's stream over a browser's WebSocket delivers data even while it is paused.
export const canPauseStreams = false
