/**
 * What the process of a forwarder is asked for.
 */

export interface ForwarderRequest {
  /** Ports of the brokers. */
  readonly source: number
  readonly target: number
  readonly protocolVersion: 4 | 5
  readonly qos: 0 | 1 | 2
  readonly maxInFlight: number
  /** The directory of the file store of durable sessions; sessions of the process without it. */
  readonly directory?: string
}
