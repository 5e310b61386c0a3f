/**
 * Certificates for tests, made at run time: a certificate authority, what it signed, and what a careful peer must refuse. Needs Node.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import forge from "node-forge"
import { generateKeyPair } from "node:crypto"
import { promisify } from "node:util"

/**
 * A certificate with its private key, both PEM.
 */
export interface CertificateAndKey {
  readonly cert: string
  readonly key: string
}

/**
 * What to issue.
 */
export interface CertificateRequest {
  readonly commonName: string
  /** DNS names and IP addresses. */
  readonly subjectAltNames?: ReadonlyArray<string>
  readonly usage: "server" | "client"
  /** Milliseconds since the epoch. Default: valid from an hour ago to a day ahead. */
  readonly notBefore?: number
  readonly notAfter?: number
}

/**
 * A certificate authority and its works. All keys are RSA with 2048 bits.
 */
export interface Certificates {
  /** The authority's certificate, PEM. */
  readonly ca: string
  /** For `localhost`, `127.0.0.1` and `::1`. */
  readonly server: CertificateAndKey
  /** Its common name is `test-client`. */
  readonly client: CertificateAndKey
  /** For the same names as `server`, valid until yesterday. */
  readonly expiredServer: CertificateAndKey
  readonly expiredClient: CertificateAndKey
  /** Valid, for `other.example` only. */
  readonly otherHostServer: CertificateAndKey
  /** An authority that has nothing to do with `ca`, and what it signed. */
  readonly otherCa: string
  readonly otherCaServer: CertificateAndKey
  readonly otherCaClient: CertificateAndKey
  /** Signs another certificate by `ca`. */
  readonly issue: (request: CertificateRequest) => CertificateAndKey
}

interface KeyPair {
  readonly privateKey: forge.pki.rsa.PrivateKey
  readonly publicKey: forge.pki.rsa.PublicKey
  readonly pem: string
}

interface Authority {
  readonly name: string
  readonly keys: KeyPair
  readonly cert: string
}

const hour = 3_600_000
const day = 24 * hour
const loopback = ["localhost", "127.0.0.1", "::1"]

// Node makes the keys: node-forge needs seconds for one in plain JavaScript.
const makeKeys: Effect.Effect<KeyPair> = Effect.map(
  Effect.promise(() =>
    promisify(generateKeyPair)("rsa", {
      modulusLength: 2048,
      publicKeyEncoding: { type: "spki", format: "pem" },
      privateKeyEncoding: { type: "pkcs1", format: "pem" }
    })
  ),
  ({ privateKey, publicKey }) => ({
    privateKey: forge.pki.privateKeyFromPem(privateKey),
    publicKey: forge.pki.publicKeyFromPem(publicKey),
    pem: privateKey
  })
)

/**
 * Makes an authority and all certificates; takes about half a second.
 */
export const make: Effect.Effect<Certificates> = Effect.gen(function*() {
  // Real time in any case: TLS knows no TestClock.
  const now = Clock.Clock.defaultValue().currentTimeMillisUnsafe()
  const [caKeys, otherCaKeys, serverKeys, clientKeys] = yield* Effect.all([makeKeys, makeKeys, makeKeys, makeKeys], {
    concurrency: "unbounded"
  })
  let serial = 1
  const authority = (name: string, keys: KeyPair): Authority => {
    const certificate = blank(name, keys, serial++, now - hour, now + day)
    certificate.setIssuer(subject(name))
    certificate.setExtensions([
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
      { name: "subjectKeyIdentifier" }
    ])
    certificate.sign(keys.privateKey, forge.md.sha256.create())
    return { name, keys, cert: forge.pki.certificateToPem(certificate) }
  }
  const sign = (by: Authority, keys: KeyPair, request: CertificateRequest): CertificateAndKey => {
    const { commonName, notAfter, notBefore, subjectAltNames, usage } = request
    const certificate = blank(commonName, keys, serial++, notBefore ?? now - hour, notAfter ?? now + day)
    certificate.setIssuer(subject(by.name))
    certificate.setExtensions([
      { name: "basicConstraints", cA: false, critical: true },
      { name: "keyUsage", digitalSignature: true, keyEncipherment: true, critical: true },
      { name: "extKeyUsage", serverAuth: usage === "server", clientAuth: usage === "client" },
      ...(subjectAltNames === undefined ? [] : [{ name: "subjectAltName", altNames: subjectAltNames.map(toAltName) }])
    ])
    certificate.sign(by.keys.privateKey, forge.md.sha256.create())
    return { cert: forge.pki.certificateToPem(certificate), key: keys.pem }
  }
  const ca = authority("effect-mqttx test CA", caKeys)
  const otherCa = authority("effect-mqttx other test CA", otherCaKeys)
  const server: CertificateRequest = { commonName: "localhost", subjectAltNames: loopback, usage: "server" }
  const client: CertificateRequest = { commonName: "test-client", usage: "client" }
  const past = { notBefore: now - 3 * day, notAfter: now - day }
  return {
    ca: ca.cert,
    server: sign(ca, serverKeys, server),
    client: sign(ca, clientKeys, client),
    expiredServer: sign(ca, serverKeys, { ...server, ...past }),
    expiredClient: sign(ca, clientKeys, { ...client, ...past }),
    otherHostServer: sign(ca, serverKeys, {
      ...server,
      commonName: "other.example",
      subjectAltNames: ["other.example"]
    }),
    otherCa: otherCa.cert,
    otherCaServer: sign(otherCa, serverKeys, server),
    otherCaClient: sign(otherCa, clientKeys, client),
    issue: (request) => sign(ca, request.usage === "server" ? serverKeys : clientKeys, request)
  }
})

const subject = (commonName: string): Array<forge.pki.CertificateField> => [{ name: "commonName", value: commonName }]

const blank = (
  commonName: string,
  keys: KeyPair,
  serial: number,
  notBefore: number,
  notAfter: number
): forge.pki.Certificate => {
  const certificate = forge.pki.createCertificate()
  certificate.publicKey = keys.publicKey
  certificate.serialNumber = serial.toString(16).padStart(2, "0")
  certificate.validity.notBefore = new Date(notBefore)
  certificate.validity.notAfter = new Date(notAfter)
  certificate.setSubject(subject(commonName))
  return certificate
}

// The numbers are the tags of GeneralName (RFC 5280, 4.2.1.6).
const toAltName = (name: string): { readonly type: number; readonly value?: string; readonly ip?: string } =>
  name.includes(":") || /^[0-9.]+$/.test(name) ? { type: 7, ip: name } : { type: 2, value: name }
