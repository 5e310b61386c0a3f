/**
 * `effect-mqttx request` as a process, against a real mosquitto and responders of the library and of mosquitto's kind.
 */
import { Cli } from "@effect-mqttx/cli"
import { MqttSession, PayloadCodec, RequestResponse } from "@effect-mqttx/core"
import { MosquittoBroker } from "@effect-mqttx/testing"
import { assert, describe, layer } from "@effect/vitest"
import { Deferred, Effect, Stream } from "effect"
import { run } from "./support/program.ts"

const { exitCodes } = Cli

const double = RequestResponse.template("double", {
  request: PayloadCodec.text(),
  response: PayloadCodec.text(),
  failure: PayloadCodec.text()
})

/** A responder of the library, until the scope ends. */
const responder = (url: string) =>
  Effect.gen(function*() {
    const session = yield* MqttSession.make({ name: "responder", servers: url })
    const ready = yield* Deferred.make<void>()
    yield* Effect.forkScoped(double.respond(
      session,
      ({ value }) =>
        Number.isNaN(Number(value)) ? Effect.fail(`no number: ${value}`) : Effect.succeed(String(2 * Number(value))),
      { via: "both", onSubscribed: Effect.asVoid(Deferred.succeed(ready, undefined)) }
    ))
    yield* Deferred.await(ready)
  })

describe.skipIf(!MosquittoBroker.isPresent())("effect-mqttx request", () => {
  layer(MosquittoBroker.layer(), { excludeTestServices: true })((it) => {
    it.effect("prints the answer as text, hexadecimal and JSON, over MQTT 5 and 3.1.1", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        yield* responder(url)
        for (
          const [args, stdout] of [
            [["double", "-m", "21"], "42\n"],
            [["-t", "double", "-m", "21", "-q", "2", "--format", "hex"], "3432\n"],
            [["double", "-m", "21", "--json"], "{\"topic\":\"double\",\"status\":\"ok\",\"payload\":\"42\"}\n"],
            [["double", "-m", "21", "-V", "3.1.1"], "42\n"]
          ] as const
        ) {
          const outcome = yield* run(["request", ...args, "--url", url])
          assert.deepStrictEqual(outcome, { code: exitCodes.done, stdout, stderr: "" })
        }
      }).pipe(Effect.scoped))

    it.effect("sends a response topic and correlation data that any MQTT 5 program can answer", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const session = yield* MqttSession.make({ name: "plain", servers: url })
        const { messages } = yield* session.subscription("a/b c/:d", { qos: 1 })
        yield* Effect.forkScoped(
          Stream.runForEach(messages, ({ payload, properties }) =>
            session.publish(properties.responseTopic!, payload, {
              qos: 1,
              properties: { correlationData: properties.correlationData!, contentType: "image/png" }
            }))
        )
        const bytes = Uint8Array.of(0, 255, 10)
        const outcome = yield* run(["request", "a/b c/:d", "-s", "--json", "--url", url], { stdin: bytes })
        assert.strictEqual(outcome.code, exitCodes.done, outcome.stderr)
        assert.strictEqual(JSON.parse(outcome.stdout).payloadBase64, "AP8K")
      }).pipe(Effect.scoped))

    it.effect("prints an answer that is a failure, and ends with 1", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        yield* responder(url)
        const outcome = yield* run(["request", "double", "-m", "x", "--url", url])
        assert.deepStrictEqual(outcome, {
          code: exitCodes.failed,
          stdout: "no number: x\n",
          stderr: "effect-mqttx: the answer is a failure\n"
        })
      }).pipe(Effect.scoped))

    it.effect("ends with 27 without an answer in time, and says what to check", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const session = yield* MqttSession.make({ name: "silent", servers: url })
        yield* session.subscription("silent/#", { qos: 1 })
        for (const [args, advice] of [[[], "response topics"], [["-V", "3.1.1"], "Try -V 5"]] as const) {
          const outcome = yield* run(["request", "silent/a", "-m", "x", "-W", "0.3", "--url", url, ...args])
          assert.strictEqual(outcome.code, exitCodes.timeout)
          assert.include(outcome.stderr, "there was no answer within 0.3 s")
          assert.include(outcome.stderr, advice)
        }
      }).pipe(Effect.scoped))

    it.effect("says at once that nothing is subscribed, where the server says so", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const outcome = yield* run(["request", "empty/topic", "-m", "x", "--url", url])
        assert.strictEqual(outcome.code, exitCodes.failed)
        assert.include(outcome.stderr, "nothing is subscribed to the topic of the request")
      }))

    it.effect("reports an invalid topic, no topic and two payloads as mistakes", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        for (
          const [args, what] of [
            [["a/#"], "without + and #"],
            [[], "there is no topic"],
            [["a", "-t", "b"], "more than one topic"],
            [["a", "-m", "x", "-n"], "more than one payload"]
          ] as const
        ) {
          const { code, stderr } = yield* run(["request", ...args, "--url", url])
          assert.strictEqual(code, exitCodes.usage, stderr)
          assert.include(stderr, what)
        }
      }))
  })
})
