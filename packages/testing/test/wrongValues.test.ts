/**
 * Every exported function of the package, and every command of the scripted broker, with wrong values of every kind in
 * each of its places.
 *
 * What a test does wrong is a defect that says so: an `MqttError` which names the options that are wrong.
 */
import type { MqttError } from "@effect-mqttx/core/MqttError"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { Context, Effect, type Scope } from "effect"
import * as Fs from "node:fs"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import {
  type Answer,
  type Options,
  options,
  type Parameter,
  parameter,
  shown,
  type Type,
  type,
  violationsOf
} from "../../../test/support/wrongValues.ts"
import * as Fault from "../src/Fault.ts"
import * as ScriptedBroker from "../src/ScriptedBroker.ts"
import { connect, dialMemory } from "./support/rawClient.ts"

interface Subject {
  readonly answer: Answer
  readonly parameters: ReadonlyArray<Parameter>
}

const subject = (answer: Answer, ...parameters: ReadonlyArray<Parameter>): Subject => ({ answer, parameters })
const any = (name: string): Parameter => parameter(name, anything)

const anything = type("anything", () => "text")
const text = type("text", () => "text", (value) => typeof value === "string")
const flag = type("flag", () => true, (value) => typeof value === "boolean")
const callable = type("function", () => () => 0, (value) => typeof value === "function")
const qos = type("qos", () => 1, (value) => value === 0 || value === 1 || value === 2)
const nothing = (valid: () => unknown): Type => type("nothing of these", valid, () => false)
const number = (minimum: number, maximum = Infinity): Type =>
  type("number", () => minimum, (value) => typeof value === "number" && value >= minimum && value <= maximum)
const isEmpty = (value: unknown): boolean =>
  typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length === 0
const empty = type("record", () => ({}), isEmpty)
const list = type("list", () => [], (value) => Array.isArray(value) && value.length === 0)
const record = type(
  "record",
  () => ({}),
  (value) => typeof value === "object" && value !== null && !Array.isArray(value)
)
const bytes = type("bytes", () => Uint8Array.of(1), (value) => value instanceof Uint8Array)
const duration = type(
  "duration",
  () => 5,
  (value) => (typeof value === "number" && value >= 0) || (typeof value === "bigint" && value >= 0n)
)

const core: Options["types"] = {
  limits: empty,
  overlapping: nothing(() => "merge"),
  assignTopicAliases: flag,
  queueQoS0: flag,
  retainedBeforeSuback: flag,
  enforceKeepAlive: flag,
  authorizePublish: callable,
  authorizeSubscribe: callable,
  journal: nothing(() => undefined),
  onPublished: callable,
  onDelivery: callable,
  onViolation: callable
}

const broker: Options["types"] = {
  ...core,
  users: anything,
  record: type(
    "record",
    () => true,
    (value) => typeof value === "boolean" || (typeof value === "number" && value >= 0)
  ),
  seed: type("seed", () => 1, (value) => typeof value === "number" && !Number.isNaN(value)),
  maximumPendingBytes: number(0)
}

const listening: Options["types"] = { ...broker, webSocket: flag }

const match = options(
  "match",
  {
    direction: nothing(() => "sent"),
    packet: list,
    clientId: text,
    connection: number(0),
    nth: number(1),
    where: callable,
    probability: number(0, 1)
  },
  () => ({}),
  false
)
const anyMatch: Parameter = { ...match, type: empty }

const fault = (more: Options["types"] = {}): Parameter => options("options", { times: number(0), ...more })
const misordering = options(
  "options",
  { times: number(0), count: number(1), order: nothing(() => "reverse") },
  () => ({ count: 2 }),
  false
)

