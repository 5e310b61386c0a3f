/**
 * Closes connections at a certain age, as a server does that limits the life of WebSockets. It holds the open
 * connections only. The running hub tells it of new ones.
 */
import * as Duration from "effect/Duration"
import type { HubConnection } from "./connection.ts"
import type { Hub } from "./hub.ts"

export class Lifetimes {
  readonly #hub: Hub
  /** Milliseconds. */
  readonly #lifetime: number
  /** In the order in which they were opened. */
  #connections: Array<HubConnection> = []
  /** The life of the broker in which an alarm is set: a crash clears alarms. */
  #armedIn: Hub["core"] = undefined

  /** `lifetime` in seconds. */
  constructor(hub: Hub, lifetime: number) {
    this.#hub = hub
    this.#lifetime = lifetime * 1000
  }

  begin(connection: HubConnection): void {
    this.#connections = this.#connections.filter(({ closed }) => !closed)
    this.#connections.push(connection)
    this.#arm()
  }

  /** One alarm at a time: for the oldest connection. */
  #arm(): void {
    const [oldest] = this.#connections
    if (oldest === undefined || this.#armedIn === this.#hub.core) return
    this.#armedIn = this.#hub.core
    const left = oldest.openedAt + this.#lifetime - this.#hub.options.now()
    this.#hub.alarm(Duration.millis(Math.max(0, left)), () => {
      this.#armedIn = undefined
      const due = this.#hub.options.now() - this.#lifetime
      for (const connection of this.#connections) if (connection.openedAt <= due) this.#hub.cut(connection, false)
      this.#connections = this.#connections.filter(({ closed }) => !closed)
      this.#arm()
    })
  }
}
