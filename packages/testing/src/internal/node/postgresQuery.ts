/**
 * Runs statements on a PostgreSQL over a connection of their own, by the simple query protocol, so that tests can
 * inspect a server without a driver. It knows no password and no TLS.
 */
import * as Effect from "effect/Effect"
import * as Net from "node:net"

/**
 * A row of a result: values as text by the names of their columns, null for NULL.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface PostgresRow {
  readonly [column: string]: string | null
}

export interface PostgresAddress {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
}

const protocolVersion = 196_608

const startup = ({ database, user }: PostgresAddress): Buffer => {
  const body = Buffer.from(`user\0${user}\0database\0${database}\0\0`)
  const head = Buffer.alloc(8)
  head.writeInt32BE(8 + body.length, 0)
  head.writeInt32BE(protocolVersion, 4)
  return Buffer.concat([head, body])
}

const simpleQuery = (text: string): Buffer => {
  const body = Buffer.from(`${text}\0`)
  const head = Buffer.alloc(5)
  head.write("Q")
  head.writeInt32BE(4 + body.length, 1)
  return Buffer.concat([head, body])
}

const textAt = (bytes: Buffer, start: number): string => bytes.toString("utf8", start, bytes.indexOf(0, start))

const columnsOf = (body: Buffer): ReadonlyArray<string> => {
  const columns: Array<string> = []
  let position = 2
  for (let i = body.readInt16BE(0); i > 0; i--) {
    const name = textAt(body, position)
    columns.push(name)
    // Behind the name: table, column, type, size, modifier and format.
    position += Buffer.byteLength(name) + 1 + 18
  }
  return columns
}

const rowOf = (body: Buffer, columns: ReadonlyArray<string>): PostgresRow => {
  const row: { [column: string]: string | null } = {}
  let position = 2
  for (const column of columns) {
    const length = body.readInt32BE(position)
    position += 4
    row[column] = length === -1 ? null : body.toString("utf8", position, position + length)
    position += Math.max(0, length)
  }
  return row
}

const errorOf = (body: Buffer): string => {
  let message = "an error without a message"
  for (let position = 0; body[position] !== 0 && position < body.length;) {
    const value = textAt(body, position + 1)
    if (body[position] === 0x4d) message = value
    position += Buffer.byteLength(value) + 2
  }
  return message
}

/** The rows of all statements in a text. Fails with the message of the server or of the socket. */
export const runQuery = (
  address: PostgresAddress,
  text: string
): Effect.Effect<ReadonlyArray<PostgresRow>, string> =>
  Effect.callback((resume) => {
    const socket = Net.connect({ host: address.host, port: address.port })
    const rows: Array<PostgresRow> = []
    let columns: ReadonlyArray<string> = []
    let received: Buffer = Buffer.alloc(0)
    let isSent = false
    let failure: string | undefined
    const finish = (result: Effect.Effect<ReadonlyArray<PostgresRow>, string>): void => {
      socket.destroy()
      resume(result)
    }
    const take = (type: string, body: Buffer): void => {
      switch (type) {
        case "R":
          if (body.readInt32BE(0) !== 0) finish(Effect.fail("the server demands a password"))
          return
        case "T":
          columns = columnsOf(body)
          return
        case "D":
          rows.push(rowOf(body, columns))
          return
        case "E":
          failure = errorOf(body)
          return
        case "Z":
          if (failure !== undefined) return finish(Effect.fail(failure))
          if (isSent) return finish(Effect.succeed(rows))
          isSent = true
          socket.write(simpleQuery(text))
      }
    }
    socket.write(startup(address))
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk])
      while (received.length >= 5) {
        const end = 1 + received.readInt32BE(1)
        if (received.length < end) return
        const body = received.subarray(5, end)
        const type = received.toString("latin1", 0, 1)
        received = received.subarray(end)
        take(type, body)
      }
    })
    socket.on("error", (error) => finish(Effect.fail(error.message)))
    socket.on("close", () => finish(Effect.fail(failure ?? "the connection was closed")))
    return Effect.sync(() => socket.destroy())
  })