const subjects: { readonly [module: string]: { readonly [name: string]: Subject } } = {
  AedesBroker: {
    make: subject("effect", options("options", { webSocket: flag, port: number(0, 0), aedes: record })),
    layer: subject("layer", options("options", { webSocket: flag, port: number(0, 0), aedes: record }))
  },
  BrokerCore: { makeBrokerCore: subject("value", options("options", { ...core, authenticate: callable }), any("now")) },
  FileJournal: { make: subject("effect", parameter("path", text)) },
  Fault: {
    dropBefore: subject("value", anyMatch, fault({ reset: flag })),
    dropAfter: subject("value", anyMatch, fault({ reset: flag })),
    cutInside: subject("value", anyMatch, fault({ reset: flag, bytes: number(0) })),
    delay: subject("value", anyMatch, parameter("duration", duration), fault()),
    duplicate: subject("value", anyMatch, fault({ copies: number(0) })),
    discard: subject("value", anyMatch, fault()),
    withhold: subject("value", anyMatch, fault()),
    misorder: subject("value", anyMatch, misordering),
    replace: subject("value", anyMatch, parameter("by", callable), fault()),
    sendRaw: subject("value", anyMatch, parameter("bytes", bytes), fault({ instead: flag })),
    goSilent: subject("value", anyMatch, fault()),
    stopReading: subject("value", anyMatch, fault()),
    lieAboutSessionPresent: subject(
      "value",
      parameter("value", type("flag", () => true, (value) => value === undefined || typeof value === "boolean")),
      fault({ clientId: text })
    )
  },
  Journal: { makeMemory: subject("value") },
  MosquittoBroker: {
    isPresent: subject("predicate"),
    make: subject(
      "effect",
      options("options", { tls: flag, certificates: nothing(() => undefined), users: empty, config: list })
    ),
    layer: subject("layer", options("options", { persistence: flag, serverCertificate: nothing(() => undefined) }))
  },
  PostgresServer: {
    isPresent: subject("predicate"),
    make: subject("effect", options("options", { settings: empty })),
    layer: subject("layer", options("options", { settings: empty }))
  },
  RealServer: { find: subject("value", any("program")), isPresent: subject("value", any("program")) },
  RedisServer: {
    isPresent: subject("predicate"),
    make: subject("effect", options("options", { appendonly: flag, appendfsync: nothing(() => "no"), users: empty })),
    layer: subject("layer", options("options", { tls: flag, config: list }))
  },
  ScriptedBroker: {
    make: subject("effect", options("options", listening)),
    makeMemory: subject("effect", options("options", broker)),
    layer: subject("layer", options("options", listening)),
    layerMemory: subject("layer", options("options", broker))
  }
}

/** These start processes, for each right value among the wrong ones. */
const isSlow = (module: string): boolean => ["MosquittoBroker", "PostgresServer", "RedisServer"].includes(module)

const source = Path.join(Path.dirname(fileURLToPath(import.meta.url)), "../src")

const modules = Fs.readdirSync(source).filter((file) => file.endsWith(".ts") && file !== "index.ts").map((file) =>
  file.slice(0, -3)
)

type Functions = { readonly [name: string]: (...given: ReadonlyArray<never>) => unknown }

const isFunction = (value: unknown): boolean =>
  typeof value === "function" && !String(value).startsWith("class") && !Context.isKey(value) && !Effect.isEffect(value)

const functionsOf = (object: object): Functions =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => isFunction(value))) as Functions

const load = (name: string): Effect.Effect<Functions> =>
  Effect.map(Effect.promise(() => import(`../src/${name}.ts`) as Promise<object>), functionsOf)

// Of the system, for a path or a port that is none.
const isOfNode = (defect: unknown): boolean => defect instanceof Error && "code" in defect

const directory = Fs.mkdtempSync(Path.join(tmpdir(), "wrong-values-"))
afterAll(() => Fs.rmSync(directory, { recursive: true, force: true }))

/** Files whose paths are right are made in a directory of their own. */
const inDirectory = (module: string, call: Functions[string]): (...given: ReadonlyArray<never>) => unknown =>
  module === "FileJournal"
    ? (path) => call((typeof path === "string" && path !== "" ? Path.join(directory, path) : path) as never)
    : call

describe.each(modules)("%s", (name) => {
  it.live("has no function that is not looked at here", () =>
    Effect.map(load(name), (functions) => {
      assert.sameMembers(Object.keys(functions), Object.keys(subjects[name] ?? {}))
    }))

  it.live.each(Object.entries(subjects[name] ?? {}).filter(() => !isSlow(name)))(
    "%s takes wrong values as the rule says",
    ([key, { answer, parameters }]) =>
      Effect.gen(function*() {
        const call = inDirectory(name, (yield* load(name))[key]!)
        assert.strictEqual(shown(yield* violationsOf(`${name}.${key}`, answer, parameters, call, isOfNode)), "")
      }),
    180_000
  )
})

describe("servers in processes of their own", () => {
  it.live.each(Object.entries(subjects).filter(([name]) => isSlow(name)))(
    "%s is not started with options that are none",
    ([name, { make }]) =>
      Effect.gen(function*() {
        const call = (yield* load(name))["make"]! as unknown as (
          options: unknown
        ) => Effect.Effect<unknown, unknown, Scope.Scope>
        for (const key of Object.keys(make!.parameters[0]!.options!.types)) {
          const error = yield* Effect.flip(Effect.catchDefect(call({ [key]: Symbol("wrong"), typo: 1 }), Effect.fail))
          const { reason } = error as MqttError
          assert.deepStrictEqual(
            reason._tag === "InvalidOptions" ? reason.issues.map(({ path }) => path) : reason._tag,
            [key, "typo"]
          )
        }
      }).pipe(Effect.scoped)
  )
})

