/**
 * `npm run bench`: prints every row of the bench, group by group.
 *
 * The exit code is 1 when a promised ratio was missed by more than its tolerance in two attempts. `npm run bench --
 * --help` lists the flags.
 */
import { MosquittoBroker } from "@effect-mqttx/testing"
import { Effect } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { Fixtures } from "./harness/fixtures.ts"
import { type Group, groups, type Parts, type Plan, type Row } from "./harness/model.ts"
import { blocksOf, runBlock } from "./harness/runner.ts"
import type { RowResult } from "./harness/verdict.ts"
import { withSection } from "./report/readme.ts"
import { conditionsOf, figure, ratioText, type Report } from "./report/report.ts"
import { explanation, groupTable } from "./report/terminal.ts"
import { rowsOf, select } from "./rows.ts"

const help = `npm run bench -- [flags]

  --only GROUP         one group; may be repeated. Groups: ${groups.join(", ")}
  --rows GLOB          only rows whose identifier or title matches, for example 'session.publish.*' or '*QoS 1*';
                       may be repeated
  --list               prints the identifiers and titles of the rows, and runs nothing
  --json FILE          writes everything to a file
  --readme             writes the table of README.md from docs/performance.json, and runs nothing
  --rounds 5           how often each side runs
  --seconds 1.5        length of a run
  --warm-up 0.7        seconds before it
  --quick              one round of 0.3 s, to see that everything runs: its figures are worth nothing, and no
                       promise is judged by them
  --protocol 5         MQTT version, 5 or 4 (3.1.1)
  --payload 64         bytes of a payload, where the row does not say it
  --in-flight 1000     forwarder: messages on their way through it
  --records 1000000    storage: queued messages of a store that is opened
  --messages 1000000   storage: messages over which the heap has to stay flat
  --budget 64          hostile: MiB that a session may take for what its peers send
  --node-option=--cpu-prof
                       option of Node for the measured processes, may be repeated`

const { values } = parseArgs({
  options: {
    help: { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: [] },
    rows: { type: "string", multiple: true, default: ["*"] },
    list: { type: "boolean", default: false },
    json: { type: "string" },
    readme: { type: "boolean", default: false },
    rounds: { type: "string" },
    seconds: { type: "string" },
    "warm-up": { type: "string" },
    quick: { type: "boolean", default: false },
    protocol: { type: "string", default: "5" },
    payload: { type: "string", default: "64" },
    "in-flight": { type: "string", default: "1000" },
    budget: { type: "string", default: "64" },
    records: { type: "string" },
    messages: { type: "string" },
    "node-option": { type: "string", multiple: true, default: [] }
  }
})

const positive = (flag: string, text: string): number => {
  const value = Number(text)
  if (!(value > 0)) throw new Error(`--${flag} must be a positive number, and is ${text}`)
  return value
}

const planOf = (): Plan => ({
  rounds: Math.ceil(positive("rounds", values.rounds ?? (values.quick ? "1" : "5"))),
  seconds: positive("seconds", values.seconds ?? (values.quick ? "0.3" : "1.5")),
  warmUp: positive("warm-up", values["warm-up"] ?? (values.quick ? "0.2" : "0.7")),
  protocolVersion: values.protocol === "4" ? 4 : 5,
  payloadBytes: positive("payload", values.payload),
  nodeOptions: values["node-option"],
  budget: positive("budget", values.budget),
  inFlight: positive("in-flight", values["in-flight"]),
  records: Math.ceil(positive("records", values.records ?? (values.quick ? "10000" : "1000000"))),
  messages: Math.ceil(positive("messages", values.messages ?? (values.quick ? "10000" : "1000000")))
})

const chosenGroups = (): ReadonlyArray<Group> => {
  const unknown = values.only.filter((name) => !(groups as ReadonlyArray<string>).includes(name))
  if (unknown.length > 0) throw new Error(`no group ${unknown.join(", ")}; there are ${groups.join(", ")}`)
  return values.only.length === 0 ? groups : groups.filter((group) => values.only.includes(group))
}

const root = new URL("../../../", import.meta.url)

