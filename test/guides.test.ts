/**
 * Holds the guides against the code: every reason of an error, every option, every member of MQTT.js's options and
 * every alert has its entry, and what the entries say in figures is what the code says.
 */
import * as Core from "@effect-mqttx/core"
import { MqttError } from "@effect-mqttx/core"
import { ScriptedBroker } from "@effect-mqttx/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Result, Stream } from "effect"
import { existsSync, readFileSync } from "node:fs"
import { join, posix } from "node:path"
import { fields as forwarderFields } from "../packages/core/src/internal/forwarder/options.ts"
import { fields as sessionFields } from "../packages/core/src/internal/options/fields.ts"
import { groupNames } from "../packages/core/src/internal/options/groups.ts"
import { defaultOf, forwarder, isRequired, type Kind, session, typeOf } from "./support/optionTypes.ts"
import { linksOf, sectionsOf } from "./support/promises.ts"
import { filesBelow, root } from "./support/repository.ts"
import { codes, sections, tableRows } from "./support/tables.ts"

const read = (page: string): string => readFileSync(join(root, page), "utf8")

/** The paths of all options of sessions. */
const sessionNames = Object.keys(sessionFields).flatMap((name) =>
  [name].concat((groupNames[name] ?? []).map((member) => `${name}.${member}`))
)

