/**
 * How the referee and the processes that it kills understand each other: arguments one way, lines the other.
 */
import type { QoS } from "@effect-mqttx/core/QoS"
import { isStoreName, type StoreName } from "./stores.ts"

/**
 * What a process is told.
 */
export interface Orders {
  /**
   * `publish`, `consume`, `forward`, or `inbox` and `outbox` in transactions, until killed; or `finish` what is stored
   * and end.
   */
  readonly role: "publish" | "finish" | "consume" | "forward" | "inbox" | "outbox"
  readonly store: StoreName
  readonly place: string
  readonly server: string
  /** The server that `forward` publishes to. */
  readonly target?: string
  readonly qos: QoS
  readonly seed: number
  /** The first number to publish. */
  readonly from: number
}

export const toArguments = (orders: Orders): ReadonlyArray<string> => [JSON.stringify(orders)]

export const fromArguments = (argument: string | undefined): Orders => {
  const orders = JSON.parse(argument ?? "{}") as Orders
  if (!isStoreName(orders.store)) throw new Error("this process is started by the crash harness only")
  return orders
}

/**
 * A line of a process: `ready`, `subscribed`, `begun n` before a message is handed over, `done n` after it was accepted
 * (or handled).
 *
 * A pipe takes a short line whole or not at all, and keeps it when its writer is killed.
 */
export type Report = readonly ["ready" | "subscribed"] | readonly ["begun" | "done", number]

export const formatReport = (report: Report): string => `${report.join(" ")}\n`

export const parseReport = (line: string): Report | undefined => {
  const [word, number] = line.split(" ")
  if (word === "ready" || word === "subscribed") return [word]
  if ((word === "begun" || word === "done") && /^\d+$/.test(number ?? "")) return [word, Number(number)]
  return undefined
}
