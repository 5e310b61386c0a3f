/**
 * Loads the engine and the broker core that are explored: their real sources, bundled with three changes. Private names
 * become public ones, so that a digest sees all of the state; the broker core shows its state; and a mutant has one
 * fault planted. A change whose text is not found is an error.
 */
import type { BrokerCore, BrokerCoreOptions } from "@effect-mqttx/testing/BrokerCore"
import * as Esbuild from "esbuild"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { parseSync } from "oxc-parser"
import type { EngineOptions, SessionEngine } from "../../src/internal/engine/contract.ts"
import type { RecordedEngine } from "../../src/internal/engine/recording/recordedEngine.ts"
import type * as RecordLines from "../../src/internal/engine/recording/recordLines.ts"
import type { ReplayedEngine } from "../../src/internal/engine/recording/replayedEngine.ts"

/**
 * One exact replacement in a source file; `from` stands in it exactly once.
 */
export interface Edit {
  /** The path below the root of the repository. */
  readonly file: string
  readonly from: string
  readonly to: string
}

/** What the exploration reads of the broker's session. */
export interface BrokerSession {
  nextPacketIdentifier: number
  readonly connection: { readonly connection: number } | undefined
}

/** The broker core with its state. */
export interface OpenBroker extends BrokerCore {
  readonly state: { readonly sessions: ReadonlyMap<string, BrokerSession> }
}

/** An engine and a broker core to explore. */
export interface Subject {
  readonly makeEngine: (options: EngineOptions) => SessionEngine
  readonly makeBroker: (options: BrokerCoreOptions) => OpenBroker
}

/** The flight recorder that belongs to a loaded engine: it knows that engine's classes. */
export interface Recording {
  readonly RecordedEngine: typeof RecordedEngine
  readonly ReplayedEngine: typeof ReplayedEngine
  readonly linesOf: (engine: RecordedEngine) => ReadonlyArray<string>
}

/** Engine sources in an edit. */
export const engineFile = (name: string): string => `packages/core/src/internal/engine/${name}.ts`

const brokerCore = "packages/testing/src/internal/broker/core.ts"

const openBroker: Edit = {
  file: brokerCore,
  from: "return {\n    get limits() {\n      return state.limits\n",
  to: "return {\n    state,\n    get limits() {\n      return state.limits\n"
}

const findRoot = (): string => {
  let folder = Path.dirname(fileURLToPath(import.meta.url))
  while (!Fs.existsSync(Path.join(folder, "vitest.workspace.ts"))) folder = Path.dirname(folder)
  return folder
}

const root = findRoot()

/** Applies the edits of one file. */
export const edit = (file: string, text: string, edits: ReadonlyArray<Edit>): string => {
  let edited = text
  for (const { from, to } of edits) {
    const parts = edited.split(from)
    if (parts.length !== 2) {
      throw new Error(`${file} has ${parts.length - 1} times what is to be replaced once: ${from}`)
    }
    edited = parts.join(to)
  }
  return edited
}

interface AstNode {
  readonly type?: string
  readonly start: number
  readonly [key: string]: unknown
}

// Most files are the same in every bundle.
const published = new Map<string, string>()

/** `#name` as `$name`: a property like any other. */
export const publish = (file: string, text: string): string => {
  const known = published.get(text)
  if (known !== undefined) return known
  const result = withPublicNames(file, text)
  published.set(text, result)
  return result
}

const withPublicNames = (file: string, text: string): string => {
  const starts: Array<number> = []
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) return value.forEach(visit)
    if (typeof value !== "object" || value === null) return
    const node = value as AstNode
    if (node.type === "PrivateIdentifier") starts.push(node.start)
    for (const key of Object.keys(node)) visit(node[key])
  }
  const { errors, program } = parseSync(file, text)
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]!.message}`)
  visit(program)
  let result = ""
  let from = 0
  for (const start of starts.sort((a, b) => a - b)) {
    result += `${text.slice(from, start)}$`
    from = start + 1
  }
  return result + text.slice(from)
}

const plugin = (edits: ReadonlyArray<Edit>, applied: Set<Edit>): Esbuild.Plugin => ({
  name: "instrument",
  setup: (build) => {
    build.onLoad({ filter: /[/\\]packages[/\\](core|testing)[/\\]src[/\\].*\.ts$/ }, ({ path }) => {
      const file = Path.relative(root, path).replaceAll(Path.sep, "/")
      const own = edits.filter((other) => other.file === file)
      const text = edit(file, Fs.readFileSync(path, "utf8"), own)
      for (const one of own) applied.add(one)
      const isEngine = file.startsWith("packages/core/src/internal/engine/") ||
        file.endsWith("/internal/topicIndex.ts") || file.endsWith("/internal/fifo.ts")
      return { contents: isEngine ? publish(file, text) : text, loader: "ts" }
    })
  }
})

const bundle = async (edits: ReadonlyArray<Edit>): Promise<string> => {
  const applied = new Set<Edit>()
  const { outputFiles } = await Esbuild.build({
    stdin: {
      contents: `
        export { makeEngine } from "./packages/core/src/internal/engine/engine.ts"
        export { RecordedEngine } from "./packages/core/src/internal/engine/recording/recordedEngine.ts"
        export { ReplayedEngine } from "./packages/core/src/internal/engine/recording/replayedEngine.ts"
        export * as RecordLines from "./packages/core/src/internal/engine/recording/recordLines.ts"
        export { makeBrokerCore } from "./packages/testing/src/BrokerCore.ts"
      `,
      resolveDir: root
    },
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    target: "es2022",
    conditions: ["@effect-mqttx/source"],
    external: ["effect", "effect/*"],
    logLevel: "silent",
    plugins: [plugin(edits, applied)]
  })
  for (const one of edits) if (!applied.has(one)) throw new Error(`${one.file} is not part of the engine or the broker`)
  return outputFiles[0]!.text
}

/**
 * Builds and loads the engine and the broker with these edits.
 */
export const load = async (edits: ReadonlyArray<Edit> = []): Promise<Subject & { readonly recording: Recording }> => {
  const text = await bundle([openBroker, ...edits])
  // Below packages/core, where the bundle finds what it does not contain.
  const folder = Path.join(root, "packages/core/build/explore")
  Fs.mkdirSync(folder, { recursive: true })
  const file = Path.join(folder, `${Crypto.createHash("sha256").update(text).digest("hex").slice(0, 16)}.mjs`)
  Fs.writeFileSync(file, text)
  const module = await import(/* @vite-ignore */ pathToFileURL(file).href) as {
    readonly makeEngine: Subject["makeEngine"]
    readonly makeBrokerCore: (options: BrokerCoreOptions, now: number) => OpenBroker
    readonly RecordLines: typeof RecordLines
  } & Omit<Recording, "linesOf">
  const { headerLine, keep, linesOf } = module.RecordLines
  return {
    makeEngine: module.makeEngine,
    makeBroker: (options) => module.makeBrokerCore(options, 0),
    recording: {
      RecordedEngine: module.RecordedEngine,
      ReplayedEngine: module.ReplayedEngine,
      linesOf: ({ recording }) => {
        const { dropped, options } = recording
        const { session } = options
        const { format, version } = module.RecordLines
        return [
          headerLine({ format, version, session, cause: "request", at: 0, dropped, options }),
          ...linesOf(keep(recording))
        ]
      }
    }
  }
}
