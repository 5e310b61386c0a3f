/**
 * Finds the programs of real servers for tests, and decides what a test does when they are missing. Needs Node.
 */
import * as Data from "effect/Data"
import { accessSync, constants, readdirSync } from "node:fs"
import { delimiter, join } from "node:path"
import { env, platform } from "node:process"

/**
 * A broker could not be started: the program is missing, or it ended.
 *
 * @stability stable
 * @category errors
 * @since 0.1.0
 */
export class BrokerUnavailable extends Data.TaggedError("BrokerUnavailable")<{
  readonly broker: string
  readonly detail: string
}> {
  override get message(): string {
    return `${this.broker} is not available: ${this.detail}`
  }
}

const usualDirectories: ReadonlyArray<string> = platform === "win32"
  ? ["C:\\Program Files\\mosquitto", "C:\\Program Files\\Redis"]
  : [
    "/usr/sbin",
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/bin",
    "/opt/homebrew/sbin",
    "/opt/homebrew/bin",
    "/opt/homebrew/opt/mosquitto/sbin",
    "/usr/local/opt/mosquitto/sbin",
    "/opt/local/sbin"
  ]

/** Where Debian puts the programs of PostgreSQL, the newest version first: into a directory of their version. */
const postgresDirectories = (): ReadonlyArray<string> => {
  const versions = "/usr/lib/postgresql"
  try {
    return readdirSync(versions).sort((a, b) => Number(b) - Number(a)).map((version) => join(versions, version, "bin"))
  } catch {
    return []
  }
}

/**
 * The path of a program: in the directories of `PATH`, or where package managers install servers; undefined when it is
 * not found.
 *
 * @stability stable
 * @category getters
 * @since 0.1.0
 */
export const find = (program: string): string | undefined => {
  const file = platform === "win32" ? `${program}.exe` : program
  const directories = [...(env["PATH"] ?? "").split(delimiter), ...usualDirectories, ...postgresDirectories()]
  for (const directory of directories) {
    if (directory === "") continue
    const path = join(directory, file)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      continue
    }
  }
  return undefined
}

/**
 * Whether tests against a real server can run, for `describe.skipIf(!RealServer.isPresent("mosquitto"))`. A missing
 * program is a visible skip. It is an error if the environment variable `EFFECT_MQTTX_REQUIRE_SERVERS` is `1`, as in
 * continuous integration.
 *
 * @stability stable
 * @category predicates
 * @since 0.1.0
 */
export const isPresent = (program: string): boolean => {
  if (find(program) !== undefined) return true
  if (env["EFFECT_MQTTX_REQUIRE_SERVERS"] === "1") {
    throw new BrokerUnavailable({
      broker: program,
      detail: "its program was not found, and EFFECT_MQTTX_REQUIRE_SERVERS=1 demands it"
    })
  }
  return false
}
