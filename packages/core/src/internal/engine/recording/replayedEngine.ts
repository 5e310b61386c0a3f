/**
 * Runs an engine on a flight record: makes each call that the record has, and compares what the engine answers with
 * what it answered then. It reads lines that anyone may have written, so a line that is no part of a record is a
 * `TypeError` that says so, and nothing but an engine is ever called.
 */
import type {
  Consumer,
  Delivery,
  EngineOptions,
  IndependentOutput,
  Outbound,
  Output,
  PublishRequest,
  SessionEngine
} from "../contract.ts"
import { OutboundMessage } from "../outboundMessage.ts"
import { captureObjects, revive, reviveObject, type StateJson } from "./engineGraph.ts"
import { digestOf } from "./outputDigest.ts"
import { resultWord } from "./recordedEngine.ts"
import { isEqual, type Json, jsonOf, valueOf } from "./recordedValues.ts"
import { format, type Header, type State, type Step, version } from "./recordLines.ts"

/** What came of a line. */
export interface Replayed {
  readonly _tag: "State" | "Step"
  /** The number of the step; for a state that of the step before it. */
  readonly step: number
  readonly now: number
  readonly call: string
  readonly args: ReadonlyArray<Json>
  /** What the engine answered, as the record has it. */
  readonly result: Json
  /** What it had answered when the record was made. */
  readonly recorded: Json
  /** The output of `take` and `takeIndependent`. */
  readonly output: Output | IndependentOutput | undefined
  /** What the engine threw. */
  readonly defect: unknown
  readonly isSame: boolean
}

const fail = (what: string): never => {
  throw new TypeError(what)
}

const isRecord = (value: unknown): value is { readonly [key: string]: Json } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const parse = (line: string): unknown => {
  try {
    return JSON.parse(line)
  } catch {
    return fail("this is no JSON")
  }
}

/** The first line of a record; undefined: the line is another one. Throws for a version that is not known. */
export const parseHeader = (line: string): Header | undefined => {
  let json: unknown
  try {
    json = JSON.parse(line)
  } catch {
    return undefined
  }
  if (!isRecord(json) || json["format"] !== format) return undefined
  if (json["version"] !== version) fail(`version ${JSON.stringify(json["version"])} of the format is not known`)
  if (!isRecord(json["options"]) || typeof json["session"] !== "string") fail("the first line lacks the options")
  return { ...json, options: valueOf(json["options"] as Json) as EngineOptions } as unknown as Header
}

export class ReplayedEngine {
  readonly engine: SessionEngine
  #taken: Output | undefined
  #step: number
  #hasBegun: boolean
  /** What references of the segment mean. */
  #places: ReadonlyArray<object | undefined> = []
  #consumers: Array<Consumer> = []
  readonly #deliveries = new Map<number, Delivery>()
  readonly #messages = new Map<number, Outbound>()

  constructor(engine: SessionEngine, { dropped }: Header) {
    this.engine = engine
    this.#step = dropped
    this.#hasBegun = dropped === 0
  }

