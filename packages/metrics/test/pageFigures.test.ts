/**
 * From snapshots to what the page says, without a browser.
 */
import type { MqttSnapshot, SessionSnapshot } from "@effect-mqttx/metrics/MqttSnapshot"
import { assert, describe, it } from "@effect/vitest"
import { areaOf, ceiling, lineOf, scaleOf, spanOf } from "../page/curve.ts"
import { age, bytes, count, duration, rate } from "../page/format.ts"
import { stateOf, verdictOf } from "../page/verdict.ts"
import { pageSnapshot } from "../src/internal/page/snapshot.ts"
import { everything, forwarder, metricsOf, session } from "./scriptedMetrics.ts"

const verdict = (snapshot: MqttSnapshot) => verdictOf(pageSnapshot(snapshot, undefined))
const down = (given: Partial<SessionSnapshot> = {}) =>
  session("plant", {
    state: "reconnecting",
    ready: false,
    attempt: 3,
    since: 1_790_000_048_000,
    lastError: { reason: "ConnectionRefused", message: "refused" },
    ...given
  })

describe("the verdict", () => {
  it("nothing is lost when all sessions are connected and no message failed", () => {
    const metrics = metricsOf({ messagesReceived: 20, messagesSent: 10 })
    assert.deepStrictEqual(verdict(everything([session("plant"), session("cloud")], { metrics })), {
      level: "good",
      title: "Nothing lost",
      details: ["Both sessions are connected. 20 messages received, 10 sent."]
    })
  })

  it("a session that is down comes first, with its reason, and what waits for it", () => {
    const waiting = down({ metrics: metricsOf({ queuedMessages: 56, inflight: 1 }) })
    assert.deepStrictEqual(verdict(everything([session("cloud"), waiting])), {
      level: "bad",
      title: "plant is down",
      details: ["ConnectionRefused, since 12 s.", "57 messages wait. Nothing is lost so far."]
    })
  })

  it("drops and failures are lost messages, each counted once and named by its cause", () => {
    const metrics = metricsOf({
      dropped: { ...metricsOf().dropped, dropOldest: 2, expired: 5 },
      published: { ...metricsOf().published, failed: { Dropped: 2, Expired: 5, PublishRefused: 1 } }
    })
    const { level, title } = verdict(everything([session("plant")], { metrics }))
    assert.strictEqual(level, "warning")
    assert.strictEqual(title, "8 messages lost: 5 expired, 2 dropped by a full queue, 1 refused by the server")
  })

  it("a message that a newer one replaced, as the queue's policy asks, is not lost", () => {
    const metrics = metricsOf({ dropped: { ...metricsOf().dropped, latestPerTopic: 3 } })
    const { details, level } = verdict(everything([session("plant")], { metrics }))
    assert.strictEqual(level, "good")
    assert.include(details[0], "3 replaced by newer ones")
  })

  it("a forwarder without its target is down; what it could not forward is a loss, what it filtered is none", () => {
    const halted = forwarder("bridge", { targetConnected: false })
    assert.strictEqual(verdict(everything([session("plant")], { forwarders: [halted] })).title, "bridge is down")
    const lossy = forwarder("bridge", { received: 9, forwarded: 5, filtered: 3, failed: 1 })
    assert.strictEqual(
      verdict(everything([session("plant")], { forwarders: [lossy] })).title,
      "1 message not forwarded, see the forwarders"
    )
    const filtering = forwarder("bridge", { received: 9, forwarded: 5, filtered: 4 })
    assert.strictEqual(verdict(everything([session("plant")], { forwarders: [filtering] })).level, "good")
  })

  it("a forwarder that misses a session, or is refused, is down and says why", () => {
    const missing = forwarder("bridge", { sources: [{ name: "plant", state: "missing" }], activeSources: 0 })
    const error = { reason: "SubscriptionRefused", message: "Not authorized" }
    const refused = forwarder("bridge", { sources: [{ name: "plant", state: "failed", error }], activeSources: 0 })
    const shown = [missing, refused].map((each) =>
      pageSnapshot(everything([session("plant")], { forwarders: [each] }), undefined).forwarders[0]!
    )
    assert.deepStrictEqual(shown.map(({ level, state, why }) => [level, state, why?.reason]), [
      ["bad", "Session missing", undefined],
      ["bad", "Refused", "SubscriptionRefused"]
    ])
  })

  it("what does not work although the sessions do is bad, each with its reason", () => {
    const cause = (name: string) =>
      ({ kind: "route", name, session: "plant", reason: "SubscriptionRefused", message: "Not authorized" }) as const
    assert.deepStrictEqual(verdict(everything([session("plant")], { unready: [cause("alarms")] })), {
      level: "bad",
      title: "route alarms does not work",
      details: ["SubscriptionRefused at plant."]
    })
    const several = ["a", "b", "c", "d", "e"].map(cause)
    assert.deepStrictEqual(verdict(everything([session("plant")], { unready: several })), {
      level: "bad",
      title: "5 parts do not work",
      details: [
        "route a: SubscriptionRefused at plant.",
        "route b: SubscriptionRefused at plant.",
        "route c: SubscriptionRefused at plant.",
        "2 more, see below."
      ]
    })
  })

  it("connecting for the first time is neither good nor bad, and failing to is bad", () => {
    const connecting = session("plant", { state: "connecting", ready: false })
    assert.strictEqual(verdict(everything([connecting])).title, "plant is connecting")
    const failing = { ...connecting, lastError: { reason: "TlsFailure", message: "" } }
    assert.strictEqual(verdict(everything([failing])).level, "bad")
  })

  it("a session that was disconnected on purpose is not down; one that has given up is", () => {
    const off = session("plant", { state: "disconnected", ready: false })
    assert.strictEqual(verdict(everything([off, session("cloud")])).title, "Nothing lost")
    const failure = { reason: "BadCredentials", message: "" }
    assert.strictEqual(verdict(everything([{ ...off, failure }])).title, "plant is down")
  })

  it("a server whose certificate is not verified is named as such", () => {
    const servers = (["verified", "unverified"] as const).map((tls) =>
      pageSnapshot(everything([session("plant", { server: "mqtts://a:8883", tls })]), undefined).sessions[0]!.server
    )
    assert.deepStrictEqual(servers, ["mqtts://a:8883", "mqtts://a:8883, whose certificate is not verified"])
  })

  it("each state has words of its own, not only a colour", () => {
    const words = (given: Partial<SessionSnapshot>) =>
      stateOf(pageSnapshot(everything([session("plant", given)]), undefined).sessions[0]!).text
    assert.deepStrictEqual(
      [
        words({}),
        words({ ready: false }),
        words({ state: "connecting", ready: false }),
        words(down()),
        words({ state: "disconnected", ready: false }),
        words({ state: "disconnected", ready: false, failure: { reason: "BadCredentials", message: "" } })
      ],
      ["Connected", "Subscribing", "Connecting", "Down", "Disconnected", "Failed"]
    )
  })
})

