/**
 * `effect-mqttx store`: looks at file stores, checks and repairs them, and carries sessions from one to another.
 * `inspect`, `verify` and `export` change nothing but the files of the store's lock. A store that a running program has
 * open is refused.
 */
import type { StoreRecord } from "@effect-mqttx/core/StoreRecord"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { CommandFailed, exitCodes, usage } from "../failure.ts"
import { linesOf } from "../lines.ts"
import { outputFailed } from "../output.ts"
import { showProgress } from "../progress.ts"
import { inspect as inspectFiles, loadSession, openCopy, openStore, storeFailed } from "./files.ts"
import { format, parse, type SessionRecord } from "./recordLine.ts"

const directory = Argument.String("directory").pipe(Argument.withDescription("Directory of the store"))
const json = Flag.Boolean("json").pipe(Flag.withDescription("Prints one JSON object"), Flag.withDefault(false))
const sessionFlag = Flag.String("session").pipe(
  Flag.withMetavar("<name>"),
  Flag.withDescription("Name of a session; may be given more than once. A store has no names, but their digests")
)
const sessions = sessionFlag.pipe(Flag.atLeast(0))
const oneSession = sessionFlag.pipe(Flag.atLeast(1))

interface Input {
  readonly directory: string
  readonly sessions: ReadonlyArray<string>
  readonly json: boolean
}

const counted = (records: Readonly<Record<StoreRecord["_tag"], number>>): string =>
  Object.entries(records).filter(([, count]) => count > 0).map(([type, count]) => `${count} ${type}`).join(", ")

const runInspect = (input: Input): Effect.Effect<void, CommandFailed> =>
  Effect.gen(function*() {
    const { damage, idOf, sessions } = yield* inspectFiles(input.directory)
    const names = new Map(input.sessions.map((name) => [idOf(name), name]))
    const found = sessions.map((session) => ({ name: names.get(session.id) ?? null, ...session }))
    if (input.json) return yield* Console.log(JSON.stringify({ sessions: found, damage }))
    const lines = found.map(({ id, name, payloadBytes, records, unreadable }) =>
      `${name ?? id}: ${counted(records)}; ${payloadBytes} bytes of payloads` +
      `${unreadable > 0 ? `; ${unreadable} records that cannot be read` : ""}`
    )
    for (const name of input.sessions) {
      if (!sessions.some(({ id }) => id === idOf(name))) lines.push(`${name}: nothing`)
    }
    yield* Console.log([
      `${sessions.length} ${sessions.length === 1 ? "session" : "sessions"}`,
      ...lines,
      ...damage.map((what) => `damaged: ${what}`)
    ].join("\n"))
  })

interface Verdict {
  readonly session: string
  readonly records: number
  readonly damage: string | null
}

