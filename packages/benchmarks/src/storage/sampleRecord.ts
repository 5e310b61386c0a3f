/**
 * The record that the stores commit again and again: a queued message at QoS 1.
 */
import type { OutboundRecord } from "@effect-mqttx/core/StoreRecord"
import { payloadBytes } from "./contract.ts"

const payload = new Uint8Array(payloadBytes)

export const sampleRecord = (sequence: number): OutboundRecord => ({
  _tag: "Outbound",
  sequence,
  state: "queued",
  packetIdentifier: 0,
  topic: "meter/energy",
  payload,
  qos: 1,
  retain: false,
  properties: {},
  acceptedAt: 1_790_000_000_000,
  expiresAt: undefined
})
