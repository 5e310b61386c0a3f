/**
 * Converts a session's TLS options to those of Node.
 */
import * as Redacted from "effect/Redacted"
import * as Net from "node:net"
import * as Tls from "node:tls"
import type { TlsOptions } from "../../SessionOptions.ts"

/**
 * The options that `node:tls` and `ws` share, for a connection to `host`. The server's certificate and its name are
 * verified unless the options say `insecureSkipVerify`. Other absent options keep Node's defaults, including its own
 * list of trusted authorities.
 */
export const tlsConnectionOptions = (tls: TlsOptions | undefined, host: string): Tls.ConnectionOptions => ({
  ...serverName(tls?.servername ?? host),
  // Always set: otherwise the environment (NODE_TLS_REJECT_UNAUTHORIZED) could switch the verification off.
  rejectUnauthorized: tls?.insecureSkipVerify !== true,
  ...(tls === undefined ? undefined : given({
    ca: tls.ca === undefined ? undefined : [...tls.ca],
    cert: tls.cert,
    key: reveal(tls.key),
    pfx: tls.pfx === undefined ? undefined : Buffer.from(Redacted.value(tls.pfx)),
    passphrase: reveal(tls.passphrase),
    ALPNProtocols: tls.alpn === undefined ? undefined : [...tls.alpn],
    minVersion: tls.minVersion,
    ciphers: tls.ciphers,
    crl: tls.crl === undefined ? undefined : [...tls.crl]
  }))
})

// Server Name Indication carries host names, never addresses (RFC 6066, section 3). The certificate is checked against
// either.
export const serverName = (name: string): Tls.ConnectionOptions =>
  Net.isIP(name) === 0
    ? { servername: name }
    : { checkServerIdentity: (_host, certificate) => Tls.checkServerIdentity(name, certificate) }

const reveal = (secret: Redacted.Redacted<string> | undefined): string | undefined =>
  secret === undefined ? undefined : Redacted.value(secret)

type Given<A> = { readonly [K in keyof A]?: Exclude<A[K], undefined> }

const given = <A extends object>(options: A): Given<A> =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Given<A>
