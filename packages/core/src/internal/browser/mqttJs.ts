/**
 * What MQTT.js is told about a connection in a browser besides its address: nothing. `MqttJs` calls it by way of the
 * platform's transport.
 */
import type { Duplex, Opening } from "../mqttJs/duplexStream.ts"
import type { PlatformOptions } from "../mqttJs/platform.ts"

export { notSupported as mqttJsRefusal } from "./notSupported.ts"

export const mqttJsOptions: PlatformOptions = () => ({})

export const watchStream = (_stream: Duplex, _opening: Opening): void => {}

// The stream of MQTT.js over a WebSocket of a browser takes what arrives, paused or not.
export const canPauseStreams = false