  /** The state of the engine now. */
  get state(): StateJson {
    return captureObjects(this.engine, this.#taken).state
  }

  run(line: string): Replayed {
    const json = parse(line)
    if (!isRecord(json)) return fail("this is no line of a flight record")
    if (isRecord(json["state"])) return this.#begin(json as unknown as State)
    const { args, call, now, offset, step } = json
    if (typeof step !== "number" || typeof now !== "number" || typeof call !== "string" || !Array.isArray(args)) {
      return fail("this is no line of a flight record")
    }
    if (!this.#hasBegun) fail("the state at the begin of the record is missing")
    if (step !== this.#step + 1) fail(`step ${this.#step + 1} is missing`)
    if (typeof offset === "number") this.engine.epochOffset = offset
    return this.#run(json as unknown as Step)
  }

  /** The state of the record: the engine begins with it, or has come to it. */
  #begin({ state }: State): Replayed {
    let isSame = true
    if (this.#hasBegun) {
      const own = captureObjects(this.engine, this.#taken)
      isSame = isEqual(own.state, state)
      this.#places = own.objects
    } else {
      const revived = revive(this.engine, state)
      this.#places = revived.objects
      this.#taken = revived.taken as Output | undefined
      for (const object of revived.objects) {
        if (object instanceof OutboundMessage) this.#messages.set(object.sequence, object)
      }
    }
    this.#hasBegun = true
    this.#consumers = []
    return {
      _tag: "State",
      step: this.#step,
      now: 0,
      call: "",
      args: [],
      result: null,
      recorded: null,
      output: undefined,
      defect: undefined,
      isSame
    }
  }

  #run({ args, call, now, result: recorded, step }: Step): Replayed {
    this.#step = step
    let result: Json
    let output: Output | IndependentOutput | undefined
    let defect: unknown
    try {
      const answer = this.#call(call, args, now, recorded)
      if (call === "take" || call === "takeIndependent") {
        output = answer as Output | IndependentOutput | undefined
        if (output !== undefined && call === "take") this.#taken = output as Output
        for (const { delivery } of output?.deliveries ?? []) {
          this.#deliveries.set((delivery as unknown as { readonly sequence: number }).sequence, delivery)
        }
      }
      result = resultJson(call, answer)
    } catch (cause) {
      if (cause instanceof MalformedStep) throw cause
      defect = cause
      result = "threw"
    }
    // A call from which the record was written had no result yet.
    const isSame = recorded === "open" || isEqual(result, recorded)
    return { _tag: "Step", step, now, call, args, result, recorded, output, defect, isSame }
  }

  #call(call: string, args: ReadonlyArray<Json>, now: number, recorded: Json): unknown {
    const { engine } = this
    const [first, second, third] = args
    switch (call) {
      case "publish": {
        const admission = engine.publish(valueOf(first) as PublishRequest, now)
        if (admission._tag === "Accepted") this.#messages.set(admission.outbound.sequence, admission.outbound)
        return admission
      }
      case "direct.publish": {
        const request = valueOf(first) as PublishRequest
        if (engine.direct.publish(request, now) === undefined) return "Waits"
        // The session decides it, and not the engine.
        if (recorded === "NotAppended") return recorded
        engine.direct.appended(request.topic)
        return "Appended"
      }
      case "direct.written":
        return engine.direct.written()
      case "direct.returned":
        return engine.direct.returned(valueOf(first) as never, second as number)
      case "receive":
        return engine.receive(valueOf(first) as never, now)
      case "acknowledge":
        return engine.acknowledge(
          this.#object(first) as Consumer,
          this.#object(second) as Delivery,
          now,
          third as number | undefined
        )
      case "take":
        return engine.take()
      case "takeIndependent":
        return engine.takeIndependent(first === true ? this.#taken : undefined)
      case "written":
        engine.written()
        // No later call refers to it.
        this.#taken = undefined
        return undefined
      case "setWritable":
        return engine.setWritable(first === true, now)
      case "tick":
        return engine.tick(now)
      case "restore":
        return engine.restore(valueOf(first) as never, now)
      case "connecting":
        return engine.connecting(first === true, valueOf(second) as number | undefined)
      case "disconnected":
        return engine.disconnected(now, ...args.map(valueOf) as [string?, boolean?, boolean?])
      case "partlyWritten":
        return engine.partlyWritten(first as number, valueOf(second) as never)
      case "withdraw": {
        const outbound = this.#object(first) as Outbound | undefined
        // The engine had forgotten it: it was settled.
        return outbound === undefined ? false : engine.withdraw(outbound, now)
      }
      case "reject":
        return engine.reject(first === true ? this.#taken : undefined, valueOf(second) as never, now)
      case "abandon":
        return engine.abandon(valueOf(first) as never, now)
      case "addConsumer": {
        const consumer = engine.addConsumer(valueOf(first) as never, now)
        if (!("_tag" in consumer)) this.#consumers.push(consumer)
        return consumer
      }
      case "removeConsumer":
        return engine.removeConsumer(this.#object(first) as Consumer, now)
      case "forgetConsumer":
        return engine.forgetConsumer(first as string, now)
      case "unsubscribe":
        return engine.unsubscribe(first as string, now)
      default:
        throw new MalformedStep(`${JSON.stringify(call)} is no call of an engine`)
    }
  }

  #object(reference: Json | undefined): object | undefined {
    if (!isRecord(reference)) throw new MalformedStep("an argument is no reference")
    const { forgotten, outbound } = reference
    if (typeof outbound === "number") return this.#messages.get(outbound)
    if (isRecord(forgotten)) return reviveObject(this.engine, forgotten, (json) => this.#known(json))
    return this.#known(reference)
  }

  #known({ consumer, delivery, place }: StateJson): object | undefined {
    if (typeof consumer === "number") return this.#consumers[consumer]
    if (typeof delivery === "number") return this.#deliveries.get(delivery)
    return typeof place === "number" ? this.#places[place] : undefined
  }
}

/** A step that no engine can be told. */
class MalformedStep extends TypeError {}

const resultJson = (call: string, answer: unknown): Json => {
  if (call === "take" || call === "takeIndependent") {
    if (answer === undefined) return null
    const output = answer as Output | IndependentOutput
    return {
      digest: digestOf(output),
      packets: "packets" in output ? output.packets.length : 0,
      deliveries: output.deliveries.length,
      settled: output.settled.length
    }
  }
  if (call === "direct.publish" || call === "direct.written") return answer as Json
  if (call === "publish") return (answer as { readonly _tag: string })._tag
  if (call === "receive") return answer === undefined ? null : jsonOf(answer)
  return resultWord(answer)
}
