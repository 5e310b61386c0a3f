/**
 * The classes of violations that the decoder distinguishes, each with the reason code for DISCONNECT (MQTT 4.13).
 */
import type { Violation } from "./contract.ts"

// Malformed (0x81): the packet cannot be parsed according to the specification. Protocol Error (0x82): it can be parsed
// and is not allowed (MQTT 1.2). Some sections name another code for their field.
const reasonCodes = {
  "remaining-length": 0x81,
  "variable-byte-integer": 0x81,
  "packet-type": 0x81,
  "fixed-header-flags": 0x81,
  "packet-too-large": 0x95,
  "unexpected-packet": 0x82,
  "truncated": 0x81,
  "trailing-bytes": 0x81,
  "packet-identifier": 0x82,
  "utf8": 0x81,
  "utf8-nul": 0x81,
  "topic-name-wildcard": 0x81,
  "topic-name-empty": 0x82,
  "topic-alias": 0x94,
  "response-topic": 0x81,
  "topic-filter": 0x81,
  "publish-qos": 0x81,
  "publish-dup": 0x81,
  "properties-length": 0x81,
  "property-unknown": 0x81,
  "property-not-allowed": 0x81,
  "property-duplicate": 0x82,
  "property-value": 0x82,
  "subscription-identifier": 0x82,
  "authentication-data": 0x82,
  "authentication-method": 0x82,
  "reason-code": 0x82,
  "empty-payload": 0x82,
  "subscription-options": 0x81,
  "subscription-qos": 0x82,
  "retain-handling": 0x82,
  "shared-no-local": 0x82,
  "protocol-name": 0x84,
  "protocol-version": 0x84,
  "connect-flags": 0x81,
  "will-flags": 0x81,
  "password-without-username": 0x81,
  "client-identifier": 0x85,
  "connack-flags": 0x81,
  "session-present": 0x82,
  "session-expiry": 0x82
} as const

/**
 * The broken rule; the value of `Violation.kind`.
 */
export type ViolationKind = keyof typeof reasonCodes

/**
 * A violation that this codec makes.
 */
export interface CodecViolation extends Violation {
  readonly kind: ViolationKind
}

/**
 * Every kind, for tests and metrics.
 */
export const violationKinds: ReadonlyArray<ViolationKind> = Object.keys(reasonCodes) as Array<ViolationKind>

export const makeViolation = (kind: ViolationKind, detail: string): CodecViolation => ({
  kind,
  reasonCode: reasonCodes[kind],
  detail
})