const writeReadme = (): void => {
  const report = JSON.parse(readFileSync(new URL("docs/performance.json", root), "utf8")) as Report
  const readme = new URL("README.md", root)
  writeFileSync(readme, withSection(readFileSync(readme, "utf8"), report))
}

const mosquittoVersion = Effect.scoped(Effect.map(MosquittoBroker.make(), ({ version }) => version)).pipe(
  Effect.orElseSucceed(() => "not installed")
)

/** Progress goes to the other stream than the tables. */
const say = (text: string): void => {
  console.error(text)
}

const partsText = (parts: Parts): string =>
  Object.entries(parts).map(([part, { note, value }]) =>
    `${part} ${figure(value)}${note === undefined ? "" : ` (${note})`}`
  ).join(", ")

const observer = {
  onRun: ({ name }: { readonly name: string }, round: number, parts: Parts | Error): void =>
    say(`  ${round + 1}  ${name}: ${parts instanceof Error ? `failed: ${parts.message}` : partsText(parts)}`),
  onSecondAttempt: (rows: ReadonlyArray<RowResult>): void =>
    say(`  once more: ${rows.map(({ ratio, title }) => `${title} (${ratioText(ratio)})`).join(", ")}`)
}

/** What the group that runs has started. */
let fixtures = new Fixtures()

const runGroup = async (rows: ReadonlyArray<Row>, plan: Plan): Promise<ReadonlyArray<RowResult>> => {
  fixtures = new Fixtures()
  try {
    const results: Array<RowResult> = []
    for (const block of blocksOf(rows)) results.push(...await runBlock(block, plan, fixtures, observer))
    return rows.flatMap(({ id }) => results.filter((result) => result.id === id))
  } finally {
    await fixtures.close()
  }
}

const commandLine = (flags: ReadonlyArray<string>): string =>
  [
    "npm run bench",
    ...(flags.length > 0 ? ["--"] : []),
    ...flags.map((flag) => /^[\w@=./-]+$/.test(flag) ? flag : `'${flag}'`)
  ].join(
    " "
  )

const runAll = async (): Promise<void> => {
  const plan = planOf()
  const command = commandLine(process.argv.slice(2))
  const conditions = conditionsOf(command, plan, await Effect.runPromise(mosquittoVersion))
  console.log(explanation(conditions))
  const all: Array<RowResult> = []
  for (const group of chosenGroups()) {
    const selected = select(await rowsOf(group), ...values.rows)
    const rows = values.quick ? selected.map((row) => Object.assign({}, row, { promise: undefined })) : selected
    if (rows.length === 0) continue
    say(`${group}:`)
    const results = await runGroup(rows, plan)
    console.log(groupTable(group, results))
    all.push(...results)
    // After each group: a run that is ended early has what it measured.
    if (values.json !== undefined) {
      writeFileSync(values.json, `${JSON.stringify({ ...conditions, rows: all }, undefined, 2)}\n`)
    }
  }
  if (all.length === 0) throw new Error(`no row matches ${values.rows.join(", ")}`)
  const missed = all.filter(({ verdict }) => verdict === "missed")
  console.log(
    missed.length === 0
      ? "\nEvery promised ratio was kept, or missed by less than its tolerance."
      : `\nMissed twice:\n${
        missed.map(({ promise, ratio, title }) =>
          `  ${title}: ${ratio === undefined ? "not measured" : ratioText(ratio)}, promised ${promise!.atLeast}`
        ).join("\n")
      }`
  )
  if (missed.length > 0) process.exitCode = 1
}

const list = async (): Promise<void> => {
  for (const group of chosenGroups()) {
    for (const { id, title } of select(await rowsOf(group), ...values.rows)) console.log(`${id.padEnd(36)}  ${title}`)
  }
}

// Brokers are no children of this channel: they have to be ended.
for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  process.once(signal, () => void fixtures.close().finally(() => process.exit(code)))
}

try {
  if (values.help) console.log(help)
  else if (values.readme) writeReadme()
  else if (values.list) await list()
  else await runAll()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 2
}
