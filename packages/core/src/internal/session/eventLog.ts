/**
 * Writes the events of one session to Effect's logger: failures by default, all events on request.
 *
 * It costs nothing while nothing fails: it keeps no state before the first failure, starts a fiber only for a line, and
 * is not called for messages. Repeated events are paced, see `Pace`. `lifecycle.ts` calls it for each event, after all
 * observers.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { MqttError } from "../../MqttError.ts"
import type { Reconnecting, SessionEvent } from "../../SessionEvent.ts"
import type { LogMode, SessionLogOptions } from "../../SessionLog.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import type { Background } from "./fibers.ts"
import { gaveUp, lineOf, type LogLine, lostTimes, mended, type PacedLine } from "./logLine.ts"
import { Pace } from "./pace.ts"

type Tag = SessionEvent["_tag"]

export const logModeOf = (options: SessionOptions, settings: SessionLogOptions): LogMode =>
  options.log ?? settings.log ?? "warnings"

/** Whether a session that has logged nothing yet begins with this event. Most sessions never log. */
export const isWorthLogging = (event: SessionEvent, log: LogMode, { levels }: SessionLogOptions): boolean => {
  if (log !== "warnings") return log === "all"
  switch (event._tag) {
    case "Connecting":
    case "Connected":
    case "CredentialsRefreshed":
    case "Ready":
    case "StateChanged":
    case "Added":
    case "Removed":
    case "HandlerFailed":
      return levels?.[event._tag] !== undefined
    case "Disconnected":
      return event.error !== undefined || levels?.Disconnected !== undefined
    default:
      return true
  }
}

/** Whether these settings log nothing, for a session with these options or, without options, outside of sessions. */
export const isSilent = (settings: SessionLogOptions, options?: Pick<SessionOptions, "log">): boolean =>
  (options?.log ?? settings.log) === "off"

/** The first pause between two lines of a repeated event, in milliseconds. */
export const firstPauseOf = ({ interval = "10 seconds" }: SessionLogOptions): number =>
  Math.max(1, Duration.toMillis(interval))

/** Bound of the keys, which contain topic filters that a program may invent without limit. */
const maximumKeys = 256

interface PacedEvents {
  readonly pace: Pace
  readonly tag: Tag
  /** Of the latest event. */
  line: PacedLine["line"]
}

/** The time from the first failure to the next connection. */
interface Outage {
  readonly since: number
  attempts: number
  /** The reasons that were logged. Another reason is news. When there is any, the end of the outage is logged too. */
  readonly reasons: Set<string>
}

/** State about failures. */
class Trouble {
  outage: Outage | undefined
  readonly loss: Pace
  readonly attempt: Pace
  readonly paced = new Map<string, PacedEvents>()
  timer: { readonly at: number; readonly fiber: Fiber.Fiber<void> } | undefined
  /** The failure of the store was logged, and its end was not. */
  isStorageTold = false

  constructor(firstPause: number) {
    this.loss = new Pace(firstPause)
    this.attempt = new Pace(firstPause)
  }
}

export class EventLog {
  readonly #session: string
  readonly #log: Exclude<LogMode, "off">
  readonly #settings: SessionLogOptions
  readonly #clock: Clock.Clock
  readonly #fibers: Background
  #server: string | undefined
  #trouble: Trouble | undefined

  constructor(
    session: string,
    log: Exclude<LogMode, "off">,
    settings: SessionLogOptions,
    clock: Clock.Clock,
    fibers: Background
  ) {
    this.#session = session
    this.#log = log
    this.#settings = settings
    this.#clock = clock
    this.#fibers = fibers
  }

