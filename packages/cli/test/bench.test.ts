/**
 * `effect-mqttx bench` as a process, against a real mosquitto, and what it counts with.
 */
import { Cli } from "@effect-mqttx/cli"
import { MosquittoBroker } from "@effect-mqttx/testing"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Arrivals } from "../src/internal/bench/arrivals.ts"
import { Histogram } from "../src/internal/bench/histogram.ts"
import { type Report, tableOf } from "../src/internal/bench/report.ts"
import { folder } from "./support/gateway.ts"
import { run } from "./support/program.ts"
import { hasTerminal, runInTerminal } from "./support/terminal.ts"

const { exitCodes } = Cli

describe.skipIf(!MosquittoBroker.isPresent())("effect-mqttx bench", () => {
  layer(MosquittoBroker.layer({ config: ["max_queued_messages 0"] }), { excludeTestServices: true })((it) => {
    for (const qos of [0, 1, 2]) {
      it.effect(`counts what it sent and what arrived, with percentiles, QoS ${qos}`, () =>
        Effect.gen(function*() {
          const { url } = yield* MosquittoBroker.MosquittoBroker
          const args = ["--connections", "4", "--rate", "200", "--seconds", "1", "--size", "64", "-q", String(qos)]
          const { code, stderr, stdout } = yield* run(["bench", "--url", url, ...args, "--json"])
          assert.strictEqual(code, exitCodes.done, stderr)
          assert.strictEqual(stderr, "")
          const report = JSON.parse(stdout) as Report
          assert.deepInclude(report, {
            connections: 4,
            qos,
            size: 64,
            rate: 200,
            protocolVersion: "5",
            lost: 0,
            doubled: 0
          })
          assert.isAbove(report.sent, 10)
          // A timer is never early, and each connection may begin with its window.
          assert.isAtMost(report.sent, 200 * report.seconds + 4 * 20)
          assert.strictEqual(report.acknowledged, report.sent)
          assert.strictEqual(report.received, report.sent)
          for (const durations of Object.values(report.latency)) {
            const { max, p50, p90, p99, p999 } = durations!
            assert.deepStrictEqual([p50, p90, p99, p999, max], [p50, p90, p99, p999, max].sort((a, b) => a - b))
          }
          assert.isAbove(report.latency.delivered!.p50, 0)
        }))
    }

    it.effect("prints a table and nothing else, as fast as the server takes messages, over MQTT 3.1.1, without subscribing", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const { code, stderr, stdout } = yield* run(
          ["bench", "--url", url, "-c", "2", "--seconds", "0.5", "-q", "1", "-V", "3.1.1", "--publish-only"]
        )
        assert.deepStrictEqual({ code, stderr }, { code: exitCodes.done, stderr: "" })
        assert.match(stdout, /^mqtt:\/\/\S+, MQTT 3\.1\.1: 2 connections, QoS 1, 100 bytes, as fast as possible, /)
        assert.match(stdout, /\nsent +[\d,]+ +[\d,.]+\n/)
        assert.match(stdout, /\nacknowledged( +[\d,.]+){5}\n/)
        assert.notInclude(stdout, "received")
        assert.notInclude(stdout, "\u001b")
      }))

    it.effect.skipIf(!hasTerminal)(
      "shows its progress on a terminal, and erases it before the table",
      () =>
        Effect.gen(function*() {
          const { url } = yield* MosquittoBroker.MosquittoBroker
          const { code, screen } = yield* runInTerminal([
            "bench",
            "--url",
            url,
            "-c",
            "2",
            "--rate",
            "50",
            "--seconds",
            "4"
          ])
          assert.strictEqual(code, exitCodes.done)
          assert.match(screen.replaceAll("\u001b[K", "|"), /\r\|[1-3] of 4 s, \d+ sent, \d+ received/)
          assert.match(screen.slice(screen.lastIndexOf("\u001b[K") + 3), /^mqtt:/)
        })
    )

    it.effect("reports invalid numbers as mistakes", () =>
      Effect.gen(function*() {
        for (const flag of [["--size", "15"], ["--connections", "0"], ["--rate", "0"], ["--seconds", "-1"]]) {
          const { code, stderr } = yield* run(["bench", "--url", "mqtt://127.0.0.1:1", ...flag])
          assert.strictEqual(code, exitCodes.usage, flag.join())
          assert.include(stderr, "expected a number")
        }
      }))
  })

  // Messages may be published, and not read: this mosquitto acknowledges them and delivers none.
  const withoutRead = Effect.map(
    folder({ "acl": "topic write effect-mqttx/bench/#\n" }),
    (path) => MosquittoBroker.layer({ config: [`acl_file ${path}/acl`] })
  )
  layer(Layer.unwrap(withoutRead), { excludeTestServices: true })((it) => {
    it.effect("says how many acknowledged messages a server lost, and ends with 1", () =>
      Effect.gen(function*() {
        const { url } = yield* MosquittoBroker.MosquittoBroker
        const { code, stderr, stdout } = yield* run(
          ["bench", "--url", url, "-c", "1", "--rate", "50", "--seconds", "0.5", "-q", "1", "--json"]
        )
        const { acknowledged, lost, received } = JSON.parse(stdout) as Report
        assert.isAbove(lost!, 0)
        assert.deepStrictEqual({ lost, received }, { lost: acknowledged, received: 0 })
        assert.strictEqual(code, exitCodes.failed)
        assert.include(stderr, `${lost} acknowledged messages did not arrive`)
      }))
  })
})

