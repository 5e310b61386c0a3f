/**
 * What a codec run is asked for, and what it answers.
 */
import type { ProtocolVersion, QoS } from "@effect-mqttx/core/QoS"

export interface Workload {
  readonly version: ProtocolVersion
  readonly qos: QoS
  readonly bytes: number
  readonly withProperties: boolean
}

export interface CodecRequest {
  readonly direction: "decode" | "encode"
  readonly workload: Workload
}

/** Processor nanoseconds for each packet. */
export interface CodecResult {
  readonly ours: number
  /** `parser().parse` or `generate`. */
  readonly other: number
  /** Encoding only: `writeToStream`. */
  readonly stream?: number
}
