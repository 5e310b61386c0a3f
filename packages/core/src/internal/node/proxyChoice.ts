/**
 * Decides whether a server is reached through a proxy, and through which: from the options, or from the environment of
 * the process as curl and others read it.
 */
import type * as Redacted from "effect/Redacted"
import * as Net from "node:net"
import { InvalidOptions } from "../../MqttError.ts"
import * as ServerAddress from "../../ServerAddress.ts"
import type { ProxyOptions } from "../../SessionOptions.ts"
import { credentialsFault, type NoProxyRule, parseNoProxy, parseProxy, type ProxyAddress } from "../proxyUrl.ts"
import type { Target } from "./proxyHandshake.ts"

export type Environment = { readonly [name: string]: string | undefined }

/** The proxy for a server; undefined: none. */
export const chooseProxy = (
  options: ProxyOptions,
  server: ServerAddress.ServerAddress,
  environment: Environment = process.env
): ProxyAddress | InvalidOptions | undefined => {
  const found = options.environment ? fromEnvironment(server, environment) : fromOptions(options)
  if (found === undefined || found instanceof InvalidOptions) return found
  const noProxy = options.environment ? environment["no_proxy"] || environment["NO_PROXY"] || "" : ""
  // What is no rule is passed over, as others do with the environment. The options were checked before.
  const rules = [...options.noProxy, ...noProxy.split(/[\s,]+/)].map(parseNoProxy).filter((rule) => rule !== undefined)
  return bypasses(rules, server) ? undefined : found
}

const fromOptions = ({ password, url, username }: ProxyOptions): ProxyAddress | InvalidOptions | undefined => {
  if (url === undefined) return undefined
  const address = parseProxy(url)
  return typeof address === "string"
    ? invalid("proxy.url", address)
    : { ...address, username: username ?? address.username, password: password ?? address.password }
}

const fromEnvironment = (
  server: ServerAddress.ServerAddress,
  environment: Environment
): ProxyAddress | InvalidOptions | undefined => {
  // A web server that runs a program by CGI sets HTTP_PROXY to what its client has sent as the header Proxy.
  const plain = environment["REQUEST_METHOD"] === undefined ? ["http_proxy", "HTTP_PROXY"] : ["http_proxy"]
  const names = [...(ServerAddress.isSecure(server) ? ["https_proxy", "HTTPS_PROXY"] : plain), "all_proxy", "ALL_PROXY"]
  const name = names.find((each) => (environment[each] ?? "").trim() !== "")
  if (name === undefined) return undefined
  const address = parseProxy(environment[name]!.trim())
  const fault = typeof address === "string" ? address : credentialsFault(address)
  return fault === undefined ? address as ProxyAddress : invalid(name, fault)
}

const invalid = (path: string, message: string): InvalidOptions => new InvalidOptions({ issues: [{ path, message }] })

/** Whether one of the rules is about the server. */
export const bypasses = (rules: ReadonlyArray<NoProxyRule>, { host, port }: Target): boolean => {
  const name = host.toLowerCase().replace(/\.$/, "")
  const family = Net.isIP(name)
  return rules.some((rule) => {
    switch (rule._tag) {
      case "All":
        return true
      case "Subnet":
        return family !== 0 && contains(rule, name, family)
      case "Name": {
        if (rule.port !== undefined && rule.port !== port) return false
        if (family !== 0 && Net.isIP(rule.name) === family) {
          return contains({ address: rule.name, prefix: family === 4 ? 32 : 128 }, name, family)
        }
        return name === rule.name || (family === 0 && name.endsWith(`.${rule.name}`))
      }
    }
  })
}

const contains = (
  subnet: { readonly address: string; readonly prefix: number },
  host: string,
  family: number
): boolean => {
  if (Net.isIP(subnet.address) !== family) return false
  const type = family === 4 ? "ipv4" : "ipv6"
  const list = new Net.BlockList()
  list.addSubnet(subnet.address, subnet.prefix, type)
  return list.check(host, type)
}

/** The credentials of a proxy, if it has any. */
export const credentialsOf = (
  { password, username }: ProxyAddress
): { readonly username: string; readonly password: Redacted.Redacted<string> | undefined } | undefined =>
  username === undefined ? undefined : { username, password }