describe("what bench counts with", () => {
  it("percentiles are at most 1.6 % above the exact ones, and the maximum is exact", () => {
    const histogram = new Histogram()
    const values = Array.from({ length: 10_000 }, (_, index) => 1.001 ** index * 0.01)
    for (const value of values) histogram.add(value)
    for (const share of [0.001, 0.5, 0.9, 0.99, 0.999, 1]) {
      const exact = values[Math.ceil(share * values.length) - 1]!
      assert.isAtLeast(histogram.percentile(share), exact * 0.999_999)
      assert.isAtMost(histogram.percentile(share), exact * 1.016)
    }
    assert.strictEqual(histogram.maximum, values.at(-1))
    assert.strictEqual(new Histogram().percentile(0.5), 0)
  })

  it("a message that comes twice is counted as doubled, wherever it is in the run", () => {
    const arrivals = new Arrivals()
    for (const number of [0, 1, 31, 32, 1_000_000, 31, 1_000_000, 31]) arrivals.add(number)
    assert.deepInclude(arrivals, { distinct: 5, doubled: 3 })
  })

  it("the table says when this program was the limit, and when the rate was not reached", () => {
    const durations = { p50: 1, p90: 2, p99: 3, p999: 4, max: 5 }
    const report: Report = {
      server: "mqtt://a",
      protocolVersion: "5",
      connections: 1,
      qos: 1,
      size: 16,
      seconds: 1,
      rate: 1_000,
      sent: 500,
      acknowledged: 490,
      received: 490,
      lost: 0,
      doubled: 0,
      sentPerSecond: 500,
      receivedPerSecond: 490,
      reconnects: 2,
      latency: { connect: durations, acknowledged: durations, delivered: durations, behindRate: durations },
      client: { eventLoopUtilization: 0.97, eventLoopDelayP99: 35, isLimit: true }
    }
    const table = tableOf(report)
    assert.include(table, "This program was the limit: its event loop was busy 97 % of the time, and late by 35 ms")
    assert.include(table, "The rate was not reached: 500 of 1,000 a second.")
    assert.include(table, "10 messages were never acknowledged.")
    assert.include(table, "2 reconnects")
    const calm = tableOf({ ...report, client: { ...report.client, isLimit: false } })
    assert.notInclude(calm, "the limit")
  })
})
