/**
 * What a run of idle connections is asked for, and what it answers.
 */

export interface MemoryRequest {
  /**
   * `managed`: a session of a `SessionManager`; `routed`: the same, on a route over all of them; `raw`: MQTT.js;
   * `socket`: a bare socket that has sent CONNECT.
   */
  readonly client: "session" | "managed" | "routed" | "raw" | "socket"
  readonly port: number
  readonly count: number
}

/** Bytes for each connection, but for `total`. */
export interface MemoryResult {
  /** The heap, and buffers outside of it. */
  readonly heap: number
  readonly resident: number
  /** Resident bytes of the whole process. */
  readonly total: number
  /** Milliseconds until all connections were ready. */
  readonly millis: number
}
