/**
 * Real proxies for tests: HTTP CONNECT by Node's own HTTP server, in TLS or not, and SOCKS 5 (RFC 1928 and 1929). They
 * share no code with the client's side.
 */
import { Effect, type Scope } from "effect"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"

export interface TestProxy {
  readonly port: number
  readonly host: string
  /** `host:port` of everything that was asked for. */
  readonly destinations: ReadonlyArray<string>
  /** `user:password` of every request that had them. */
  readonly credentials: ReadonlyArray<string>
  /** Connections of clients that are open now. */
  readonly clients: ReadonlySet<Net.Socket>
  /** Succeeds as soon as so many clients are connected. */
  readonly until: (clients: number) => Effect.Effect<void>
}

export interface ProxyOptions {
  /** `user:password` that it demands. */
  readonly demands?: string
  /** Certificate and key: the proxy speaks TLS. */
  readonly tls?: { readonly cert: string; readonly key: string }
  /** The HTTP status, or the SOCKS reply, of every answer. */
  readonly refuses?: number
  /** The header `Proxy-Authenticate` of a 407. */
  readonly authenticate?: string
  /** Accepts, and says nothing. */
  readonly silent?: boolean
  /** Connects to here, whatever was asked for. */
  readonly leadsTo?: { readonly host: string; readonly port: number }
  /** Sends answers byte by byte. */
  readonly slices?: boolean
}

interface Parts {
  readonly destinations: Array<string>
  readonly credentials: Array<string>
  readonly clients: Set<Net.Socket>
  readonly sockets: Set<Net.Socket>
}

const parts = (): Parts => ({ destinations: [], credentials: [], clients: new Set(), sockets: new Set() })

const track = (all: Set<Net.Socket>, socket: Net.Socket): void => {
  all.add(socket)
  socket.on("error", () => {})
  socket.on("close", () => all.delete(socket))
}

const served = (server: Net.Server, { clients, credentials, destinations, sockets }: Parts) =>
  Effect.gen(function*() {
    const checks = new Set<() => void>()
    const changed = (): void => {
      for (const check of [...checks]) check()
    }
    server.on("connection", (socket: Net.Socket) => {
      track(clients, socket)
      track(sockets, socket)
      socket.on("close", changed)
      changed()
    })
    const until = (count: number): Effect.Effect<void> =>
      Effect.callback((resume) => {
        const check = (): void => {
          if (clients.size !== count) return
          checks.delete(check)
          resume(Effect.void)
        }
        checks.add(check)
        check()
      })
    const host = "127.0.0.1"
    const port = yield* Effect.callback<number>((resume) => {
      server.listen(0, host, () => resume(Effect.succeed((server.address() as Net.AddressInfo).port)))
    })
    yield* Effect.addFinalizer(() =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of sockets) socket.destroy()
      })
    )
    return { port, host, destinations, credentials, clients, until } satisfies TestProxy
  })

/** Passes everything on in both directions. */
const join = (sockets: Set<Net.Socket>, client: Net.Socket, target: Net.Socket): void => {
  track(sockets, target)
  client.pipe(target).pipe(client)
  target.on("close", () => client.destroy())
  client.on("close", () => target.destroy())
}

const write = (socket: Net.Socket, bytes: Uint8Array, slices: boolean | undefined): void => {
  if (slices !== true) {
    socket.write(bytes)
    return
  }
  socket.setNoDelay(true)
  for (const byte of bytes) socket.write(Uint8Array.of(byte))
}

