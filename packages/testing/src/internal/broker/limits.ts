import type { ConnackProperties } from "@effect-mqttx/core/Properties"
import type { BrokerLimits } from "./contract.ts"

export const defaultLimits: BrokerLimits = Object.freeze({
  receiveMaximum: 65_535,
  receiveMaximum311: undefined,
  maximumInflight: 65_535,
  maximumQueued: Infinity,
  maximumPacketSize: undefined,
  maximumQoS: 2,
  retainAvailable: true,
  wildcardSubscriptionAvailable: true,
  subscriptionIdentifiersAvailable: true,
  sharedSubscriptionAvailable: true,
  topicAliasMaximum: 10,
  serverKeepAlive: undefined,
  maximumSessionExpiryInterval: undefined
})

/**
 * The limits that CONNACK announces: those that differ from the protocol's defaults (MQTT 3.2.2.3).
 */
export const announce = (limits: BrokerLimits): ConnackProperties => ({
  ...(limits.receiveMaximum !== 65_535 && { receiveMaximum: limits.receiveMaximum }),
  ...(limits.maximumQoS !== 2 && { maximumQoS: limits.maximumQoS }),
  ...(!limits.retainAvailable && { retainAvailable: false }),
  ...(limits.maximumPacketSize !== undefined && { maximumPacketSize: limits.maximumPacketSize }),
  ...(limits.topicAliasMaximum > 0 && { topicAliasMaximum: limits.topicAliasMaximum }),
  ...(!limits.wildcardSubscriptionAvailable && { wildcardSubscriptionAvailable: false }),
  ...(!limits.subscriptionIdentifiersAvailable && { subscriptionIdentifiersAvailable: false }),
  ...(!limits.sharedSubscriptionAvailable && { sharedSubscriptionAvailable: false }),
  ...(limits.serverKeepAlive !== undefined && { serverKeepAlive: limits.serverKeepAlive })
})
