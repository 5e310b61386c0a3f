/** Numbers, sizes and times as people read them. */
import type { PageMetrics } from "../src/internal/page/model.ts"

const whole = new Intl.NumberFormat("en")
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 })
const tenths = new Intl.NumberFormat("en", { maximumFractionDigits: 1 })

/** `12,345`, and `1.2M` where that would be long. */
export const count = (value: number): string => value < 100_000 ? whole.format(value) : short.format(value)

export const exact = (value: number): string => whole.format(value)

export const plural = (value: number, one: string, many = `${one}s`): string =>
  `${count(value)} ${value === 1 ? one : many}`

/** A number for each second: one decimal where that matters. */
export const rate = (value: number): string =>
  value < 9.95 ? tenths.format(value) : value < 99_950 ? whole.format(Math.round(value)) : short.format(value)

const units = ["B", "kB", "MB", "GB", "TB"]

export const bytes = (value: number): string => {
  let unit = 0
  let scaled = value
  while (scaled >= 999.5 && unit < units.length - 1) {
    scaled /= 1000
    unit++
  }
  return `${unit > 0 && scaled < 9.95 ? scaled.toFixed(1) : Math.round(scaled)} ${units[unit]}`
}

/** A duration in its two largest units. */
export const duration = (milliseconds: number): string => {
  const seconds = Math.max(0, milliseconds) / 1000
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`
  if (seconds < 10) return `${tenths.format(seconds)} s`
  if (seconds < 60) return `${Math.floor(seconds)} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** How long ago, without digits that change faster than one reads them. */
export const age = (milliseconds: number): string =>
  milliseconds < 1000 ? "now" : duration(Math.floor(milliseconds / 1000) * 1000)

/** What the messages of a queue weigh, and how long the oldest one has been there. */
export const queue = ({ queued, queuedBytes, queuedFor }: PageMetrics): string =>
  queued === 0 ? "" : `${bytes(queuedBytes)}, ${queuedFor < 1000 ? "just now" : `for ${age(queuedFor)}`}`

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" })

export const time = (at: number): string => clock.format(at)