describe("docs/guides/errors.md", () => {
  const page = read("docs/guides/errors.md")
  const entries = sections(page, 3)
  const classes = new Map(
    MqttError.MqttErrorReason.members.map((member) => [member.fields._tag.schema.literal as string, member.prototype])
  )

  /** Whether a trait is a getter, of the class or of one below it. A getter answers for the single failure. */
  const isGetter = (prototype: object | null, name: string): boolean => {
    if (prototype === null) return false
    const descriptor = Object.getOwnPropertyDescriptor(prototype, name)
    return descriptor === undefined ? isGetter(Object.getPrototypeOf(prototype), name) : descriptor.get !== undefined
  }

  /** The traits of a class as an entry writes them. */
  const traitsOf = (prototype: MqttError.MqttErrorReason): string => {
    const depends = isGetter(prototype, "isRetryable")
    const severities = !isGetter(prototype, "severity")
      ? [prototype.severity]
      : [
        "warning",
        prototype.category === "connection" || prototype.category === "authentication" ? "critical" : "error"
      ]
    const retry = depends ? "sometimes retryable" : prototype.isRetryable ? "retryable" : "not retryable"
    return `\`${prototype.category}\` · ${severities.map((severity) => `\`${severity}\``).join(" or ")} · ${retry}`
  }

  it("has an entry for every reason and no other, with its category, severity and whether it is retryable", () => {
    assert.sameMembers([...entries.keys()], [...classes.keys()])
    assert.strictEqual(entries.size, 38)
    for (const [tag, prototype] of classes) {
      assert.strictEqual(entries.get(tag)!.trim().split("\n")[0], traitsOf(prototype), tag)
    }
  })

  it("says of every reason when it happens and what to do", () => {
    for (const [tag, entry] of entries) assert.match(entry, /\*\*When:\*\* [^]{10,}\*\*What to do:\*\* .{10,}/, tag)
  })

  // For each class whose failures differ: one that is retryable, and one that is not.
  it.each<readonly [MqttError.MqttErrorReason, MqttError.MqttErrorReason, string]>([
    [
      new MqttError.ConnectionRefused({ reasonCode: 0x89 }),
      new MqttError.ConnectionRefused({ reasonCode: 0x82 }),
      "critical"
    ],
    [
      new MqttError.CredentialsFailed({ detail: "a" }),
      new MqttError.CredentialsFailed({ detail: "a", isTransient: false }),
      "critical"
    ],
    [
      new MqttError.ProxyFailed({ proxy: "a", failure: "unreachable", code: "ECONNREFUSED" }),
      new MqttError.ProxyFailed({ proxy: "a", failure: "authentication" }),
      "critical"
    ],
    [new MqttError.ServerMoved({ reasonCode: 0x9c }), new MqttError.ServerMoved({ reasonCode: 0x9d }), "critical"],
    [
      new MqttError.TlsFailure({}),
      new MqttError.TlsFailure({ code: "CERT_HAS_EXPIRED" }),
      "critical"
    ],
    [new MqttError.PublishRefused({ reasonCode: 0x97 }), new MqttError.PublishRefused({ reasonCode: 0x87 }), "error"],
    [new MqttError.RequestFailed({ status: "noResponder" }), new MqttError.RequestFailed({ status: "error" }), "error"],
    [
      new MqttError.SubscriptionRefused({ filter: "a", reasonCode: 0x97 }),
      new MqttError.SubscriptionRefused({ filter: "a", reasonCode: 0x87 }),
      "error"
    ],
    [
      new MqttError.UnsubscribeRefused({ filter: "a", reasonCode: 0x83 }),
      new MqttError.UnsubscribeRefused({ filter: "a", reasonCode: 0x87 }),
      "error"
    ]
  ])("says truly that the severity follows: $_tag", (retryable, permanent, severity) => {
    assert.include(entries.get(retryable._tag)!, "sometimes retryable")
    assert.deepStrictEqual([retryable.isRetryable, retryable.severity], [true, "warning"])
    assert.deepStrictEqual([permanent.isRetryable, permanent.severity], [false, severity])
  })

  it("names the kinds of StorageFailed that are retryable", () => {
    // The type demands every kind.
    const kinds: { readonly [Kind in MqttError.StorageFailed["kind"]]: boolean } = {
      unavailable: true,
      full: true,
      readOnly: true,
      refused: true,
      owned: true,
      fenced: false,
      corrupt: false,
      newerFormat: false,
      invalid: false,
      closed: false
    }
    const all = Object.keys(kinds) as Array<keyof typeof kinds>
    const retryable = all.filter((kind) => new MqttError.StorageFailed({ kind }).isRetryable)
    const [, sentence = ""] = /why\. (.*) are retryable\./.exec(entries.get("StorageFailed")!) ?? []
    assert.sameMembers([...codes(sentence)], retryable)
    assert.deepStrictEqual(retryable, all.filter((kind) => kinds[kind]))
  })
})

describe("docs/guides/options.md", () => {
  const tables = sections(read("docs/guides/options.md"), 2)
  const rowsOf = (section: string): ReadonlyMap<string, ReadonlyArray<string>> => {
    const rows = tableRows(tables.get(section)!)
    const map = new Map(rows.map(([name, ...cells]) => [codes(name!)[0]!, cells]))
    assert.strictEqual(map.size, rows.length, `an option stands twice in ${section}`)
    return map
  }

  describe.each<readonly [string, Kind, ReadonlyArray<string>]>([
    ["Sessions", session, sessionNames],
    ["Forwarders", forwarder, Object.keys(forwarderFields)]
  ])("%s", (section, kind, names) => {
    const rows = rowsOf(section)

    it("has a row for every option, in the order of the code, and no other", () => {
      assert.deepStrictEqual([...rows.keys()], names)
    })

    it.each([...rows])("has the type and the default of %s", (name, [type, text, what]) => {
      assert.strictEqual(type, typeOf(kind, name))
      assert.isAbove(what!.length, 10)
      if (isRequired(kind, name)) assert.strictEqual(text, "required")
      else if (type !== "group") {
        const expected = defaultOf(kind, name)
        // Words say what happens without the option where it has no value of its own.
        if (expected === undefined) assert.match(text!, /^[^`]+$/)
        else assert.strictEqual(text!.split(";")[0], expected)
      }
    })
  })

  /** The members of an interface with their docstrings. */
  const membersOf = (file: string, name: string): ReadonlyArray<readonly [member: string, docstring: string]> => {
    const [, body = ""] =
      new RegExp(`export interface ${name}\\b[^{]*\\{\\n([^]*?)\\n\\}`).exec(read(`packages/${file}`)) ?? []
    return Array.from(
      body.matchAll(/\/\*\*([^]*?)\*\/\s+readonly (\w+)\??:/g),
      ([, docstring, member]) => [member!, docstring!.replace(/\s*\n\s*\* ?/g, " ")] as const
    )
  }

  it.each<readonly [string, ReadonlyArray<readonly [file: string, name: string]>]>([
    ["Publishing", [["core/src/Publication.ts", "PublishOptions"]]],
    ["Subscribing", [["core/src/Subscription.ts", "SubscribeOptions"]]],
    ["Consuming", [["core/src/Subscription.ts", "ConsumeOptions"]]],
    ["Requests", [["core/src/internal/requests/contract.ts", "RequestOptions"]]],
    ["Responders", [["core/src/internal/requests/contract.ts", "RespondOptions"]]],
    ["Routes", [
      ["core/src/SessionRoute.ts", "RouteOptions"],
      ["core/src/SessionRoute.ts", "HandleOptions"],
      ["core/src/SessionRoute.ts", "ListenOptions"]
    ]],
    ["Managers, pools and maps", [
      ["core/src/internal/manager/contract.ts", "ManagerOptions"],
      ["core/src/internal/manager/contract.ts", "AddOptions"],
      ["core/src/internal/manager/contract.ts", "RemoveOptions"],
      ["core/src/SessionPool.ts", "SessionPoolOptions"],
      ["core/src/SessionMap.ts", "SessionMapOptions"]
    ]],
    ["Log", [["core/src/SessionLog.ts", "SessionLogOptions"]]],
    ["File store", [["store-file/src/FileStore.ts", "FileStoreInput"]]],
    ["Redis store", [["store-redis/src/RedisStore.ts", "RedisStoreInput"]]],
    ["Key-value store", [["store-kvs/src/SessionStoreKvs.ts", "SessionStoreKvsOptions"]]],
    ["Metrics", [
      ["metrics/src/MqttMetrics.ts", "MetricsOptions"],
      ["metrics/src/NodeMetricsServer.ts", "NodeMetricsServerOptions"]
    ]]
  ])("%s: has a row for every option, with the default of its docstring", (section, interfaces) => {
    const members = new Map(interfaces.flatMap(([file, name]) => {
      const found = membersOf(file, name)
      assert.isNotEmpty(found, name)
      return found
    }))
    const rows = rowsOf(section)
    assert.deepStrictEqual([...rows.keys()], [...members.keys()])
    for (const [option, [text]] of rows) {
      const [value] = codes(text!)
      if (value === undefined) continue
      // "Default 16.", "Default: `a` on MQTT 5", "`onReceive` (default): ...", "`fsync`, the default: ..."
      const literal = value.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")
      const patterns = [
        `Default:? [^.]*${literal}`,
        `\`${literal}\`(?: one that joins)? \\(default\\)`,
        `\`${literal}\`, the default`
      ]
      assert.match(members.get(option)!, new RegExp(patterns.join("|")), option)
    }
  })
})

