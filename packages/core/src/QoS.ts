/**
 * Quality of service levels and protocol versions, the two numbers that every other module shares.
 */

/**
 * Quality of service: 0 at most once, 1 at least once, 2 exactly once (MQTT 4.3).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type QoS = 0 | 1 | 2

/**
 * The protocol version as sent in CONNECT: 4 is MQTT 3.1.1, 5 is MQTT 5.0 (MQTT 3.1.2.2).
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type ProtocolVersion = 4 | 5

/**
 * Whether a value is a quality of service level.
 *
 * @stability stable
 * @category guards
 * @since 0.1.0
 */
export const isQoS = (value: unknown): value is QoS => value === 0 || value === 1 || value === 2
