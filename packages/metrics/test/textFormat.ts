/**
 * A strict reader of the Prometheus text format, version 0.0.4: what it does not understand is an error.
 */

export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Family {
  readonly name: string
  readonly type: "counter" | "gauge" | "histogram" | "summary" | "untyped"
  readonly help: string | undefined
  readonly samples: ReadonlyArray<Sample>
}

const metricName = /^[a-zA-Z_:][a-zA-Z0-9_:]*/
const labelName = /^[a-zA-Z_][a-zA-Z0-9_]*/
const number = /^(?:[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)|[+-]?Inf|NaN)$/

const parseNumber = (text: string): number => {
  if (!number.test(text)) throw new Error(`not a number: ${JSON.stringify(text)}`)
  return text === "+Inf" || text === "Inf" ? Infinity : text === "-Inf" ? -Infinity : Number(text)
}

class Line {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  take(pattern: RegExp, what: string): string {
    const found = pattern.exec(this.#text.slice(this.#at))
    if (found === null) throw new Error(`${what} expected at ${this.#at} of ${JSON.stringify(this.#text)}`)
    this.#at += found[0].length
    return found[0]
  }

  try(text: string): boolean {
    if (!this.#text.startsWith(text, this.#at)) return false
    this.#at += text.length
    return true
  }

  expect(text: string): void {
    if (!this.try(text)) throw new Error(`${text} expected at ${this.#at} of ${JSON.stringify(this.#text)}`)
  }

  quoted(): string {
    this.expect("\"")
    let value = ""
    while (!this.try("\"")) {
      const character = this.#text[this.#at++]
      if (character === undefined) throw new Error(`unterminated label value in ${JSON.stringify(this.#text)}`)
      value += character === "\\" ? this.#escaped() : character
    }
    return value
  }

  rest(): string {
    return this.#text.slice(this.#at)
  }

  #escaped(): string {
    const character = this.#text[this.#at++]
    switch (character) {
      case "\\":
      case "\"":
        return character
      case "n":
        return "\n"
      default:
        throw new Error(`no such escape: \\${character} in ${JSON.stringify(this.#text)}`)
    }
  }
}

const parseSample = (text: string): Sample => {
  const line = new Line(text)
  const name = line.take(metricName, "a metric name")
  const labels: Record<string, string> = {}
  if (line.try("{")) {
    while (!line.try("}")) {
      const label = line.take(labelName, "a label name")
      if (label in labels) throw new Error(`twice the label ${label} in ${JSON.stringify(text)}`)
      line.expect("=")
      labels[label] = line.quoted()
      if (!line.try(",")) {
        line.expect("}")
        break
      }
    }
  }
  line.expect(" ")
  return { name, labels, value: parseNumber(line.rest()) }
}

const belongsTo = ({ name, type }: Pick<Family, "name" | "type">, sample: string): boolean =>
  type === "histogram"
    ? sample === `${name}_bucket` || sample === `${name}_sum` || sample === `${name}_count`
    : sample === name

/** Reads a whole exposition. */
export const parse = (text: string): ReadonlyMap<string, Family> => {
  if (text !== "" && !text.endsWith("\n")) throw new Error("the last line does not end")
  const families = new Map<string, { name: string; type: Family["type"]; help: string; samples: Array<Sample> }>()
  const seen = new Set<string>()
  let help: { readonly name: string; readonly text: string } | undefined
  let current: { name: string; type: Family["type"]; help: string; samples: Array<Sample> } | undefined
  for (const line of text.split("\n").slice(0, -1)) {
    const comment = /^# (HELP|TYPE) ([^ ]+) (.*)$/.exec(line)
    if (comment !== null) {
      const [, kind, name, rest] = comment as unknown as [string, string, string, string]
      if (metricName.exec(name)?.[0] !== name) throw new Error(`not a metric name: ${name}`)
      if (kind === "HELP") {
        help = { name, text: rest }
        continue
      }
      if (families.has(name)) throw new Error(`twice the family ${name}`)
      if (help?.name !== name) throw new Error(`no HELP before the TYPE of ${name}`)
      if (!/^(?:counter|gauge|histogram|summary|untyped)$/.test(rest)) throw new Error(`no such type: ${rest}`)
      current = { name, type: rest as Family["type"], help: help.text, samples: [] }
      families.set(name, current)
      continue
    }
    const sample = parseSample(line)
    if (current === undefined || !belongsTo(current, sample.name)) throw new Error(`outside of its family: ${line}`)
    const identity = JSON.stringify([sample.name, Object.entries(sample.labels).sort()])
    if (seen.has(identity)) throw new Error(`twice the series ${identity}`)
    seen.add(identity)
    if (current.type !== "gauge" && !(sample.value >= 0)) throw new Error(`a ${current.type} below zero: ${line}`)
    current.samples.push(sample)
  }
  for (const family of families.values()) {
    if (family.type === "histogram") checkHistogram(family)
  }
  return families
}

/** Buckets ascend, the last one is +Inf and equals the count. */
const checkHistogram = ({ name, samples }: Family): void => {
  const groups = new Map<string, Array<Sample>>()
  for (const sample of samples) {
    const { le: _, ...labels } = sample.labels
    const key = JSON.stringify(Object.entries(labels).sort())
    groups.set(key, [...groups.get(key) ?? [], sample])
  }
  for (const [key, group] of groups) {
    const buckets = group.filter((sample) => sample.name === `${name}_bucket`)
    const count = group.filter((sample) => sample.name === `${name}_count`)
    const sum = group.filter((sample) => sample.name === `${name}_sum`)
    if (count.length !== 1 || sum.length !== 1) throw new Error(`no count and sum of ${name}${key}`)
    let bound = -Infinity
    let value = 0
    for (const bucket of buckets) {
      const next = parseNumber(bucket.labels.le ?? "")
      if (!(next > bound) || bucket.value < value) throw new Error(`buckets of ${name}${key} do not ascend`)
      bound = next
      value = bucket.value
    }
    if (bound !== Infinity || value !== count[0]!.value) throw new Error(`the last bucket of ${name}${key}`)
  }
}

/** The value of one series. */
export const valueOf = (
  families: ReadonlyMap<string, Family>,
  name: string,
  labels: Readonly<Record<string, string>> = {}
): number | undefined => {
  const family = families.get(name.replace(/_(?:bucket|sum|count)$/, "")) ?? families.get(name)
  const wanted = JSON.stringify(Object.entries(labels).sort())
  return (families.get(name) ?? family)?.samples.find((sample) =>
    sample.name === name && JSON.stringify(Object.entries(sample.labels).sort()) === wanted
  )?.value
}