describe("docs/guides/from-mqttjs.md", () => {
  const tables = sections(read("docs/guides/from-mqttjs.md"), 2)
  const declarations = read("node_modules/mqtt/build/lib/client.d.ts")
  const [, options = ""] = /interface IClientOptions extends ISecureClientOptions \{([^]*?)\n\}/.exec(declarations) ??
    []
  const [, secure = ""] = /interface ISecureClientOptions \{([^]*?)\n\}/.exec(declarations) ?? []
  const [, events = ""] = /interface MqttClientEventCallbacks \{([^]*?)\n\}/.exec(declarations) ?? []
  const [, client = ""] = /class MqttClient extends[^{]*\{\n(    static[^]*?)\n\}/.exec(declarations) ?? []
  const namesIn = (section: string): ReadonlyArray<string> =>
    tableRows(tables.get(section)!).flatMap(([name]) => codes(name!))

  it("has every option of MQTT.js once", () => {
    const members = Array.from(`${options}${secure}`.matchAll(/^ {4}(\w+)\?:/gm), ([, name]) => name!)
    assert.isAbove(members.length, 50)
    assert.sameMembers([...namesIn("Options")], members)
  })

  it("names options and exports that exist, for each of them", () => {
    const known = new Set([
      ...Object.keys(sessionFields),
      ...Object.entries(groupNames).flatMap(([group, members]) => members.map((member) => `${group}.${member}`)),
      ...Object.keys(Core),
      "MqttJs"
    ])
    for (const [name, here] of tableRows(tables.get("Options")!)) {
      if (here === "not needed") continue
      assert.isNotEmpty(codes(here!), name)
      assert.deepStrictEqual(codes(here!).filter((each) => !known.has(each)), [], name)
    }
  })

  it("has every method of MQTT.js once", () => {
    const methods = Array.from(client.matchAll(/^ {4}(?:static )?([a-z]\w*)\(/gm), ([, name]) => name!)
    const unique = [...new Set(methods)].filter((name) => name !== "constructor" && name !== "noop")
    assert.isAbove(unique.length, 15)
    assert.sameMembers([...namesIn("Calls")], unique)
  })

  it("has every event of MQTT.js once", () => {
    const names = Array.from(events.matchAll(/^ {4}(\w+):/gm), ([, name]) => name!)
    assert.sameMembers([...namesIn("Events")], names)
  })
})

describe("docs/guides/operations.md", () => {
  const page = read("docs/guides/operations.md")
  const alerts = Array.from(
    read("packages/metrics/grafana/alerts.yaml").matchAll(
      /- alert: (\w+)\n +expr: (.*)\n(?: +for: (\w+)\n)? +labels:\n +severity: (\w+)/g
    ),
    ([, name, expression, duration, severity]) => ({
      name: name!,
      expression: expression!,
      duration,
      severity: severity!
    })
  )

  it("has an entry for every alert, in the order of the file, with its severity, time and expression", () => {
    assert.strictEqual(alerts.length, read("packages/metrics/grafana/alerts.yaml").split("- alert:").length - 1)
    const [, below = ""] = page.split("## When an alert fires")
    const shown = Array.from(
      below.matchAll(/^### (\w+)\n\n`(\w+)` · (.*)\n\n```promql\n(.*)\n```\n\n([^#]+)/gm),
      ([, name, severity, time, expression, text]) => ({ name, severity, time, expression, text: text! })
    )
    assert.deepStrictEqual(
      shown.map(({ expression, name, severity, time }) => ({ name, severity, time, expression })),
      alerts.map(({ duration, expression, name, severity }) => ({
        name,
        severity,
        time: duration === undefined ? "at once" : `for ${duration}`,
        expression
      }))
    )
    for (const { name, text } of shown) assert.match(text, /^\S[^]+\n\n(?:1\.|-) /, name)
  })

  it("is where each alert leads to", () => {
    const yaml = read("packages/metrics/grafana/alerts.yaml")
    const addresses = Array.from(yaml.matchAll(/runbook_url: "(.*)"/g), ([, address]) => address)
    const operations = "https://github.com/effect-mqttx/effect-mqttx/blob/main/docs/guides/operations.md"
    assert.deepStrictEqual(addresses, alerts.map(({ name }) => `${operations}#${name.toLowerCase()}`))
  })

  it("suggests options that a session takes", () => {
    const suggested = codes(page).filter((code) => code.startsWith("{ "))
    assert.isNotEmpty(suggested)
    for (const text of suggested) {
      const options = JSON.parse(text.replace(/(\w+):/g, "\"$1\":")) as object
      assert.isTrue(Result.isSuccess(session.decode({ ...session.minimal, ...options })), text)
    }
  })

  it("names every cause of a drop", () => {
    const causes: { readonly [Cause in Core.SessionEvent.MessageDropped["cause"]]: true } = {
      dropOldest: true,
      dropNewest: true,
      latestPerTopic: true,
      expired: true,
      poison: true,
      streamOverflow: true,
      unclaimed: true
    }
    const entry = sections(page, 3).get("MqttMessagesDropped")!
    const list = entry.split("\n").flatMap((line) => line.startsWith("- ") ? codes(line.split(":")[0]!) : [])
    assert.sameMembers(list, Object.keys(causes))
  })
})

describe("all guides", () => {
  const pages = [...filesBelow("docs/guides", ".md")]
  const named = (pattern: RegExp): ReadonlyArray<readonly [string, string, string]> =>
    pages.flatMap(([page, text]) =>
      codes(text.replace(/^```[^]*?^```$/gm, "")).flatMap((code) =>
        Array.from(code.matchAll(pattern), ([, of, member]) => [page, of!, member!] as const)
      )
    )

  it("say the defaults of the code where they name an option with its default", () => {
    const claims = pages.flatMap(([page, text]) =>
      Array.from(
        text.matchAll(/`([a-z][\w.]*)` \(([\d,]+)( s)?\b|\b([a-z]\w+), ([\d,]+)"\]/g),
        ([, option, value, unit = "", drawn, figure]) =>
          [page, option ?? drawn!, `\`${(value ?? figure!).replaceAll(",", "")}${unit}\``] as const
      )
    ).filter(([, option]) => sessionNames.includes(option))
    assert.isAbove(claims.length, 6)
    for (const [page, option, value] of claims) {
      assert.strictEqual(value, defaultOf(session, option), `${page}: ${option}`)
    }
  })

  it("name functions of modules that exist", () => {
    const modules: { readonly [name: string]: unknown } = Core
    const functions = named(/\b([A-Z]\w+)\.([a-z]\w*)/g).filter(([, module]) => module in modules)
    assert.isAbove(functions.length, 25)
    for (const [page, module, name] of functions) {
      assert.property(modules[module], name, `${page}: ${module}.${name}`)
    }
  })

  it.effect("name members of sessions, managers, messages and errors that exist", () =>
    Effect.gen(function*() {
      const manager = yield* Core.SessionManager.make()
      const session = yield* manager.add({ name: "plant", servers: [ScriptedBroker.memoryUrl] })
      const error = new MqttError.MqttError({ reason: new MqttError.Closed() })
      const { messages } = yield* session.subscription("a")
      yield* session.publish("a", "1")
      const message = yield* Stream.runHead(messages)
      const values = { manager, session, error, message: Option.getOrThrow(message) }
      const members = named(/\b(manager|session|message|error)\.([a-z]\w*)/g)
      assert.isAbove(members.length, 40)
      for (const [page, of, name] of members) {
        assert.isTrue(name in values[of as keyof typeof values], `${page}: ${of}.${name}`)
      }
    }).pipe(Effect.scoped, Effect.provide(ScriptedBroker.layerMemory())))

  it("are all in the index, as every page is, and nothing else", () => {
    const targets = linksOf(read("docs/README.md"))
    assert.sameMembers(
      [...new Set(targets)],
      [...filesBelow("docs", ".md").keys()].filter((file) => !file.startsWith("decisions/") && file !== "README.md")
        .concat(
          "decisions"
        )
    )
  })

  it("lead to pages and sections that exist", () => {
    const anchors = (file: string): ReadonlyArray<string> =>
      sectionsOf("", read(file)).map((section) => section.replace(/^#/, ""))
    for (const [page, text] of pages) {
      for (const target of linksOf(text).filter((link) => !link.startsWith("https:"))) {
        const [path, anchor] = target.split("#") as [string, string?]
        const file = posix.join("docs/guides", path === "" ? page : path)
        assert.isTrue(existsSync(join(root, file)), `${page}: ${target}`)
        if (anchor !== undefined) assert.include(anchors(file), anchor, `${page}: ${target}`)
      }
    }
  })
})
