import type { ByteStream, ByteStreamHandlers } from "@effect-mqttx/core/Transport"
import type * as Effect from "effect/Effect"
import type { BrokerEndpoints } from "../../BrokerEndpoints.ts"
import type { ConnectionRecord } from "../../PacketRecord.ts"

/**
 * Passes a new stream to the broker; undefined: the broker does not run. A stream in memory may stand for a WebSocket.
 */
export type Accept = (
  stream: ByteStream,
  network: ConnectionRecord["network"],
  isWebSocket?: boolean
) => ByteStreamHandlers | undefined

/**
 * The open listeners. `suspend` closes them (the operating system refuses connections), `resume` opens them on the same
 * ports.
 */
export interface Listening {
  readonly endpoints: BrokerEndpoints
  readonly suspend: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
}
