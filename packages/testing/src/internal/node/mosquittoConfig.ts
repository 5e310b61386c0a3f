/**
 * Writes the configuration file of mosquitto 2.
 */
import { pbkdf2Sync, randomBytes } from "node:crypto"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { getuid } from "node:process"
import type { CertificateAndKey, Certificates } from "../../Certificates.ts"

export interface MosquittoPorts {
  readonly tcp: number
  readonly tls: number | undefined
  readonly ws: number | undefined
  readonly wss: number | undefined
}

export interface MosquittoSetup {
  readonly directory: string
  readonly ports: MosquittoPorts
  readonly unixSocket: string | undefined
  readonly certificates: Certificates | undefined
  readonly serverCertificate: CertificateAndKey | undefined
  readonly requireClientCertificate: boolean
  readonly revocationList: string | undefined
  readonly persistence: boolean
  readonly users: Readonly<Record<string, string>> | undefined
  readonly config: ReadonlyArray<string>
}

const host = "127.0.0.1"

/**
 * Writes the configuration and the files that it refers to. Returns its path.
 */
export const writeConfig = (setup: MosquittoSetup): string => {
  const { certificates, config, directory, persistence, ports, serverCertificate, unixSocket, users } = setup
  const file = (name: string, content: string): string => {
    const path = join(directory, name)
    writeFileSync(path, content, { mode: 0o600 })
    return path
  }
  const lines = [
    // Without this line mosquitto changes to a user that cannot read the directory.
    ...(getuid?.() === 0 ? ["user root"] : []),
    "log_dest stderr",
    "log_type error",
    "log_type warning",
    "log_type notice",
    "set_tcp_nodelay true",
    `allow_anonymous ${users === undefined}`,
    ...(users === undefined ? [] : [`password_file ${file("passwords", passwords(users))}`]),
    `persistence ${persistence}`,
    ...(persistence ? [`persistence_location ${directory}/`] : []),
    ...config,
    `listener ${ports.tcp} ${host}`,
    ...(unixSocket === undefined ? [] : [`listener 0 ${unixSocket}`])
  ]
  const tls = (): ReadonlyArray<string> => [
    `cafile ${file("ca.pem", certificates!.ca)}`,
    `certfile ${file("server.pem", serverCertificate!.cert)}`,
    `keyfile ${file("server.key", serverCertificate!.key)}`,
    `require_certificate ${setup.requireClientCertificate}`,
    ...(setup.revocationList === undefined ? [] : [`crlfile ${file("crl.pem", setup.revocationList)}`])
  ]
  if (ports.tls !== undefined) lines.push(`listener ${ports.tls} ${host}`, ...tls())
  if (ports.ws !== undefined) lines.push(`listener ${ports.ws} ${host}`, "protocol websockets")
  if (ports.wss !== undefined) lines.push(`listener ${ports.wss} ${host}`, "protocol websockets", ...tls())
  return file("mosquitto.conf", `${lines.join("\n")}\n`)
}

/** The format of mosquitto_passwd, which may not be installed: type 7 is PBKDF2 with SHA-512. */
const passwords = (users: Readonly<Record<string, string>>): string =>
  Object.entries(users).map(([name, password]) => {
    const iterations = 101
    const salt = randomBytes(12)
    const hash = pbkdf2Sync(password, salt, iterations, 64, "sha512")
    return `${name}:$7$${iterations}$${salt.toString("base64")}$${hash.toString("base64")}\n`
  }).join("")
