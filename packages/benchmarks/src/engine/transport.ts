/**
 * The transport of a session to the server in memory.
 */
import type { Transport } from "@effect-mqttx/core/Transport"
import * as Effect from "effect/Effect"
import type { MemoryServer } from "./memoryServer.ts"

export const transportOf = (server: MemoryServer): Transport => ({
  open: (_, handlers) =>
    Effect.sync(() => {
      let isClosed = false
      let isPaused = false
      const waiting: Array<Uint8Array> = []
      const close = (): void => {
        if (isClosed) return
        isClosed = true
        setImmediate(() => handlers.onClose())
      }
      server.send = (bytes) => {
        if (isClosed) return
        if (isPaused) waiting.push(bytes)
        else handlers.onData(bytes)
      }
      return {
        write: (bytes) => {
          if (isClosed) return "closed"
          server.receive(bytes)
          return "taken"
        },
        pendingBytes: () => 0,
        pause: () => {
          isPaused = true
        },
        resume: () => {
          isPaused = false
          const next = (): void => {
            if (isPaused || waiting.length === 0) return
            handlers.onData(waiting.shift()!)
            next()
          }
          setImmediate(next)
        },
        end: close,
        destroy: close
      }
    })
})