/** Loads sessions and says what was lost in them. */
const judge = (
  store: Effect.Success<ReturnType<typeof openStore>>,
  names: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<Verdict>, CommandFailed> =>
  Effect.forEach(
    names,
    (session) =>
      Effect.scoped(Effect.map(loadSession(store, session), ({ damage, records }): Verdict => ({
        session,
        records: records.length,
        damage: damage === undefined
          ? null
          : damage.lost === undefined
          ? damage.detail
          : `${damage.detail}; ${damage.lost} records lost`
      })))
  )

const print = (
  verdicts: ReadonlyArray<Verdict>,
  damage: ReadonlyArray<string>,
  asJson: boolean
): Effect.Effect<void> =>
  Console.log(
    asJson ? JSON.stringify({ sessions: verdicts, damage }) : [
      ...damage.map((what) => `damaged: ${what}`),
      ...verdicts.map(({ damage, records, session }) =>
        `${session}: ${records} records, ${damage === null ? "ok" : `DAMAGED: ${damage}`}`
      ),
      ...(damage.length === 0 && verdicts.length === 0 ? ["ok"] : [])
    ].join("\n")
  )

const damaged = (advice: string): CommandFailed =>
  new CommandFailed({ what: "the store is damaged", advice, exitCode: exitCodes.failed })

const runVerify = (input: Input): Effect.Effect<void, CommandFailed, FileSystem.FileSystem> =>
  Effect.gen(function*() {
    const { damage, sessions } = yield* inspectFiles(input.directory)
    const verdicts = input.sessions.length === 0 ? [] : yield* judge(yield* openCopy(input.directory), input.sessions)
    yield* print(verdicts, damage, input.json)
    const isDamaged = damage.length > 0 || sessions.some(({ unreadable }) => unreadable > 0) ||
      verdicts.some(({ damage }) => damage !== null)
    if (isDamaged) {
      return yield* Effect.fail(
        damaged("`effect-mqttx store repair` keeps what can be read; so does the next start of the program.")
      )
    }
  }).pipe(Effect.scoped)

const runRepair = (input: Input): Effect.Effect<void, CommandFailed> =>
  Effect.gen(function*() {
    const { damage } = yield* inspectFiles(input.directory)
    const verdicts = yield* judge(yield* openStore(input.directory), input.sessions)
    yield* print(verdicts, damage, input.json)
  }).pipe(Effect.scoped)

const fileFailed = (what: string) => (error: { readonly message: string }): CommandFailed =>
  usage(`the file cannot be ${what}: ${error.message}`, "Check the path of the file, and the space of the disk.")

const runExport = (
  input: Omit<Input, "json">
): Effect.Effect<void, CommandFailed, FileSystem.FileSystem | Stdio.Stdio> =>
  Effect.gen(function*() {
    const stdio = yield* Stdio.Stdio
    const store = yield* openCopy(input.directory)
    for (const session of input.sessions) {
      const { damage, records } = yield* loadSession(store, session)
      if (damage !== undefined) yield* Effect.logWarning(`${session} is damaged: ${damage.detail}`)
      if (records.length === 0) yield* Effect.logWarning(`the store has nothing of the session ${session}`)
      const lines = Stream.map(Stream.fromIterable(records), (record) => format(session, record))
      yield* Effect.catch(Stream.run(lines, stdio.stdout()), outputFailed)
    }
  }).pipe(Effect.scoped)

/** Records of a commit. */
const portion = 500

const runImport = (
  input: { readonly directory: string; readonly file: string }
): Effect.Effect<void, CommandFailed, FileSystem.FileSystem | Stdio.Stdio> =>
  Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    const stdio = yield* Stdio.Stdio
    const bytes = input.file === "-" ? stdio.stdin : files.stream(input.file)
    const records = linesOf(bytes).pipe(
      Stream.mapError(fileFailed("read")),
      Stream.mapEffect((line) => {
        const parsed = parse(line)
        return Result.isSuccess(parsed) ? Effect.succeed(parsed.success) : Effect.fail(
          usage(
            `${input.file === "-" ? "the standard input" : input.file}, line ${line.number}: ${parsed.failure}`,
            "The records before it are in the store. Mend or remove the line, and import the file into an empty store."
          )
        )
      }),
      Stream.filter((record) => record !== undefined)
    )
    if (input.file !== "-") yield* Effect.mapError(files.access(input.file, { readable: true }), fileFailed("read"))
    const store = yield* openStore(input.directory)
    const commits = new Map<string, (records: ReadonlyArray<StoreRecord>) => Effect.Effect<void, CommandFailed>>()
    let count = 0
    const openSession = (session: string) =>
      Effect.gen(function*() {
        const { handle, records: present } = yield* loadSession(store, session)
        if (present.length > 0) {
          return yield* Effect.fail(
            usage(`the store has the session ${session} already`, "Import into a store without it: records do not mix.")
          )
        }
        const commit = (records: ReadonlyArray<StoreRecord>) =>
          Effect.mapError(handle.commit(records.map((record) => ({ _tag: "Put" as const, record }))), storeFailed)
        commits.set(session, commit)
        return commit
      })
    const write = (batch: ReadonlyArray<SessionRecord>): Effect.Effect<void, CommandFailed, Scope.Scope> =>
      Effect.gen(function*() {
        const groups = new Map<string, Array<StoreRecord>>()
        for (const { record, session } of batch) {
          const group = groups.get(session)
          if (group === undefined) groups.set(session, [record])
          else group.push(record)
        }
        for (const [session, group] of groups) {
          const commit = commits.get(session) ?? (yield* openSession(session))
          yield* commit(group)
          count += group.length
        }
      })
    yield* Effect.scoped(Effect.andThen(
      showProgress(() => `${count} records`),
      records.pipe(Stream.rechunk(portion), Stream.runForEachArray(write))
    ))
    yield* Console.error(`imported ${count} records of ${commits.size} ${commits.size === 1 ? "session" : "sessions"}`)
  }).pipe(Effect.scoped)

const inspect = Command.make("inspect", { directory, sessions, json }, runInspect).pipe(
  Command.withDescription("Says which sessions a store has, and what of each")
)
const verify = Command.make("verify", { directory, sessions, json }, runVerify).pipe(
  Command.withDescription("Checks the files of a store, and the sessions that are named; exit code 1 with damage")
)
const repair = Command.make("repair", { directory, sessions: oneSession, json }, runRepair).pipe(
  Command.withDescription("Keeps what can be read of a damaged store, and says what was lost")
)
const exportCommand = Command.make("export", { directory, sessions: oneSession }, runExport).pipe(
  Command.withDescription("Prints the records of sessions, one line of JSON each")
)
const importCommand = Command.make("import", {
  directory,
  file: Argument.String("file").pipe(Argument.withDescription("File of `store export`; - is the standard input"))
}, runImport).pipe(Command.withDescription("Writes exported sessions to a store that does not have them"))

/** The command `store`. */
export const store: Command.Command<
  "store",
  {},
  {},
  CommandFailed,
  FileSystem.FileSystem | Stdio.Stdio
> = Command.make("store").pipe(
  Command.withDescription("Looks at the directories of durable sessions, checks, repairs and copies them"),
  Command.withSubcommands([inspect, verify, exportCommand, importCommand, repair]),
  Command.withExamples([
    { command: "effect-mqttx store inspect /var/lib/plant --session plant" },
    { command: "effect-mqttx store export /var/lib/plant --session plant > plant.jsonl" }
  ])
)
