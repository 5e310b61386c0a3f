/**
 * A logger that keeps what it gets, for tests of what the library logs.
 */
import { Effect, Layer, Logger, type LogLevel, References } from "effect"

export interface Line {
  readonly level: string
  readonly text: string
  readonly annotations: Readonly<Record<string, unknown>>
}

export interface Log {
  readonly lines: Array<Line>
  /** In place of the default logger; what is below the level does not get here. */
  readonly layer: Layer.Layer<never>
  /** Waits for a line. */
  readonly until: (found: (line: Line) => boolean) => Effect.Effect<Line>
  /** What came since the last look, as `level event: text`. */
  readonly take: () => ReadonlyArray<string>
}

export const makeLog = (level: LogLevel.LogLevel = "All"): Log => {
  const lines: Array<Line> = []
  const waiters = new Set<() => void>()
  let seen = 0
  const logger = Logger.make(({ fiber, logLevel, message }) => {
    lines.push({
      level: logLevel,
      text: Array.isArray(message) ? message.map(String).join(" ") : String(message),
      annotations: fiber.getRef(References.CurrentLogAnnotations)
    })
    for (const waiter of waiters) waiter()
  })
  return {
    lines,
    layer: Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, level)),
    until: (found) =>
      Effect.callback((resume) => {
        const look = (): void => {
          const line = lines.find(found)
          if (line === undefined) return
          waiters.delete(look)
          resume(Effect.succeed(line))
        }
        waiters.add(look)
        look()
        return Effect.sync(() => waiters.delete(look))
      }),
    take: () => {
      const fresh = lines.slice(seen)
      seen = lines.length
      return fresh.map(({ annotations, level: of, text }) => `${of} ${String(annotations["event"])}: ${text}`)
    }
  }
}
