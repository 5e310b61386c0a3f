/**
 * Other forms of a certificate and its key.
 */
import type { CertificateAndKey } from "@effect-mqttx/testing/Certificates"
import forge from "node-forge"

/** Both in one PKCS #12 archive. */
export const archive = (identity: CertificateAndKey, passphrase: string): Uint8Array => {
  const asn1 = forge.pkcs12.toPkcs12Asn1(
    forge.pki.privateKeyFromPem(identity.key),
    [forge.pki.certificateFromPem(identity.cert)],
    passphrase,
    { algorithm: "aes256" }
  )
  return new Uint8Array(Buffer.from(forge.asn1.toDer(asn1).getBytes(), "binary"))
}

/** The key, encrypted. */
export const encrypted = (identity: CertificateAndKey, passphrase: string): string =>
  forge.pki.encryptRsaPrivateKey(forge.pki.privateKeyFromPem(identity.key), passphrase, { algorithm: "aes256" })
