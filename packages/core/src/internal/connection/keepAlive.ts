/**
 * Keeps one connection alive: sends PINGREQ, and ends the connection when its peer is gone or accepts no bytes.
 * `watch.ts` decides what is due, and `alarm.ts` wakes it. `connection.ts` starts it.
 */
import { ConnectionLost, type MqttErrorReason, Unexpected } from "../../MqttError.ts"
import { type Packet, pingreq } from "../../Packet.ts"
import type { Alarm, Sleeper } from "./alarm.ts"
import { type Observed, Watch } from "./watch.ts"

/** The connection. */
export interface KeptAlive extends Observed {
  readonly phase: "opening" | "open" | "closing" | "closed"
  /** Milliseconds of the monotonic clock. */
  readonly now: () => number
  readonly send: (packets: ReadonlyArray<Packet>) => unknown
  /** Closes at once. */
  readonly destroy: (reason: MqttErrorReason) => void
}

export class KeepAlive implements Sleeper {
  due: number
  position = -1
  readonly #link: KeptAlive
  readonly #alarm: Alarm
  readonly #watch: Watch
  readonly #keepAlive: number
  readonly #writeTimeout: number

  /** The keep alive in seconds, the write timeout in milliseconds; 0 switches either off. */
  constructor(link: KeptAlive, alarm: Alarm, keepAlive: number, writeTimeout: number) {
    this.#link = link
    this.#alarm = alarm
    this.#keepAlive = keepAlive
    this.#writeTimeout = writeTimeout
    this.due = link.now()
    this.#watch = new Watch(keepAlive * 1000, writeTimeout, this.due)
  }

  /** Does what is due, and sleeps until something else is, as long as the connection is open. */
  wake(): void {
    try {
      this.#check()
    } catch (cause) {
      // Nothing else would notice a peer that is gone.
      this.#link.destroy(new Unexpected({ detail: "watching the peer failed", cause }))
    }
  }

  stop(): void {
    this.#alarm.remove(this)
  }

  #check(): void {
    const link = this.#link
    while (link.phase === "open") {
      const now = link.now()
      const action = this.#watch.next(now, link)
      switch (action._tag) {
        case "Wait":
          if (action.wait === Infinity) return
          this.due = now + action.wait
          return this.#alarm.add(this)
        case "Ping":
          link.send([pingreq])
          break
        case "Silent":
          link.destroy(silence(`nothing arrived for ${this.#keepAlive * 1.5} seconds, one and a half keep alives`))
          break
        case "Stuck":
          link.destroy(silence(`the network took no bytes for ${this.#writeTimeout} ms`))
          break
      }
    }
  }
}

/** The peer is presumably gone. */
const silence = (reasonString: string): MqttErrorReason => new ConnectionLost({ reasonString, code: "ETIMEDOUT" })
