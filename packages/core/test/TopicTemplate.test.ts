import { MqttError, PayloadCodec, Topic, TopicTemplate } from "@effect-mqttx/core"
import { assert, describe, it } from "@effect/vitest"
import { Result, Schema } from "effect"

const Reading = Schema.Struct({ celsius: Schema.Finite })
const json = PayloadCodec.json(Reading)
const temperature = TopicTemplate.make("sensors/:room/temperature", json)
const file = TopicTemplate.make("files/:user/*path", PayloadCodec.bytes)

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
const same = <A, B>(...same: Same<A, B> extends true ? [] : [never]): void => assert.isEmpty(same)
type ParamsOf<T> = T extends TopicTemplate.TopicTemplate<infer P, infer _A, infer _RE, infer _RD> ? P : never
type ValueOf<T> = T extends TopicTemplate.TopicTemplate<infer _P, infer A, infer _RE, infer _RD> ? A : never

const fault = (result: Result.Result<unknown, MqttError.InvalidTopic | MqttError.InvalidFilter>) =>
  Result.isFailure(result) ? [result.failure._tag, result.failure.offset, result.failure.detail] : undefined

const templateFault = (path: string) => {
  const result = TopicTemplate.fromString(path, json)
  if (Result.isSuccess(result)) return undefined
  const { reason } = result.failure
  return reason._tag === "InvalidFilter" ? [reason.offset, reason.detail] : reason
}

