/**
 * Certificates for tests, generated at run time: a certificate authority, certificates that it signed, and certificates
 * that a peer must refuse. Needs Node.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import forge from "node-forge"
import { generateKeyPair } from "node:crypto"
import { promisify } from "node:util"

/**
 * A certificate with its private key, both PEM.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface CertificateAndKey {
  /** The certificate, PEM. */
  readonly cert: string
  /** The private key, PEM. */
  readonly key: string
}

/**
 * The content of a certificate to issue.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
 */
export interface CertificateRequest {
  /** The common name of its subject. */
  readonly commonName: string
  /** DNS names and IP addresses. */
  readonly subjectAltNames?: ReadonlyArray<string>
  /** What it may be used for. */
  readonly usage: "server" | "client"
  /** Milliseconds since the epoch. Default: valid from an hour ago to 60 days ahead. */
  readonly notBefore?: number
  /** Milliseconds since the epoch. Default: 60 days ahead. */
  readonly notAfter?: number
}

/**
 * A certificate authority and its certificates. All keys are RSA with 2048 bits.
 *
 * @stability stable
 * @category models
 * @since 0.1.0
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
  /** A client's, valid until yesterday. */
  readonly expiredClient: CertificateAndKey
  /** Listed in `revocationList`, and valid otherwise. */
  readonly revokedClient: CertificateAndKey
  /** For the names of `server`; listed in `revocationList`, and valid otherwise. */
  readonly revokedServer: CertificateAndKey
  /** The certificates that `ca` has revoked, as a CRL, PEM. */
  readonly revocationList: string
  /** Valid, for `other.example` only. */
  readonly otherHostServer: CertificateAndKey
  /** An authority unrelated to `ca`, and a certificate that it signed. */
  readonly otherCa: string
  /** A server's, for the same names as `server`, signed by `otherCa`. */
  readonly otherCaServer: CertificateAndKey
  /** A client's, signed by `otherCa`. */
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
// Longer than the time before the end in which sessions report a certificate.
const validity = 60 * day
const loopback = ["localhost", "127.0.0.1", "::1"]

// Node generates the keys: node-forge needs seconds for one in plain JavaScript.
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
 *
 * **Example** (Issuing a certificate)
 *
 * ```ts
 * import { Certificates } from "@effect-mqttx/testing"
 * import { Effect } from "effect"
 *
 * export const program = Effect.gen(function*() {
 *   const { issue } = yield* Certificates.make
 *   return issue({ commonName: "plant", usage: "client" })
 * })
 * ```
 *
 * @stability stable
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<Certificates> = Effect.gen(function*() {
  // Always real time: TLS does not use the TestClock.
  const now = Clock.Clock.defaultValue().currentTimeMillisUnsafe()
  const [caKeys, otherCaKeys, serverKeys, clientKeys] = yield* Effect.all([makeKeys, makeKeys, makeKeys, makeKeys], {
    concurrency: "unbounded"
  })
  let serial = 1
  const authority = (name: string, keys: KeyPair): Authority => {
    const certificate = blank(name, keys, serial++, now - hour, now + validity)
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
    const certificate = blank(commonName, keys, serial++, notBefore ?? now - hour, notAfter ?? now + validity)
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
  const revokedClient = sign(ca, clientKeys, { ...client, commonName: "revoked-client" })
  const revokedServer = sign(ca, serverKeys, server)
  return {
    ca: ca.cert,
    server: sign(ca, serverKeys, server),
    client: sign(ca, clientKeys, client),
    expiredServer: sign(ca, serverKeys, { ...server, ...past }),
    expiredClient: sign(ca, clientKeys, { ...client, ...past }),
    revokedClient,
    revokedServer,
    revocationList: revoke(ca, [revokedClient.cert, revokedServer.cert], now),
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

/** A revocation list of version 1 (RFC 5280, 5.1), which node-forge does not make. */
const revoke = ({ cert, keys }: Authority, revoked: ReadonlyArray<string>, now: number): string => {
  const { asn1, pki } = forge
  const sequence = (...values: Array<forge.asn1.Asn1>): forge.asn1.Asn1 =>
    asn1.create(asn1.Class.UNIVERSAL, asn1.Type.SEQUENCE, true, values)
  const primitive = (type: forge.asn1.Type, bytes: string): forge.asn1.Asn1 =>
    asn1.create(asn1.Class.UNIVERSAL, type, false, bytes)
  const time = (at: number): forge.asn1.Asn1 => primitive(asn1.Type.UTCTIME, asn1.dateToUtcTime(new Date(at)) as string)
  const algorithm = sequence(
    primitive(asn1.Type.OID, asn1.oidToDer(pki.oids["sha256WithRSAEncryption"]!).getBytes()),
    primitive(asn1.Type.NULL, "")
  )
  const list = sequence(
    algorithm,
    pki.distinguishedNameToAsn1(pki.certificateFromPem(cert).subject),
    time(now - hour),
    time(now + day),
    sequence(...revoked.map((pem) =>
      sequence(
        primitive(asn1.Type.INTEGER, forge.util.hexToBytes(pki.certificateFromPem(pem).serialNumber)),
        time(now - hour)
      )
    ))
  )
  const digest = forge.md.sha256.create().update(asn1.toDer(list).getBytes())
  // The leading byte counts the unused bits of the last one.
  const signature = primitive(asn1.Type.BITSTRING, `\0${keys.privateKey.sign(digest)}`)
  return forge.pem.encode({ type: "X509 CRL", body: asn1.toDer(sequence(list, algorithm, signature)).getBytes() })
}

// The numbers are the tags of GeneralName (RFC 5280, 4.2.1.6).
const toAltName = (name: string): { readonly type: number; readonly value?: string; readonly ip?: string } =>
  name.includes(":") || /^[0-9.]+$/.test(name) ? { type: 7, ip: name } : { type: 2, value: name }
