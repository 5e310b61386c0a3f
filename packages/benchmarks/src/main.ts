/**
 * Prints the tables of `npm run bench`; the exit code is 1 when a ratio falls short of what the README promises.
 *
 * `npm run bench -- --help` lists the flags.
 */
import { parseArgs } from "node:util"

const help = `npm run bench -- [flags]

  --only codec|session|memory|metrics|storage|forwarder|hostile
                                one table alone (default: codec and session)
  --runs 5                      session, storage, forwarder: runs of every side
  --seconds 1.5                 session, storage, forwarder: length of a run
  --warm-up 0.7                 session, forwarder: seconds before it
  --protocol 5                  session, forwarder: MQTT version, 5 or 4 (3.1.1)
  --payload 64                  session, forwarder: bytes of a payload
  --rows text                   session, storage, forwarder, hostile: only rows whose name contains the text
  --in-flight 1000              forwarder: messages on their way through it
  --sessions 200                memory: idle sessions
  --budget 64                   hostile: MiB that a session may take for what its peers send
  --node-option=--cpu-prof      session: option of Node for the sides, may be repeated`

const { values } = parseArgs({
  options: {
    help: { type: "boolean", default: false },
    only: { type: "string" },
    runs: { type: "string", default: "5" },
    seconds: { type: "string", default: "1.5" },
    "warm-up": { type: "string", default: "0.7" },
    protocol: { type: "string", default: "5" },
    payload: { type: "string", default: "64" },
    rows: { type: "string", default: "" },
    "in-flight": { type: "string", default: "1000" },
    sessions: { type: "string", default: "200" },
    budget: { type: "string", default: "64" },
    "node-option": { type: "string", multiple: true, default: [] }
  }
})

const promised = { codec: 5, session: 2, metrics: 0.95, storage: 0.5, forwarder: 0.8 }

const check = (table: keyof typeof promised, lowest: number): void => {
  const promise = promised[table]
  console.log(`\nLowest ratio of the ${table} table: ${lowest.toFixed(2)}x (promised: ${promise}x)\n`)
  if (!(lowest >= promise)) process.exitCode = 1
}

const plan = {
  runs: Number(values.runs),
  measureMillis: Number(values.seconds) * 1000,
  warmUpMillis: Number(values["warm-up"]) * 1000,
  protocolVersion: values.protocol === "4" ? 4 : 5,
  payloadBytes: Number(values.payload),
  sideOptions: values["node-option"],
  rows: values.rows
} as const

if (values.help) {
  console.log(help)
} else {
  if (values.only === undefined || values.only === "codec") {
    const { benchmarkCodec } = await import("./codec.ts")
    check("codec", benchmarkCodec())
  }
  if (values.only === undefined || values.only === "session") {
    const { benchmarkSessions } = await import("./session/table.ts")
    check(
      "session",
      await benchmarkSessions(plan)
    )
  }
  if (values.only === "metrics") {
    const { benchmarkMetrics } = await import("./session/metrics.ts")
    check("metrics", await benchmarkMetrics(plan))
  }
  if (values.only === "forwarder") {
    const { benchmarkForwarder } = await import("./forwarder/table.ts")
    check(
      "forwarder",
      await benchmarkForwarder({
        runs: Number(values.runs),
        seconds: Number(values.seconds),
        warmUp: Number(values["warm-up"]),
        protocolVersion: values.protocol === "4" ? 4 : 5,
        payloadBytes: Number(values.payload),
        maxInFlight: Number(values["in-flight"]),
        sideOptions: values["node-option"],
        rows: values.rows
      })
    )
  }
  if (values.only === "memory") {
    const { benchmarkMemory } = await import("./session/memory.ts")
    await benchmarkMemory(Number(values.sessions))
  }
  if (values.only === "hostile") {
    const { benchmarkHostile } = await import("./hostile/table.ts")
    const failed = await benchmarkHostile({
      budget: Number(values.budget),
      tolerance: 64,
      seconds: 12,
      rows: values.rows
    })
    console.log(
      failed.length === 0
        ? "\nThe session stood every attack within its budget and 64 MiB.\n"
        : `\nBeyond the budget and 64 MiB:\n${failed.map((name) => `  ${name}`).join("\n")}\n`
    )
    if (failed.length > 0) process.exitCode = 1
  }
  if (values.only === "storage") {
    const { benchmarkStorage } = await import("./storage/table.ts")
    check(
      "storage",
      await benchmarkStorage({
        runs: Number(values.runs),
        millis: Number(values.seconds) * 1000,
        rows: values.rows
      })
    )
  }
}