describe("TopicTemplate", () => {
  describe("the text", () => {
    it("parameters become the wildcards of the filter", () => {
      assert.strictEqual(temperature.filter, "sensors/+/temperature")
      assert.strictEqual(file.filter, "files/+/#")
      assert.strictEqual(TopicTemplate.make(":a/:b", json).filter, "+/+")
      assert.strictEqual(TopicTemplate.make("*all", json).filter, "#")
      assert.strictEqual(TopicTemplate.make("plain/topic", json).filter, "plain/topic")
      assert.strictEqual(TopicTemplate.make("/a//:b/", json).filter, "/a//+/")
      assert.strictEqual(TopicTemplate.make("a:b/c*", json).filter, "a:b/c*")
    })

    it("a malformed text is refused with the place that is wrong", () => {
      assert.deepStrictEqual(templateFault(""), [0, "empty"])
      assert.deepStrictEqual(templateFault("a/+/b"), [2, "wildcard: use :name, or *name for the rest"])
      assert.deepStrictEqual(templateFault("a/b#"), [3, "wildcard: use :name, or *name for the rest"])
      assert.deepStrictEqual(templateFault("a/:/b"), [
        2,
        "the name of a parameter is a letter, then letters, digits and _"
      ])
      assert.deepStrictEqual(templateFault(":__proto__"), [
        0,
        "the name of a parameter is a letter, then letters, digits and _"
      ])
      assert.deepStrictEqual(templateFault(":a/b/:a"), [5, "there are two parameters a"])
      assert.deepStrictEqual(templateFault("a/*b/c"), [2, "*b is not the last level"])
      assert.deepStrictEqual(templateFault("a\0"), [1, "null character"])
      assert.deepStrictEqual(templateFault("$share/g/:a"), [0, "a share name belongs to the subscription"])
      assert.isUndefined(templateFault("$SYS/:a"))
    })

    it("make throws an MqttError for a malformed text that the compiler could not see", () => {
      const path: string = "a/+"
      assert.throws(() => TopicTemplate.make(path, json), MqttError.MqttError, "invalid topic filter")
    })
  })

  describe("format", () => {
    it("puts the parameters into the topic", () => {
      assert.deepStrictEqual(temperature.format({ room: "kitchen" }), Result.succeed("sensors/kitchen/temperature"))
      assert.deepStrictEqual(file.format({ user: "ann", path: "a/b.txt" }), Result.succeed("files/ann/a/b.txt"))
    })

    it("the rest may be nothing", () => {
      assert.deepStrictEqual(file.format({ user: "ann", path: "" }), Result.succeed("files/ann"))
    })

    it("refuses parameters that are no level, at their place", () => {
      const faultOf = (room: string) => fault(temperature.format({ room }))
      assert.deepStrictEqual(faultOf(""), ["InvalidTopic", 8, "the parameter room: empty"])
      assert.deepStrictEqual(faultOf("a/b"), ["InvalidTopic", 9, "the parameter room: / in one level"])
      assert.deepStrictEqual(faultOf("a+"), ["InvalidTopic", 9, "the parameter room: wildcard"])
      assert.deepStrictEqual(faultOf("#"), ["InvalidTopic", 8, "the parameter room: wildcard"])
      assert.deepStrictEqual(faultOf("a\0"), ["InvalidTopic", 9, "the parameter room: null character"])
      assert.deepStrictEqual(faultOf("\ud800"), ["InvalidTopic", 8, "the parameter room: lone surrogate"])
      assert.deepStrictEqual(faultOf("a".repeat(65_535)), ["InvalidTopic", 65_535, "more than 65,535 bytes"])
    })

    it("refuses a missing parameter, also one that every object has", () => {
      assert.deepStrictEqual(fault(temperature.format({} as never)), ["InvalidTopic", 8, "the parameter room: missing"])
      const odd = TopicTemplate.make("a/:constructor", json)
      assert.deepStrictEqual(fault(odd.format({} as never)), ["InvalidTopic", 2, "the parameter constructor: missing"])
    })

    it("refuses a wildcard in the rest, and a topic that would be empty", () => {
      assert.deepStrictEqual(fault(file.format({ user: "ann", path: "a/#" })), [
        "InvalidTopic",
        12,
        "the parameter path: wildcard"
      ])
      assert.deepStrictEqual(fault(TopicTemplate.make("*all", json).format({ all: "" })), ["InvalidTopic", 0, "empty"])
    })

    it("refuses a first level that the filter's wildcard would not match", () => {
      const template = TopicTemplate.make(":a/b", json)
      assert.deepStrictEqual(fault(template.format({ a: "$SYS" })), [
        "InvalidTopic",
        0,
        "the parameter a: $ at the begin of the topic"
      ])
      assert.deepStrictEqual(temperature.format({ room: "$x" }), Result.succeed("sensors/$x/temperature"))
    })
  })

  describe("parse", () => {
    it("gives the parameters of a topic", () => {
      assert.deepStrictEqual(temperature.parse("sensors/kitchen/temperature"), { room: "kitchen" })
      assert.deepStrictEqual(file.parse("files/ann/a/b.txt"), { user: "ann", path: "a/b.txt" })
      assert.deepStrictEqual(file.parse("files/ann"), { user: "ann", path: "" })
    })

    it("gives nothing for a topic of another form", () => {
      for (
        const topic of [
          "sensors/kitchen",
          "sensors/kitchen/temperature/x",
          "sensors/kitchen/temperatur",
          "s/a/temperature",
          ""
        ]
      ) {
        assert.isUndefined(temperature.parse(topic), topic)
      }
    })

    it("gives nothing for levels that format refuses, although the filter matches them", () => {
      for (
        const [template, topic] of [[temperature, "sensors//temperature"], [file, "files/ann/"], [
          file,
          "files//a"
        ]] as const
      ) {
        assert.isTrue(Topic.matches(template.filter, topic))
        assert.isUndefined(template.parse(topic), topic)
      }
      assert.isUndefined(TopicTemplate.make(":a/b", json).parse("$SYS/b"))
      assert.isUndefined(TopicTemplate.make("*all", json).parse("$SYS/b"))
    })

    const parts = Schema.Array(Schema.Literals(["a", "b", "", ":x", ":y", "$s", "é"])).check(
      Schema.isBetweenLength(1, 5)
    )
    const value = Schema.Literals(["a", "b", "", "$s", "a/b", "+", "é", "a#"])
    it.prop(
      "parse is the inverse of format, and the filter matches every topic",
      [parts, Schema.Literals(["", "/*rest"]), value, value, value],
      ([levels, ending, x, y, rest]) => {
        const path = levels.join("/") + ending
        const made = TopicTemplate.fromString(path, json)
        if (Result.isFailure(made)) return
        const given: Record<string, string> = {}
        if (levels.includes(":x")) given.x = x
        if (levels.includes(":y")) given.y = y
        if (ending !== "") given.rest = rest
        const topic = made.success.format(given)
        if (Result.isFailure(topic)) return
        assert.isTrue(Topic.matches(made.success.filter, topic.success), `${path} ${topic.success}`)
        assert.deepStrictEqual(made.success.parse(topic.success), given)
      }
    )
  })

  describe("filterFor", () => {
    it("fixes some of the parameters", () => {
      const template = TopicTemplate.make(":site/:room/*rest", json)
      assert.deepStrictEqual(template.filterFor({}), Result.succeed("+/+/#"))
      assert.deepStrictEqual(template.filterFor({ params: { room: "kitchen" } }), Result.succeed("+/kitchen/#"))
      assert.deepStrictEqual(
        template.filterFor({ params: { site: "a", room: "b", rest: "c/d" } }),
        Result.succeed("a/b/c/d")
      )
    })

    it("refuses a wildcard as the value of a parameter", () => {
      assert.deepStrictEqual(fault(temperature.filterFor({ params: { room: "+" } })), [
        "InvalidTopic",
        8,
        "the parameter room: wildcard"
      ])
    })

    it("makes the filter of a shared subscription", () => {
      const shared = temperature.filterFor({ share: "workers", params: { room: "kitchen" } })
      assert.deepStrictEqual(shared, Result.succeed("$share/workers/sensors/kitchen/temperature"))
    })

    it("refuses a share name that would change the filter", () => {
      for (const [share, offset] of [["", 7], ["a/b", 8], ["+", 7]] as const) {
        const found = fault(temperature.filterFor({ share }))
        assert.deepStrictEqual(found?.slice(0, 2), ["InvalidFilter", offset], share)
      }
    })
  })

  describe("parameters with a schema", () => {
    const chunk = TopicTemplate.make("files/:id/:index", PayloadCodec.bytes, {
      params: { index: Schema.FiniteFromString }
    })

    it("are values on one side and text on the other", () => {
      same<ParamsOf<typeof chunk>, { readonly id: string; readonly index: number }>()
      assert.deepStrictEqual(chunk.format({ id: "a", index: 3 }), Result.succeed("files/a/3"))
      assert.deepStrictEqual(chunk.parse("files/a/3"), { id: "a", index: 3 })
      assert.deepStrictEqual(chunk.filterFor({ params: { index: 3 } }), Result.succeed("files/+/3"))
      assert.deepStrictEqual(chunk.filterFor({ params: { id: "a" } }), Result.succeed("files/a/+"))
    })

    it("refuse what does not fit", () => {
      assert.isUndefined(chunk.parse("files/a/x"))
      const found = fault(chunk.format({ id: "a", index: Number.NaN }))
      assert.deepStrictEqual(found?.slice(0, 2), ["InvalidTopic", 10])
    })
  })

  describe("types", () => {
    it("parameters and values are those of the template", () => {
      same<ParamsOf<typeof temperature>, { readonly room: string }>()
      same<ValueOf<typeof temperature>, { readonly celsius: number }>()
      same<ParamsOf<typeof file>, { readonly user: string; readonly path: string }>()
      const degrees = TopicTemplate.make("a", Schema.FiniteFromString)
      same<ParamsOf<typeof degrees>, {}>()
      same<ValueOf<typeof degrees>, number>()
      const dynamic = TopicTemplate.fromString("a/:b" as string, json)
      same<
        typeof dynamic,
        Result.Result<
          TopicTemplate.TopicTemplate<{ readonly [x: string]: string }, typeof Reading.Type>,
          MqttError.MqttError
        >
      >()
    })

    it("a missing, unknown or ill-typed parameter does not compile", () => {
      // @ts-expect-error room is missing
      temperature.format({})
      // @ts-expect-error there is no parameter floor
      temperature.format({ room: "kitchen", floor: "1" })
      // @ts-expect-error room is text
      temperature.format({ room: 1 })
      // @ts-expect-error there is no parameter floor
      temperature.filterFor({ params: { floor: "1" } })
      // @ts-expect-error both parameters are needed
      file.format({ user: "ann" })
      // @ts-expect-error parse may find nothing
      const params: { readonly room: string } = temperature.parse("sensors/kitchen/temperature")
      assert.isDefined(params)
    })

    it("a text that is no template does not compile", () => {
      // @ts-expect-error a wildcard
      assert.throws(() => TopicTemplate.make("a/+/b", json))
      // @ts-expect-error a wildcard
      assert.throws(() => TopicTemplate.make("a/#", json))
      // @ts-expect-error a parameter without a name
      assert.throws(() => TopicTemplate.make("a/:", json))
      // @ts-expect-error the same parameter twice
      assert.throws(() => TopicTemplate.make(":a/b/:a", json))
      // @ts-expect-error the rest is not last
      assert.throws(() => TopicTemplate.make("a/*b/c", json))
      // @ts-expect-error empty
      assert.throws(() => TopicTemplate.make("", json))
    })

    it("a schema of an unknown parameter, or of one that is no text, does not compile", () => {
      assert.throws(
        // @ts-expect-error there is no parameter b
        () => TopicTemplate.make("a/:a", json, { params: { b: Schema.FiniteFromString } }),
        /params\.b: no such parameter in the topic/
      )
      // @ts-expect-error its encoded form is a number
      TopicTemplate.make("a/:a", json, { params: { a: Schema.Finite } })
      // @ts-expect-error the payload's encoded form is no text
      TopicTemplate.make("a/:a", Reading)
    })
  })
})
