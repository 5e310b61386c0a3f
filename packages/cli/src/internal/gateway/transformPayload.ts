/**
 * Applies the transforms that change one payload. What a transform cannot do is an answer, which quotes nothing of the
 * payload. `transformHooks.ts` calls it.
 */
import * as Result from "effect/Result"
import { type JsonPath, parsePath, replaceAt, valueAt, valuesAt } from "../jsonPath.ts"
import { insertion, type Transform } from "./transforms.ts"
import { convert } from "./units.ts"

/** What a transform sees of a message. */
export interface TransformInput {
  readonly topic: string
  readonly session: string
  /** Milliseconds since the epoch. */
  readonly timestamp: number
  readonly payload: string
}

/** The new payload, or why there is none. It quotes nothing of the payload. */
export type Transformed = Result.Result<string, string>

const parse = (payload: string): Result.Result<unknown, string> =>
  Result.try({ try: () => JSON.parse(payload) as unknown, catch: () => "the payload is no JSON" })

const missing = (at: string): Result.Result<never, string> => Result.fail(`the payload has nothing at ${at}`)

const asText = (value: unknown): string => typeof value === "string" ? value : JSON.stringify(value)

const pick = (payload: string, at: string): Transformed =>
  Result.flatMap(parse(payload), (value) => {
    const found = valueAt(value, parsePath(at)!)
    return found === undefined ? missing(at) : Result.succeed(asText(found))
  })

interface NumberOptions {
  readonly path?: string
  readonly decimals?: number
}

/** Changes the number at a path, or each of them where the path stands for several. */
const changeNumbers = (
  payload: string,
  { decimals, path: at = "$" }: NumberOptions,
  change: (value: number) => number
): Transformed =>
  Result.flatMap(parse(payload), (value) => {
    const keys = parsePath(at)!
    const found = valuesAt(value, keys)
    if (found.length === 0) return missing(at)
    if (found.some((each) => typeof each !== "number")) return Result.fail(`what stands at ${at} is no number`)
    // JSON has no infinite numbers.
    if (found.some((each) => !Number.isFinite(change(each as number)))) {
      return Result.fail(`the number at ${at} is too large`)
    }
    const round = (each: number): number => decimals === undefined ? each : Number(each.toFixed(decimals))
    return Result.succeed(JSON.stringify(replaceAt(value, keys, (each) => round(change(each as number)))))
  })

const rename = (payload: string, at: string, to: string): Transformed =>
  Result.flatMap(parse(payload), (value) => {
    const keys = parsePath(at)!
    const parents: JsonPath = keys.slice(0, -1)
    const key = keys.at(-1)! as string | number
    const owners = valuesAt(value, parents).filter((parent) => valueAt(parent, [key]) !== undefined)
    if (owners.length === 0) return missing(at)
    if (owners.some((owner) => Array.isArray(owner))) return Result.fail(`what stands at ${at} has no name`)
    // In its place among the other keys; one that has the new name already is replaced.
    const renamed = (parent: unknown): unknown =>
      owners.includes(parent)
        ? Object.fromEntries(
          Object.entries(parent as Readonly<Record<string, unknown>>)
            .filter(([name]) => name === key || name !== to)
            .map(([name, each]) => [name === key ? to : name, each] as const)
        )
        : parent
    return Result.succeed(JSON.stringify(replaceAt(value, parents, renamed)))
  })

const template = (input: TransformInput, pattern: string, isJson: boolean): Transformed => {
  let parsed: Result.Result<unknown, string> | undefined
  let failure: string | undefined
  const valueOf = (name: string): unknown => {
    if (!name.startsWith("$")) return input[name as keyof TransformInput]
    parsed ??= parse(input.payload)
    if (Result.isFailure(parsed)) {
      failure ??= parsed.failure
      return undefined
    }
    const found = valueAt(parsed.success, parsePath(name)!)
    if (found === undefined) failure ??= `the payload has nothing at ${name}`
    return found
  }
  const filled = pattern.replaceAll(insertion, (_, name: string) => {
    const value = valueOf(name)
    if (value === undefined) return ""
    return isJson ? JSON.stringify(value) : asText(value)
  })
  if (failure !== undefined) return Result.fail(failure)
  return isJson
    ? Result.map(parse(filled), () => filled).pipe(Result.mapError(() => "the template gives no JSON"))
    : Result.succeed(filled)
}

/** A transform of one payload. */
export type PayloadTransform = Extract<
  Transform,
  { readonly type: "pick" | "scale" | "convert" | "rename" | "template" }
>

/** Applies one transform. */
export const transformPayload = (transform: PayloadTransform, input: TransformInput): Transformed => {
  switch (transform.type) {
    case "pick":
      return pick(input.payload, transform.path)
    case "scale": {
      const { factor = 1, offset = 0 } = transform
      return changeNumbers(input.payload, transform, (value) => value * factor + offset)
    }
    case "convert":
      return changeNumbers(input.payload, transform, (value) => convert(value, transform.from, transform.to))
    case "rename":
      return rename(input.payload, transform.path, transform.to)
    case "template":
      return template(input, transform.template, transform.format === "json")
  }
}

/** The value at a path of a payload, as a text; the whole payload need not be JSON. */
export const textAt = (payload: string, at: string): Transformed =>
  at === "$" ? Result.succeed(payload) : pick(payload, at)

/** The items of a payload. */
export const itemsOf = (
  payload: string,
  { format = "json", messages = 10_000, path: at = "$" }: Extract<Transform, { readonly type: "unbatch" }>
): Result.Result<ReadonlyArray<string>, string> => {
  const tooMany = `the payload has more than ${messages} items`
  if (format === "lines") {
    const lines = payload.split(/\r?\n/, messages + 2)
    // The last line may end with a line feed.
    if (lines.at(-1) === "") lines.pop()
    return lines.length > messages ? Result.fail(tooMany) : Result.succeed(lines)
  }
  return Result.flatMap(parse(payload), (value) => {
    const found = valueAt(value, parsePath(at)!)
    if (found === undefined) return missing(at)
    if (!Array.isArray(found)) return Result.fail(`what stands at ${at} is no array`)
    return found.length > messages ? Result.fail(tooMany) : Result.succeed(found.map(asText))
  })
}

/** Why a payload cannot be in a batch; undefined: it can. */
export const batchIssue = (payload: string, format: "json" | "lines"): string | undefined => {
  if (format === "lines") return payload.includes("\n") ? "the payload has several lines" : undefined
  const parsed = parse(payload)
  return Result.isFailure(parsed) ? parsed.failure : undefined
}

/** One payload of several. */
export const joinPayloads = (payloads: ReadonlyArray<string>, format: "json" | "lines"): string =>
  format === "json" ? `[${payloads.join(",")}]` : payloads.join("\n")
