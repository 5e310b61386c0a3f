/**
 * Processes of the bench: each measured side runs in one of its own, which answers requests over its channel.
 *
 * What a child writes is kept, at most its last lines, and shown only when it ends early: MQTT.js warns in ways that
 * would flood the terminal.
 */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"

/** Milliseconds: a longer silence of a process is the end of its run. */
const answerMillis = 60_000
/** Milliseconds between asking a process to end and killing it. */
const endMillis = 5000
const keptCharacters = 2000

interface Tagged {
  readonly _tag: string
}

export interface ChildOptions {
  readonly args?: ReadonlyArray<string>
  readonly nodeOptions?: ReadonlyArray<string>
}

/** Processes that still run, which end with this one whatever ends it. */
const running = new Set<ChildProcess>()
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL")
})

/** A child process that sends messages by itself, and answers each request with one message. */
export class Child<Request extends object, Reply extends Tagged> {
  readonly #process: ChildProcess
  readonly #received: Array<Reply> = []
  #wake: (() => void) | undefined
  #ended: string | undefined
  #output = ""
  readonly exited: Promise<void>

  constructor(path: URL, { args = [], nodeOptions = [] }: ChildOptions = {}) {
    const child = fork(path, args, { execArgv: [...nodeOptions], stdio: ["ignore", "pipe", "pipe", "ipc"] })
    this.#process = child
    running.add(child)
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.#output = (this.#output + text).slice(-keptCharacters)
      })
    }
    child.on("message", (reply) => {
      this.#received.push(reply as Reply)
      this.#wake?.()
    })
    // Not the event "close": it does not come after a `disconnect` of this side.
    const ends = [once(child, "exit"), once(child.stdout!, "close"), once(child.stderr!, "close")]
    this.exited = Promise.all(ends).then(() => {
      running.delete(child)
      this.#ended = `${path.pathname.split("/").slice(-2).join("/")} ended with ${child.exitCode ?? child.signalCode}`
      this.#wake?.()
    })
  }

  /** The next message with this tag; others before it are dropped. */
  async next<T extends Reply["_tag"]>(tag: T, millis = answerMillis): Promise<Extract<Reply, { readonly _tag: T }>> {
    const until = performance.now() + millis
    while (true) {
      const reply = this.#received.shift()
      if (reply?._tag === tag) return reply as Extract<Reply, { readonly _tag: T }>
      if (reply !== undefined) continue
      if (this.#ended !== undefined) throw new Error(`${this.#ended}\n${this.#output}`.trim())
      const left = until - performance.now()
      if (left <= 0) throw new Error(`no ${tag} from a process of the bench\n${this.#output}`.trim())
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      this.#wake = undefined
    }
  }

  ask<T extends Reply["_tag"]>(
    request: Request,
    tag: T,
    millis?: number
  ): Promise<Extract<Reply, { readonly _tag: T }>> {
    this.tell(request)
    return this.next(tag, millis)
  }

  tell(request: Request): void {
    if (this.#process.connected) this.#process.send(request)
  }

  /** Closes the channel, which ends the process; kills it if it does not end. */
  async end(): Promise<void> {
    if (this.#process.connected) this.#process.disconnect()
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), endMillis)
    await this.exited
    clearTimeout(timer)
  }
}

/** Runs a process that measures by itself and sends one result. */
export const resultOf = async <Result extends object>(
  path: URL,
  request: object,
  options: { readonly nodeOptions?: ReadonlyArray<string>; readonly millis?: number } = {}
): Promise<Result> => {
  const child = new Child<never, { readonly _tag: "Result"; readonly result: Result }>(path, {
    args: [JSON.stringify(request)],
    ...(options.nodeOptions === undefined ? {} : { nodeOptions: options.nodeOptions })
  })
  try {
    return (await child.next("Result", options.millis)).result
  } finally {
    await child.end()
  }
}

/** In the process that `resultOf` starts: measures what the request asks for, and ends. */
export const answerWith = <Request, Result extends object>(measure: (request: Request) => Promise<Result>): void => {
  process.on("disconnect", () => process.exit(0))
  measure(JSON.parse(process.argv[2]!) as Request).then(
    (result) => process.send!({ _tag: "Result", result }),
    (error: unknown) => {
      console.error(error)
      process.exit(1)
    }
  )
}

export const sleep = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

/** Microseconds of processor time of this process since `before`. */
export const cpuSince = (before: NodeJS.CpuUsage): number => {
  const { system, user } = process.cpuUsage(before)
  return user + system
}
