/**
 * Decides why a consumer cannot join a session: its options, its name, the limits of the server, or what other
 * consumers of its topic filters ask for. It changes nothing. `subscriptions.ts` calls it.
 */
import { InvalidOptions, type MqttErrorReason, NotSupported, SubscriptionConflict } from "../../MqttError.ts"
import type { ConsumerRequest } from "./contract.ts"
import type { EngineCore } from "./core.ts"
import * as limits from "./limits.ts"
import { type EngineConsumer, SubscriptionEntry } from "./subscriptionEntry.ts"
import type { SubscriptionTable } from "./subscriptionTable.ts"

/**
 * Undefined when the consumer can join. `sameName` is the consumer that has its name, present or absent.
 */
export const refuseConsumer = (
  { filters, name, noLocal, retainAsPublished }: ConsumerRequest,
  sameName: EngineConsumer | undefined,
  table: SubscriptionTable,
  { isVersion5, limits: server }: EngineCore
): MqttErrorReason | undefined => {
  if (sameName !== undefined && sameName.state !== "absent") {
    return new InvalidOptions({
      issues: [{
        path: "consumer",
        message: `${JSON.stringify(name)} is the name of another consumer of this session`
      }]
    })
  }
  if (filters.length === 0) {
    return new InvalidOptions({ issues: [{ path: "filters", message: "at least one topic filter is needed" }] })
  }
  if (!isVersion5 && (noLocal || retainAsPublished)) {
    const feature = noLocal ? "noLocal" : "retainAsPublished"
    return new NotSupported({ feature, detail: "MQTT 3.1.1 has no subscription options" })
  }
  for (const filter of filters) {
    const entry = table.get(filter) ?? new SubscriptionEntry(filter)
    if (noLocal && entry.isShared) {
      return new InvalidOptions({
        issues: [{ path: "noLocal", message: `not allowed on the shared subscription ${filter}` }]
      })
    }
    if (server !== undefined) {
      const reason = limits.refuseFilter(filter, entry.isShared, server)
      if (reason !== undefined) return reason
    }
    if (entry.members.every(({ consumer }) => consumer === sameName)) continue
    if (entry.noLocal !== noLocal) return new SubscriptionConflict({ filter, detail: "noLocal differs" })
    if (entry.retainAsPublished !== retainAsPublished) {
      return new SubscriptionConflict({ filter, detail: "retainAsPublished differs" })
    }
  }
  return undefined
}
