/**
 * Builds the scripted broker's service for tests: its queries and its commands.
 */
import * as Effect from "effect/Effect"
import { checked } from "./checked.ts"
import { argumentChecks } from "./checks.ts"
import type { Service } from "./contract.ts"
import { faultingMembers } from "./faulting.ts"
import type { Listening } from "./listening.ts"
import { memoryEndpoints, memoryTransport } from "./memoryTransport.ts"
import { networkMembers } from "./network.ts"
import { awaitPacket, ofType } from "./records.ts"
import { refusingMembers } from "./refusing.ts"
import { recordLimit, type RunningHub } from "./runningHub.ts"
import { sendingMembers } from "./sending.ts"
import { awaitUntil } from "./targets.ts"

export const makeService = (running: RunningHub, listening: Listening | undefined): Service => {
  const { deliveries, hub, published, recorder, violations } = running
  return {
    ...listening?.endpoints ?? memoryEndpoints,
    transport: memoryTransport(running.accept),

    get packets() {
      return recorder.packets()
    },
    received: ofType(running, "received"),
    sent: ofType(running, "sent"),
    awaitPacket: (match) => awaitPacket(running, match),
    get connections() {
      return hub.table.all.map((connection) => connection.view())
    },
    connection: (target) => hub.table.find(target, hub.core)?.view(),
    awaitConnections: (count, clientId) =>
      checked(
        "awaitConnections",
        { count },
        () => awaitUntil(running, () => hub.table.accepted(clientId) >= count),
        { clientId },
        argumentChecks
      ),
    awaitNoConnections: awaitUntil(running, () => hub.table.all.every((connection) => connection.closed)),
    awaitUntil: (condition) => checked("awaitUntil", { condition }, () => awaitUntil(running, condition)),
    published,
    deliveries,
    violations,
    get bytesReceived() {
      return hub.bytesReceived
    },
    get bytesSent() {
      return hub.writes.bytesSent
    },
    clearRecord: Effect.sync(() => {
      recorder.clear()
      published.length = 0
      deliveries.length = 0
      violations.length = 0
    }),
    setRecord: (record) =>
      checked("setRecord", { record }, () => Effect.sync(() => recorder.setLimit(recordLimit(record)))),

    get sessions() {
      return hub.core?.sessions() ?? []
    },
    session: (clientId) => hub.core?.session(clientId),
    subscriptions: (clientId) => hub.core?.session(clientId)?.subscriptions ?? [],
    get retained() {
      return hub.core?.retained() ?? []
    },
    awaitIdle: awaitUntil(running, () => (hub.core?.outstandingConnected() ?? 0) === 0),

    ...sendingMembers(running),
    ...faultingMembers(running),
    ...refusingMembers(running),
    ...networkMembers(running, listening)
  }
}
