/**
 * Holds the guides against the code: every reason of an error, every option, every member of MQTT.js's options and
 * every alert has its entry, and what the entries say in figures is what the code says.
 */
import { MqttError } from "@effect-mqttx/core"
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { fields as forwarderFields } from "../packages/core/src/internal/forwarder/options.ts"
import { fields as sessionFields } from "../packages/core/src/internal/options/fields.ts"
import { groupNames } from "../packages/core/src/internal/options/groups.ts"
import { defaultOf, forwarder, isRequired, type Kind, session, typeOf } from "./support/optionTypes.ts"
import { root } from "./support/repository.ts"
import { codes, sections, tableRows } from "./support/tables.ts"

const read = (page: string): string => readFileSync(join(root, page), "utf8")

describe("docs/guides/errors.md", () => {
  const page = read("docs/guides/errors.md")
  const entries = sections(page, 3)
  const classes = new Map(
    MqttError.MqttErrorReason.members.map((member) => [member.fields._tag.schema.literal as string, member.prototype])
  )

  /** The traits of a class as an entry writes them. A getter answers for the single failure. */
  const traitsOf = (prototype: MqttError.MqttErrorReason): string => {
    const depends = Object.getOwnPropertyDescriptor(prototype, "isRetryable")?.get !== undefined
    const severities = Object.getOwnPropertyDescriptor(prototype, "severity")?.get === undefined
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

  const sessionNames = Object.keys(sessionFields).flatMap((name) => [
    name,
    ...(groupNames[name] ?? []).map((member) => `${name}.${member}`)
  ])

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
  const membersOf = (file: string, name: string): ReadonlyMap<string, string> => {
    const source = read(`packages/core/src/${file}`)
    const [, body = ""] = new RegExp(`export interface ${name}\\b[^{]*\\{\\n([^]*?)\\n\\}`).exec(source) ?? []
    return new Map(
      Array.from(
        body.matchAll(/\/\*\*([^]*?)\*\/\s+readonly (\w+)\?:/g),
        ([, docstring, member]) => [member!, docstring!.replace(/\s*\n\s*\* ?/g, " ")] as const
      )
    )
  }

  it.each([
    ["Publishing", "Publication.ts", "PublishOptions"],
    ["Subscribing", "Subscription.ts", "SubscribeOptions"],
    ["Consuming", "Subscription.ts", "ConsumeOptions"],
    ["Requests", "internal/requests/contract.ts", "RequestOptions"]
  ])("%s: has a row for every option, with the default of its docstring", (section, file, name) => {
    const members = membersOf(file, name)
    const rows = rowsOf(section)
    assert.isAbove(members.size, 4)
    assert.sameMembers([...rows.keys()], [...members.keys()])
    for (const [option, [text]] of rows) {
      const [value] = codes(text!)
      const docstring = members.get(option)!
      if (value === undefined) continue
      assert.match(
        docstring,
        new RegExp(`Default:?[^.]*\\b${value}\\b|\`${value}\` \\(default\\)|\`${value}\` one that joins \\(default\\)`),
        option
      )
    }
  })
})
