/**
 * Decides what the broker refuses: unknown users, and what a test asked it to refuse.
 */
import type { Connect, Publish, SubscribeFilter } from "@effect-mqttx/core/Packet"
import type { ClientInfo } from "../broker/contract.ts"
import { matches } from "../broker/filterTree.ts"
import * as ReasonCodes from "../broker/reasonCodes.ts"
import type { ScriptedBrokerOptions } from "./contract.ts"

interface Refusal {
  readonly applies: (to: string) => boolean
  readonly reasonCode: number
  left: number
}

export interface Refusals {
  readonly authenticate: (connect: Connect) => number
  readonly authorizePublish: (client: ClientInfo, publish: Publish) => number
  readonly authorizeSubscribe: (client: ClientInfo, filter: SubscribeFilter) => number
  readonly refuseConnect: (reasonCode: number, clientId: string | undefined, times: number) => void
  readonly refusePublish: (filter: string, reasonCode: number, times: number) => void
  readonly refuseSubscribe: (filter: string, reasonCode: number, times: number) => void
  readonly clear: () => void
}

const judge = (refusals: Array<Refusal>, subject: string): number => {
  for (const refusal of refusals) {
    if (refusal.left <= 0 || !refusal.applies(subject)) continue
    refusal.left--
    return refusal.reasonCode
  }
  return 0
}

export const makeRefusals = (options: ScriptedBrokerOptions): Refusals => {
  const connects: Array<Refusal> = []
  const publishes: Array<Refusal> = []
  const subscribes: Array<Refusal> = []
  const { users } = options
  const isUser = ({ password, username }: Connect): boolean =>
    users === undefined ||
    (username !== undefined && password !== undefined && Object.hasOwn(users, username) &&
      users[username] === new TextDecoder().decode(password))
  return {
    authenticate: (connect) =>
      judge(connects, connect.clientId) || (isUser(connect) ? 0 : ReasonCodes.badUserNameOrPassword),
    authorizePublish: (client, publish) =>
      judge(publishes, publish.topic) || (options.authorizePublish?.(client, publish) ?? 0),
    authorizeSubscribe: (client, filter) =>
      judge(subscribes, filter.filter) || (options.authorizeSubscribe?.(client, filter) ?? 0),
    refuseConnect: (reasonCode, clientId, times) => {
      connects.push({ applies: (to) => clientId === undefined || clientId === to, reasonCode, left: times })
    },
    refusePublish: (filter, reasonCode, times) => {
      publishes.push({ applies: (to) => matches(filter, to), reasonCode, left: times })
    },
    refuseSubscribe: (filter, reasonCode, times) => {
      subscribes.push({ applies: (to) => matches(filter, to), reasonCode, left: times })
    },
    clear: () => {
      connects.length = 0
      publishes.length = 0
      subscribes.length = 0
    }
  }
}
