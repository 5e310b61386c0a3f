/**
 * What a run over a transport in memory is asked for, and what it answers.
 */

export interface EngineRequest {
  /** `raw` is MQTT.js. */
  readonly client: "session" | "raw"
  readonly direction: "receive" | "publish"
  readonly qos: 0 | 1
  /** Packets of a turn: a read brings so many, or so many publishes begin together. */
  readonly turn: number
  readonly protocolVersion: 4 | 5
  readonly payloadBytes: number
  readonly warmUp: number
  readonly seconds: number
  /** Topics of 60 bytes, instead of short ones. Of a session that publishes. */
  readonly aliases?: {
    /** What the session is asked for. */
    readonly topicAliases: "auto" | "explicit"
    /** What the server allows. */
    readonly maximum: number
  }
}

export interface EngineResult {
  /** Messages for each second of processor time. */
  readonly perCpu: number
  /** Microseconds of processor time for each message. */
  readonly cpu: number
  /** Bytes that the server got for each message. */
  readonly bytes: number
}
