/**
 * MQTT.js with its default options, used as its users do.
 */
import * as mqtt from "mqtt"
import { type Conditions, filter, sharedFilter, type Side, startFilter, topics } from "./contract.ts"
import { type Running, serve } from "./side.ts"

const start = async (side: Side, conditions: Conditions): Promise<Running> => {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${conditions.port}`, {
    protocolVersion: conditions.protocolVersion
  })
  client.setMaxListeners(0)
  const payload = Buffer.alloc(conditions.payloadBytes, 0x61)
  const options = { qos: side.qos } as const
  const state = { count: 0, begun: 0, running: true }
  let wake = (): void => {}
  const settled = (): void => {
    state.count++
    if (state.count === state.begun) wake()
  }
  const fail = (error: unknown): void => {
    console.error(error)
    process.exit(1)
  }

  switch (side.mode) {
    case "onMessage": {
      for (let index = 1; index < (side.streams ?? 1); index++) client.on("message", () => {})
      client.on("message", () => {
        state.count++
      })
      await client.subscribeAsync(side.streams === undefined ? filter : sharedFilter, options)
      if (side.streams !== undefined) await client.subscribeAsync(startFilter)
      break
    }
    case "callback": {
      const next = (error?: Error): void => {
        if (error) return fail(error)
        settled()
        if (state.running) publish()
      }
      const publish = (): void => {
        client.publish(topics[state.begun++ % topics.length]!, payload, options, next)
      }
      for (let i = 0; i < side.outstanding; i++) publish()
      break
    }
    case "async": {
      const loop = async (): Promise<void> => {
        while (state.running) {
          await client.publishAsync(topics[state.begun++ % topics.length]!, payload, options)
          settled()
        }
      }
      for (let i = 0; i < side.outstanding; i++) loop().catch(fail)
      break
    }
    case "bare": {
      // Without callbacks the socket's own state is all that bounds the memory.
      const burst = (): void => {
        if (!state.running) return
        for (let i = 0; i < side.outstanding; i++) {
          client.publish(topics[state.begun++ % topics.length]!, payload, options)
          state.count++
        }
        if (client.stream.writableNeedDrain) client.stream.once("drain", burst)
        else setImmediate(burst)
      }
      burst()
      break
    }
    default:
      fail(new Error(`no such use of MQTT.js: ${side.mode}`))
  }

  return {
    count: () => state.count,
    finish: async () => {
      state.running = false
      if (side.mode === "callback" || side.mode === "async") {
        if (state.count !== state.begun) {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
      } else if (side.mode === "bare") {
        while (client.stream.writableLength > 0) await new Promise((resolve) => setImmediate(resolve))
      }
    },
    note: () => ""
  }
}

serve(start)