  /** `server` is the server in use, or the one tried last. */
  onEvent(event: SessionEvent, server: string | undefined): void {
    this.#server = server
    switch (event._tag) {
      case "Connecting":
        return this.#lifecycle(event)
      case "Connected":
        this.#onMended()
        return this.#lifecycle(event)
      case "Disconnected":
        // A failure of the store is already logged.
        return event.error === undefined || event.error.reason._tag === "StorageFailed"
          ? this.#lifecycle(event)
          : this.#onLost(event._tag, event.error)
      case "Reconnecting":
        return event.attempt === 1 ? this.#lifecycle(event) : this.#onFailedAttempt(event)
      case "StorageDegraded":
        if (this.#pace(event)) this.#trouble!.isStorageTold = true
        return
      case "StorageRecovered":
        if (this.#trouble?.isStorageTold !== true) return
        this.#trouble.isStorageTold = false
        return this.#write(event._tag, lineOf(event) as LogLine)
      case "StorageDamaged":
        return this.#write(event._tag, lineOf(event) as LogLine)
      case "CredentialsRefreshed":
      case "Ready":
      case "StateChanged":
      case "Added":
      case "Removed":
        return this.#lifecycle(event)
      case "HandlerFailed":
        // Logged elsewhere, with its cause.
        if (this.#isWanted(event._tag)) this.#pace(event)
        return
      default:
        this.#pace(event)
    }
  }

  /** The session stops connecting. */
  onGiveUp(error: MqttError, server: string | undefined): void {
    this.#server = server
    if (error.reason._tag === "StorageFailed" && this.#trouble?.isStorageTold === true) return
    this.#write("Disconnected", gaveUp(error))
  }

  /** Writes the last lines, with the counts that were not logged yet. */
  close(server: string | undefined): void {
    this.#server = server
    const trouble = this.#trouble
    if (trouble === undefined) return
    trouble.timer?.fiber.interruptUnsafe()
    const now = this.#now()
    for (const { line, pace, tag } of trouble.paced.values()) {
      const count = pace.takeAll(now)
      if (count > 0) this.#write(tag, line(count))
    }
    this.#trouble = undefined
  }

  /** Logs events that are never warnings, for the mode `all` and for custom levels. */
  #lifecycle(event: SessionEvent): void {
    if (this.#isWanted(event._tag)) this.#write(event._tag, lineOf(event) as LogLine)
  }

  #isWanted(tag: Tag): boolean {
    return this.#log === "all" || this.#settings.levels?.[tag] !== undefined
  }

  #onLost(tag: Tag, error: MqttError): void {
    const count = this.#troubled.loss.note(this.#now())
    if (this.#noteFailure(tag, error, count > 0)) this.#write(tag, lostTimes(Math.max(1, count), error))
  }

  #onFailedAttempt(event: Reconnecting): void {
    const isDue = this.#troubled.attempt.note(this.#now()) > 0
    const isWanted = this.#noteFailure(event._tag, event.error, isDue)
    this.#troubled.outage!.attempts++
    if (isWanted) this.#write(event._tag, lineOf(event) as LogLine)
  }

  /** Whether the failure is logged: a line is due, or its reason is new in this outage. */
  #noteFailure(tag: Tag, error: MqttError, isDue: boolean): boolean {
    const outage = this.#troubled.outage ??= { since: this.#now(), attempts: 0, reasons: new Set() }
    const isNews = outage.reasons.size > 0 && !outage.reasons.has(error.reason._tag)
    if (!isDue && !isNews && !this.#isWanted(tag)) return false
    outage.reasons.add(error.reason._tag)
    return true
  }

  #onMended(): void {
    const outage = this.#trouble?.outage
    if (outage === undefined) return
    this.#trouble!.outage = undefined
    if (outage.reasons.size > 0) this.#write("Connected", mended(this.#now() - outage.since, outage.attempts + 1))
  }

  /** Logs the event, or counts it until a line is due. Answers whether it was logged. */
  #pace(event: SessionEvent): boolean {
    const { count, key, line } = lineOf(event) as PacedLine
    const { paced } = this.#troubled
    let events = paced.get(key)
    if (events === undefined) {
      events = { pace: new Pace(firstPauseOf(this.#settings)), tag: event._tag, line }
      if (paced.size >= maximumKeys) this.#forgetOldest(paced)
      paced.set(key, events)
    }
    events.line = line
    const due = events.pace.note(this.#now(), count)
    if (due > 0) this.#write(event._tag, line(due))
    else this.#arm(events.pace.dueAt)
    return due > 0
  }

  #forgetOldest(paced: Map<string, PacedEvents>): void {
    const [key, { line, pace, tag }] = paced.entries().next().value!
    const count = pace.takeAll(this.#now())
    if (count > 0) this.#write(tag, line(count))
    paced.delete(key)
  }

  /** Schedules the next due line, and those after it. */
  #arm(at: number): void {
    const trouble = this.#troubled
    if (at === Infinity || (trouble.timer !== undefined && trouble.timer.at <= at)) return
    trouble.timer?.fiber.interruptUnsafe()
    const fiber = this.#fibers.fork(Effect.andThen(
      Effect.sleep(Math.max(1, Math.ceil(at - this.#now()))),
      Effect.sync(() => {
        trouble.timer = undefined
        const now = this.#now()
        let next = Infinity
        for (const { line, pace, tag } of trouble.paced.values()) {
          const count = pace.take(now)
          if (count > 0) this.#write(tag, line(count))
          next = Math.min(next, pace.dueAt)
        }
        this.#arm(next)
      })
    ))
    trouble.timer = { at, fiber }
  }

  get #troubled(): Trouble {
    return this.#trouble ??= new Trouble(firstPauseOf(this.#settings))
  }

  /** Milliseconds of the monotonic clock. */
  #now(): number {
    return Number(this.#clock.monotonicTimeNanosUnsafe()) / 1_000_000
  }

  #write(tag: Tag, { annotations, level, text }: LogLine): void {
    const given = this.#settings.levels?.[tag]
    if (given === "None") return
    const server = this.#server
    this.#fibers.fork(Effect.annotateLogs(Effect.logWithLevel(given ?? level)(text), {
      session: this.#session,
      ...(server === undefined ? undefined : { server }),
      event: tag,
      ...annotations
    }))
  }
}