describe("rates", () => {
  const at = (seconds: number, messagesReceived: number) =>
    everything([session("plant", { metrics: metricsOf({ messagesReceived }) })], { at: seconds * 1000 })

  it("are those since the snapshot before, however long that is ago", () => {
    assert.strictEqual(pageSnapshot(at(14, 100), at(10, 20)).sessions[0]!.rates.received, 20)
  })

  it("are none for the first snapshot, for a session that joins, and for one that starts again", () => {
    assert.strictEqual(pageSnapshot(at(14, 100), undefined).sessions[0]!.rates.received, 0)
    assert.strictEqual(pageSnapshot(at(14, 100), everything([], { at: 13_000 })).sessions[0]!.rates.received, 0)
    assert.strictEqual(pageSnapshot(at(14, 3), at(13, 100)).sessions[0]!.rates.received, 0)
  })
})

describe("acknowledgements", () => {
  it("half of them and 99 of 100 came within these milliseconds", () => {
    const acknowledgement = {
      count: 100,
      total: 0,
      min: 0,
      max: 80,
      bounds: [1, 10, 100],
      buckets: [50, 48, 2, 0]
    }
    const { totals } = pageSnapshot(everything([], { metrics: metricsOf({ acknowledgement }) }), undefined)
    assert.deepStrictEqual(totals.acknowledged, { half: 1, most: 100 })
  })
})

describe("curves", () => {
  const frame = { left: 0, right: 100, top: 0, bottom: 50 }
  const times = [0, 10_000, 20_000, 40_000]
  const scale = scaleOf(frame, spanOf(times), 10)

  it("belong to the last times when they are shorter, and stop where figures are missing", () => {
    assert.strictEqual(lineOf(times, [0, 10], scale, 30_000), "M50 50L100 0")
    assert.strictEqual(lineOf(times, [5, 5, 0, 10], scale, 15_000), "M0 25L25 25L50 50M100 0")
  })

  it("stand on the ground", () => {
    assert.strictEqual(areaOf(times, [0, 10], scale, frame), "M50 50L100 0L100 50L50 50Z")
  })

  it("end at a number that reads well, also when it is halved", () => {
    assert.deepStrictEqual([0, 0.7, 1, 7, 8.5, 430, 1201].map(ceiling), [1, 0.8, 1, 8, 10, 600, 2000])
  })
})

describe("figures", () => {
  it("are short and keep their unit", () => {
    assert.deepStrictEqual([0, 999, 12_345, 1_234_567].map(count), ["0", "999", "12,345", "1.2M"])
    assert.deepStrictEqual([0, 0.25, 9.96, 1234.4].map(rate), ["0", "0.3", "10", "1,234"])
    assert.deepStrictEqual([0, 999, 1000, 45_600, 1_200_000].map(bytes), ["0 B", "999 B", "1.0 kB", "46 kB", "1.2 MB"])
    assert.deepStrictEqual(
      [0, 120, 1500, 61_000, 3_700_000, 200_000_000].map(duration),
      ["0 ms", "120 ms", "1.5 s", "1 min 1 s", "1 h 1 min", "2 d 7 h"]
    )
    assert.deepStrictEqual([500, 1999].map(age), ["now", "1 s"])
  })
})
