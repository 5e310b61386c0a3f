/**
 * The gateway of a drill as a process, which may be killed and started again. `reload.ts` runs it.
 */
import * as Effect from "effect/Effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { type Bridge, endProcess, type Links } from "./bridge.ts"

const program = Path.join(
  fileURLToPath(import.meta.resolve("@effect-mqttx/cli/package.json")),
  "../dist/internal/main.js"
)

/** The file of a round: the forwarder changes in each, one of the sessions in each second one. */
const fileOf = ({ a, b }: Links, round: number, store: "file" | "memory"): string => `
[log]
sessions = "off"
[reload]
watch = false
[stores.state]
type = "${store}"
${store === "file" ? "directory = \"state\"" : ""}
[sessions.plant]
servers = "${a}"
store = "state"
keepAlive = ${round % 4 === 1 ? 30_000 : 60_000}
[sessions.cloud]
servers = "${b}"
store = "state"
keepAlive = ${round % 4 === 3 ? 30_000 : 60_000}
[forwarders.up]
sources = "plant"
filters = "drill/#"
target = "cloud"
metadata = { round = "${round}" }
`

/** The gateway as a process, which may be killed and started again. */
export class Gateway implements Bridge {
  readonly #file: string
  readonly #links: Links
  readonly #store: "file" | "memory"
  #child: ChildProcess | undefined
  #log = ""

  constructor(folder: string, links: Links, store: "file" | "memory") {
    this.#file = Path.join(folder, "gateway.toml")
    this.#links = links
    this.#store = store
    this.#write(0)
  }

  #write(round: number): void {
    Fs.writeFileSync(`${this.#file}.new`, fileOf(this.#links, round, this.#store))
    Fs.renameSync(`${this.#file}.new`, this.#file)
  }

  #awaitLog(text: string, times: number): Effect.Effect<void> {
    return Effect.promise(async () => {
      while (this.#log.split(text).length - 1 < times) {
        if (this.#child?.exitCode !== null) throw new Error(`the gateway has ended: ${this.#log}`)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    })
  }

  get start(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#log = ""
      this.#child = spawn(process.execPath, [program, "gateway", this.#file], { stdio: ["ignore", "ignore", "pipe"] })
      this.#child.stderr!.setEncoding("utf8").on("data", (text: string) => {
        this.#log += text
      })
      return this.#awaitLog("the gateway runs", 1)
    })
  }

  /** Succeeds when the file is applied. */
  reload(round: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.#write(round)
      const before = this.#log.split("the file is applied").length
      this.#child!.kill("SIGHUP")
      return this.#awaitLog("the file is applied", before)
    })
  }

  end(signal: "SIGTERM" | "SIGKILL"): Effect.Effect<void> {
    return Effect.suspend(() => endProcess(this.#child, signal))
  }
}
