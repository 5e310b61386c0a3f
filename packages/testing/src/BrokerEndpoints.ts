/**
 * The addresses of a broker: the shape that all brokers of this package share.
 */
import type { ServerProtocol } from "@effect-mqttx/core/ServerAddress"

/**
 * The URLs of a broker, all on the loopback interface.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface BrokerEndpoints {
  /** The URL of the plain TCP listener. */
  readonly url: string
  /** The URL of each listener. */
  readonly urls: Partial<Readonly<Record<ServerProtocol, string>>>
  /** The port of each listener. */
  readonly ports: Partial<Readonly<Record<ServerProtocol, number>>>
}
