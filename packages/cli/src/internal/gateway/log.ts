/**
 * The log of a gateway: lines on the standard error in the format of the file. A reload changes format and level.
 */
import * as Logger from "effect/Logger"
import type * as LogLevel from "effect/LogLevel"
import type { GatewayFile } from "./schema.ts"

type Settings = GatewayFile["log"]

const levels: Readonly<Record<Settings["level"], LogLevel.LogLevel>> = {
  trace: "Trace",
  debug: "Debug",
  info: "Info",
  warn: "Warn",
  error: "Error",
  off: "None"
}

/** The least level that is written. */
export const levelOf = (settings: Settings): LogLevel.LogLevel => levels[settings.level]

const loggers: Readonly<Record<Settings["format"], () => Logger.Logger<unknown, void>>> = {
  logfmt: () => Logger.withConsoleError(Logger.formatLogFmt),
  json: () => Logger.withConsoleError(Logger.formatJson),
  pretty: () => Logger.consolePretty({ mode: "tty" })
}

const order: ReadonlyArray<LogLevel.LogLevel> = ["All", "Trace", "Debug", "Info", "Warn", "Error", "Fatal", "None"]

/** A logger with settings that can change while sessions use it. */
export class GatewayLog {
  #logger: Logger.Logger<unknown, void>
  #least: number
  readonly logger: Logger.Logger<unknown, void>

  constructor(settings: Settings) {
    this.#logger = loggers[settings.format]()
    this.#least = order.indexOf(levelOf(settings))
    this.logger = Logger.make((options) => {
      if (order.indexOf(options.logLevel) >= this.#least) this.#logger.log(options)
    })
  }

  set(settings: Settings): void {
    this.#logger = loggers[settings.format]()
    this.#least = order.indexOf(levelOf(settings))
  }
}
