/**
 * A bare socket in the place of a client: the limit that the machine and the peer set.
 */
import { WireClient } from "../wire.ts"
import { type Conditions, filter, type Side, topics } from "./contract.ts"
import { type Running, serve } from "./side.ts"

const start = async (side: Side, conditions: Conditions): Promise<Running> => {
  const client = await WireClient.open({ ...conditions, clientId: "bench", qos: side.qos, topics })
  let running = true
  if (side.mode === "receive") {
    await client.subscribe(filter)
    return { count: () => client.received, finish: async () => {}, note: () => "" }
  }
  if (side.qos === 0) {
    const flood = (): void => {
      if (!running) return
      client.send(client.ringSize)
      void client.drained().then(flood)
    }
    flood()
  } else {
    client.onRead = () => {
      if (running) client.send(side.outstanding - (client.sent - client.settled))
    }
    client.send(side.outstanding)
  }
  return {
    count: () => client.sent,
    finish: async () => {
      running = false
      while (client.pendingBytes > 0 || (side.qos > 0 && client.settled < client.sent)) {
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    },
    note: () => ""
  }
}

serve(start)
