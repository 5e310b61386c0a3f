/**
 * Reads the certificates of an open TLS socket: that of the server, and that of this side. It verifies nothing, because
 * Node has done so. Sockets and WebSockets call it once for each connection.
 */
import type { X509Certificate } from "node:crypto"
import * as Tls from "node:tls"
import type { StreamCertificate } from "../../Transport.ts"
import { cleanText } from "../peerText.ts"

/**
 * The certificates of a socket; none without TLS.
 */
export const certificatesOf = (socket: unknown): ReadonlyArray<StreamCertificate> => {
  if (!(socket instanceof Tls.TLSSocket)) return []
  const certificates: Array<StreamCertificate> = []
  add(certificates, "server", socket.getPeerX509Certificate())
  add(certificates, "client", socket.getX509Certificate())
  return certificates
}

const add = (
  certificates: Array<StreamCertificate>,
  owner: StreamCertificate["owner"],
  certificate: X509Certificate | undefined
): void => {
  if (certificate === undefined) return
  const expiresAt = Date.parse(certificate.validTo)
  // Node writes a subject line by line. A certificate may have none.
  const subject = cleanText((certificate.subject ?? "").replaceAll("\n", ", "))
  if (!Number.isNaN(expiresAt)) certificates.push({ owner, subject, expiresAt })
}
