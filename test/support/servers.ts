import * as Fs from "node:fs"
import * as Path from "node:path"

/** The real programs that some tests run. */
export type Server = "mosquitto" | "redis-server" | "chromium" | "prometheus" | "promtool"

const names: Readonly<Record<Server, ReadonlyArray<string>>> = {
  "mosquitto": ["mosquitto"],
  "redis-server": ["redis-server"],
  "chromium": ["chromium", "chromium-browser", "google-chrome"],
  "prometheus": ["prometheus"],
  "promtool": ["promtool"]
}

/** The search path, and where Debian and Homebrew put programs that the search path of a user may lack. */
const searchFolders = (): ReadonlyArray<string> => [
  ...(process.env.PATH ?? "").split(Path.delimiter).filter((folder) => folder !== ""),
  "/usr/sbin",
  "/usr/local/sbin",
  "/opt/homebrew/sbin",
  "/opt/homebrew/bin"
]

/** Finds a program without running anything. */
export const find = (server: Server, folders: ReadonlyArray<string> = searchFolders()): string | undefined => {
  const suffix = process.platform === "win32" ? ".exe" : ""
  for (const folder of folders) {
    for (const name of names[server]) {
      const candidate = Path.join(folder, name + suffix)
      if (Fs.existsSync(candidate)) return candidate
    }
  }
  return undefined
}

/**
 * The path of a real server, for `it.skipIf(server === undefined)`: a machine without the program shows a skip, while
 * `EFFECT_MQTTX_REQUIRE_SERVERS=1`, as CI sets it, makes it a failure.
 */
export const realServer = (
  server: Server,
  options: { readonly folders?: ReadonlyArray<string>; readonly required?: boolean } = {}
): string | undefined => {
  const found = find(server, options.folders)
  if (found === undefined && (options.required ?? process.env.EFFECT_MQTTX_REQUIRE_SERVERS === "1")) {
    throw new Error(`${server} is not installed, and EFFECT_MQTTX_REQUIRE_SERVERS=1 demands it`)
  }
  return found
}
