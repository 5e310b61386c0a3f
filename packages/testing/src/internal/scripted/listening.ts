import type { ByteStream, ByteStreamHandlers } from "@effect-mqttx/core/Transport"
import type * as Effect from "effect/Effect"
import type { BrokerEndpoints } from "../../BrokerEndpoints.ts"
import type { ConnectionRecord } from "../../PacketRecord.ts"

/**
 * Offers a new stream to the broker; undefined: it does not run.
 */
export type Accept = (stream: ByteStream, network: ConnectionRecord["network"]) => ByteStreamHandlers | undefined

/**
 * Listeners that are open; `suspend` closes them (connections are refused by the operating system), `resume` opens them
 * on the same ports.
 */
export interface Listening {
  readonly endpoints: BrokerEndpoints
  readonly suspend: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
}
