/**
 * Writes the life of one session to Effect's logger: failures by themselves, everything when asked to.
 *
 * It costs nothing while nothing fails: it keeps no state before the first failure, starts no fiber but for a line, and
 * is not called for messages. What goes on is paced, see `Pace`. The hub calls it for each event, after all others.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { MqttError } from "../../MqttError.ts"
import type { Reconnecting, SessionEvent } from "../../SessionEvent.ts"
import type { LogMode, SessionLogOptions } from "../../SessionLog.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import { gaveUp, lineOf, type LogLine, lostTimes, mended, type PacedLine } from "./logLine.ts"
import { Pace } from "./pace.ts"

type Tag = SessionEvent["_tag"]

/** Starts what writes a line. */
export type Fork = <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>

export const logModeOf = (options: SessionOptions, settings: SessionLogOptions): LogMode =>
  options.log ?? settings.log ?? "warnings"

/** Whether a session that has logged nothing yet begins with this event: most never do. */
export const isWorthLogging = (event: SessionEvent, log: LogMode, { levels }: SessionLogOptions): boolean => {
  if (log !== "warnings") return log === "all"
  switch (event._tag) {
    case "Connecting":
    case "Connected":
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

/** Whether nothing is logged of a session with these options, or, without options, of what belongs to no session. */
export const isSilent = (settings: SessionLogOptions, options?: Pick<SessionOptions, "log">): boolean =>
  (options?.log ?? settings.log) === "off"

/** The first pause between two lines of what goes on, in milliseconds. */
export const firstPauseOf = ({ interval = "10 seconds" }: SessionLogOptions): number =>
  Math.max(1, Duration.toMillis(interval))

/** Keys are made of topic filters, which a program may invent without end. */
const maximumKeys = 256

interface PacedEvents {
  readonly pace: Pace
  readonly tag: Tag
  /** Of the latest event. */
  line: PacedLine["line"]
}

/** From the first failure to the next connection. */
interface Outage {
  readonly since: number
  attempts: number
  /** The reasons that are in the log: another one is news, and with any the end of the outage gets a line too. */
  readonly reasons: Set<string>
}

/** What is remembered of failures. */
class Trouble {
  outage: Outage | undefined
  readonly loss: Pace
  readonly attempt: Pace
  readonly paced = new Map<string, PacedEvents>()
  timer: { readonly at: number; readonly fiber: Fiber.Fiber<void> } | undefined
  /** The line of the store's failure is in the log, and that of its end is not. */
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
  readonly #fork: Fork
  #server: string | undefined
  #trouble: Trouble | undefined

  constructor(
    session: string,
    log: Exclude<LogMode, "off">,
    settings: SessionLogOptions,
    clock: Clock.Clock,
    fork: Fork
  ) {
    this.#session = session
    this.#log = log
    this.#settings = settings
    this.#clock = clock
    this.#fork = fork
  }

  /** `server` is the one in use, or the one that was tried last. */
  onEvent(event: SessionEvent, server: string | undefined): void {
    this.#server = server
    switch (event._tag) {
      case "Connecting":
        return this.#lifecycle(event)
      case "Connected":
        this.#onMended()
        return this.#lifecycle(event)
      case "Disconnected":
        // What the store has to do with it is told already.
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
      case "Ready":
      case "StateChanged":
      case "Added":
      case "Removed":
        return this.#lifecycle(event)
      case "HandlerFailed":
        // It is logged where it happens, with its cause.
        if (this.#isWanted(event._tag)) this.#pace(event)
        return
      default:
        this.#pace(event)
    }
  }

  /** The session connects no more. */
  onGiveUp(error: MqttError, server: string | undefined): void {
    this.#server = server
    if (error.reason._tag === "StorageFailed" && this.#trouble?.isStorageTold === true) return
    this.#write("Disconnected", gaveUp(error))
  }

  /** The last lines: what was counted and not told yet. */
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

  /** What is a warning in no case is for those who want everything. */
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

  /** Whether the failure gets a line: when one is due, and when its reason is news in this outage. */
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

  /** Writes the event, or counts it until a line is due; true when it was written. */
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

  /** Wakes up for a line that will be due then, and for those after it. */
  #arm(at: number): void {
    const trouble = this.#troubled
    if (at === Infinity || (trouble.timer !== undefined && trouble.timer.at <= at)) return
    trouble.timer?.fiber.interruptUnsafe()
    const fiber = this.#fork(Effect.andThen(
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

  /** Milliseconds of the clock that never jumps. */
  #now(): number {
    return Number(this.#clock.monotonicTimeNanosUnsafe()) / 1_000_000
  }

  #write(tag: Tag, { annotations, level, text }: LogLine): void {
    const given = this.#settings.levels?.[tag]
    if (given === "None") return
    const server = this.#server
    this.#fork(Effect.annotateLogs(Effect.logWithLevel(given ?? level)(text), {
      session: this.#session,
      ...(server === undefined ? undefined : { server }),
      event: tag,
      ...annotations
    }))
  }
}