describe("the commands of the scripted broker", () => {
  const target = parameter(
    "target",
    type("target", () => "c", (value) => typeof value === "string" || typeof value === "number")
  )
  const count = parameter("count", number(0))
  const reasonCode = parameter("reasonCode", number(0, 255))
  const refusal = options("options", { times: number(0) })
  const condition = parameter("condition", callable)
  const recordMatch = options(
    "match",
    {
      direction: nothing(() => "sent"),
      packet: nothing(() => "Publish"),
      clientId: text,
      nth: number(1),
      fromNow: flag
    }
  )
  const commands: { readonly [name: string]: Subject } = {
    received: subject("value", any("packet"), any("clientId")),
    sent: subject("value", any("packet"), any("clientId")),
    awaitPacket: subject("effect", { ...recordMatch, type: empty }),
    connection: subject("value", any("target")),
    awaitConnections: subject("effect", count, any("clientId")),
    awaitUntil: subject("effect", condition),
    setRecord: subject(
      "effect",
      parameter(
        "record",
        type("record", () => true, (value) => typeof value === "boolean" || (typeof value === "number" && value >= 0))
      )
    ),
    session: subject("value", any("clientId")),
    subscriptions: subject("value", any("clientId")),
    publish: subject(
      "effect",
      parameter("topic", type("topic", () => "a", (value) => value === "text")),
      parameter(
        "payload",
        type("payload", () => "a", (value) => typeof value === "string" || ArrayBuffer.isView(value))
      ),
      options("options", { qos, retain: flag, properties: record })
    ),
    sendPacket: subject("effect", target, parameter("packet", record)),
    sendRaw: subject("effect", target, parameter("bytes", bytes)),
    disconnect: subject("effect", target, {
      ...reasonCode,
      type: type("code", () => 0x8b, (value) => value === undefined || reasonCode.type.isValid!(value))
    }),
    setLimits: subject(
      "effect",
      options("limits", { maximumQoS: qos, retainAvailable: flag, maximumQueued: number(0) })
    ),
    forgetSession: subject("effect", parameter("clientId", text)),
    inject: subject(
      "effect",
      options("fault", { match: empty, times: number(0) }, () => Fault.discard({ packet: "Auth" }), false)
    ),
    cut: subject("effect", target, options("options", { reset: flag })),
    cutEvery: subject(
      "effect",
      options(
        "options",
        { packets: nothing(() => undefined), limit: number(0), handshake: flag, clientId: text },
        () => ({ packets: [1, 2], seed: 1 }),
        false
      )
    ),
    release: subject("effect", target, options("options", { count: number(0), order: nothing(() => "reverse") })),
    goSilent: subject("effect", target),
    stopReading: subject("effect", target),
    resumeReading: subject("effect", target),
    refuseConnect: subject("effect", reasonCode, options("options", { times: number(0), clientId: text })),
    refusePublish: subject("effect", parameter("filter", text), reasonCode, refusal),
    refuseSubscribe: subject("effect", parameter("filter", text), reasonCode, refusal),
    refuseNetworkFor: subject("effect", parameter("duration", duration))
  }

  it.live("are all looked at here", () =>
    Effect.gen(function*() {
      const service = yield* ScriptedBroker.makeMemory()
      assert.sameMembers(Object.keys(functionsOf(service)), Object.keys(commands))
    }))

  // There are no connections of most targets, which the broker says; a packet that cannot be encoded is the encoder's
  // to refuse.
  const isSaid = (defect: unknown): boolean =>
    defect instanceof Error && (defect.message.endsWith(" is open") || !/Cannot|undefined/.test(defect.message))

  it.live.each(Object.entries(commands))(
    "%s takes wrong values as the rule says, and the broker continues",
    ([name, each]) =>
      Effect.gen(function*() {
        const service = yield* ScriptedBroker.makeMemory()
        yield* connect(dialMemory(service.transport), 5, "c")
        const call = (service as unknown as Functions)[name]!
        assert.strictEqual(shown(yield* violationsOf(`broker.${name}`, each.answer, each.parameters, call, isSaid)), "")
        yield* service.restart
        yield* service.clearFaults
        yield* service.clearRefusals
        yield* service.acceptNetwork
        yield* service.setRecord(true)
        yield* connect(dialMemory(service.transport), 5, "after")
        assert.strictEqual((yield* service.publish("a", "1")).deliveries, 0)
      })
  )
})