export const http = (options: ProxyOptions = {}): Effect.Effect<TestProxy, never, Scope.Scope> =>
  Effect.suspend(() => {
    const all = parts()
    const server = options.tls === undefined ? Http.createServer() : Https.createServer(options.tls)
    server.on("tlsClientError", () => {})
    server.on("connect", (request: Http.IncomingMessage, client: Net.Socket) => {
      client.on("error", () => {})
      // Node's HTTP server leaves its half open.
      client.on("end", () => client.end())
      all.destinations.push(request.url!)
      const basic = /^Basic (.+)$/.exec(request.headers["proxy-authorization"] ?? "")?.[1]
      const given = basic === undefined ? undefined : Buffer.from(basic, "base64").toString()
      if (given !== undefined) all.credentials.push(given)
      const answer = (head: string): void => write(client, Buffer.from(`HTTP/1.1 ${head}\r\n\r\n`), options.slices)
      if (options.silent === true) return void client.resume()
      if (options.demands !== undefined && given !== options.demands) {
        answer(`407 Proxy Authentication Required\r\nProxy-Authenticate: ${options.authenticate ?? "Basic realm=x"}`)
        client.end()
        return
      }
      if (options.refuses !== undefined) {
        answer(`${options.refuses} No\r\nContent-Length: 0`)
        client.end()
        return
      }
      const [, host, port] = /^\[?(.*?)\]?:(\d+)$/.exec(request.url!)!
      const target = Net.connect(options.leadsTo ?? { host: host!, port: Number(port) }, () => {
        answer("200 Connection established\r\nVia: test")
        join(all.sockets, client, target)
      })
      target.on("error", () => answer("502 Bad Gateway"))
    })
    return served(server, all)
  })

/** The bytes of a connection, as many as are wanted; `stop` leaves the rest to others. */
const reader = (socket: Net.Socket) => {
  let buffered = Buffer.alloc(0)
  let wake = (): void => {}
  const onData = (bytes: Buffer): void => {
    buffered = Buffer.concat([buffered, bytes])
    wake()
  }
  socket.on("data", onData)
  return {
    take: async (length: number): Promise<Buffer> => {
      while (buffered.length < length) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
      const taken = buffered.subarray(0, length)
      buffered = buffered.subarray(length)
      return taken
    },
    stop: (): void => {
      socket.off("data", onData)
      socket.pause()
      socket.unshift(buffered)
    }
  }
}

const replyTo = async (client: Net.Socket, options: ProxyOptions, all: Parts): Promise<void> => {
  const { stop, take } = reader(client)
  const answer = (...bytes: ReadonlyArray<number>): void => write(client, Uint8Array.from(bytes), options.slices)
  if (options.silent === true) return
  const [, count] = await take(2)
  const methods = await take(count!)
  const method = options.demands === undefined ? 0 : 2
  if (!methods.includes(method)) return void client.end(Uint8Array.of(5, 0xff))
  answer(5, method)
  if (options.demands !== undefined) {
    const name = await take((await take(2))[1]!)
    const password = await take((await take(1))[0]!)
    const given = `${name.toString()}:${password.toString()}`
    all.credentials.push(given)
    if (given !== options.demands) return void client.end(Uint8Array.of(1, 1))
    answer(1, 0)
  }
  const type = (await take(4))[3]
  const host = type === 1
    ? Array.from(await take(4)).join(".")
    : type === 4
    ? (await take(16)).toString("hex").match(/.{4}/g)!.join(":")
    : (await take((await take(1))[0]!)).toString()
  const port = (await take(2)).readUInt16BE()
  all.destinations.push(`${host}:${port}`)
  if (options.refuses !== undefined) return void client.end(Uint8Array.of(5, options.refuses, 0, 1, 0, 0, 0, 0, 0, 0))
  const target = Net.connect(options.leadsTo ?? { host, port }, () => {
    // The bound address may be a name.
    answer(5, 0, 0, 3, 1, 0x61, 0, 80)
    stop()
    join(all.sockets, client, target)
  })
  target.on("error", () => client.end(Uint8Array.of(5, 5, 0, 1, 0, 0, 0, 0, 0, 0)))
}

export const socks = (options: ProxyOptions = {}): Effect.Effect<TestProxy, never, Scope.Scope> =>
  Effect.suspend(() => {
    const all = parts()
    const server = Net.createServer((client) => {
      replyTo(client, options, all).catch(() => client.destroy())
    })
    return served(server, all)
  })
