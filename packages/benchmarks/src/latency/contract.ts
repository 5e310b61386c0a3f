/**
 * What a latency run is asked for, and what it answers.
 */

export interface LatencyRequest {
  /** `raw` is MQTT.js, `socket` a bare socket. */
  readonly client: "session" | "raw" | "socket"
  readonly port: number
  readonly protocolVersion: 4 | 5
  readonly qos: 0 | 1
  readonly payloadBytes: number
  /** Messages a second. */
  readonly rate: number
  readonly warmUp: number
  readonly seconds: number
}

/** Microseconds. */
export interface LatencyResult {
  readonly p50: number
  readonly p99: number
  readonly p999: number
  /** Messages that had not ended a second after the last one was due. */
  readonly late: number
}
