/**
 * Protects a server on loopback from other sites. A page from anywhere may resolve its own name to 127.0.0.1 (DNS
 * rebinding), and then read what this machine serves there as if it were its own. It cannot change the Host header,
 * which contains its name.
 *
 * Only requests over loopback are checked: on other interfaces a server cannot know its own names.
 */
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"

const own = ["localhost", "127.0.0.1", "[::1]"]

const refusal = HttpServerResponse.text(
  "This server answers to localhost, 127.0.0.1 and [::1] only. Other names are an option: allowedHosts.\n",
  {
    status: 421,
    contentType: "text/plain; charset=utf-8",
    headers: { "cache-control": "no-store", "x-content-type-options": "nosniff" }
  }
)

/** The host without the port and in lower case. A name may end with the dot of the root. */
const nameOf = (host: string): string => host.toLowerCase().replace(/:\d*$/, "").replace(/\.$/, "")

/** The remote address, as Node reports it: an IPv4 address may be mapped into IPv6. */
const isLoopback = (address: string): boolean => address === "::1" || /^(?:::ffff:)?127\.\d+\.\d+\.\d+$/.test(address)

/** Wraps the handlers of a server. The handler of a refused request does not run. */
export type HostGuard = <E, R>(
  handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
) => Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | HttpServerRequest.HttpServerRequest>

/**
 * Makes the guard for the server in the context. The address that it is bound to is accepted. `allowed` are further
 * names or addresses; ports do not matter.
 */
export const makeHostGuard = (allowed: ReadonlyArray<string>): Effect.Effect<HostGuard> =>
  Effect.map(Effect.serviceOption(HttpServer.HttpServer), (server): HostGuard => {
    const bound = Option.map(server, ({ address }) => new URL(HttpServer.formatAddress(address)).hostname)
    const names = new Set([...own, ...Option.toArray(bound), ...allowed.map(nameOf)])
    return (handler) =>
      Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ headers, remoteAddress }) => {
        const host = headers["host"]
        // Every browser sends the header.
        const isOwn = host === undefined || names.has(nameOf(host))
        return isOwn || !Option.exists(remoteAddress, isLoopback) ? handler : Effect.succeed(refusal)
      })
  })
