/**
 * Sends commands to a Redis server on a separate connection, as RESP 2, so that tests can inspect a server without a
 * driver.
 */
import * as Effect from "effect/Effect"
import * as Net from "node:net"

/**
 * The reply to a command.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export type RedisReply = string | number | null | ReadonlyArray<RedisReply>

class ReplyError extends Error {}

/** Undefined while bytes are missing. Bytes are kept as Latin-1, one character each. */
const parse = (text: string, start: number): { readonly reply: RedisReply; readonly end: number } | undefined => {
  const lineEnd = text.indexOf("\r\n", start)
  if (lineEnd === -1) return undefined
  const line = text.slice(start + 1, lineEnd)
  const end = lineEnd + 2
  switch (text[start]) {
    case "+":
      return { reply: line, end }
    case "-":
      throw new ReplyError(line)
    case ":":
      return { reply: Number(line), end }
    case "$": {
      const length = Number(line)
      if (length === -1) return { reply: null, end }
      if (text.length < end + length + 2) return undefined
      return { reply: text.slice(end, end + length), end: end + length + 2 }
    }
    case "*": {
      const replies: Array<RedisReply> = []
      let position = end
      for (let i = 0; i < Number(line); i++) {
        const item = parse(text, position)
        if (item === undefined) return undefined
        replies.push(item.reply)
        position = item.end
      }
      return { reply: replies, end: position }
    }
    default:
      throw new ReplyError(`this is no reply: ${line}`)
  }
}

const encode = (command: ReadonlyArray<string>): string =>
  `*${command.length}\r\n${command.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join("")}`

/**
 * Sends commands in order and returns the reply to the last one. Fails with the message of the first error.
 */
export const sendCommands = (
  address: Net.NetConnectOpts,
  commands: ReadonlyArray<ReadonlyArray<string>>
): Effect.Effect<RedisReply, string> =>
  Effect.callback((resume) => {
    const socket = Net.connect(address)
    let text = ""
    let position = 0
    let replies = 0
    const finish = (result: Effect.Effect<RedisReply, string>): void => {
      socket.destroy()
      resume(result)
    }
    socket.write(commands.map(encode).join(""))
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1")
      try {
        for (let next = parse(text, position); next !== undefined; next = parse(text, position)) {
          position = next.end
          replies++
          if (replies === commands.length) return finish(Effect.succeed(next.reply))
        }
      } catch (error) {
        finish(Effect.fail((error as Error).message))
      }
    })
    socket.on("error", (error) => finish(Effect.fail(error.message)))
    socket.on("close", () => finish(Effect.fail("the connection was closed")))
    return Effect.sync(() => socket.destroy())
  })
