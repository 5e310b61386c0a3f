/**
 * Recognises a server that refuses the client's certificate, or the lack of one, after the client's side of the TLS 1.3
 * handshake is done (RFC 8446, 4.4.2.4). Called by sockets and WebSockets when a young connection ends.
 *
 * The client learns of such a refusal by an alert after its own handshake. If the server closed while the first bytes
 * were in flight, there is a reset or a plain end of the connection, which may overtake the alert. So the circumstances
 * decide: the server asked for a certificate, and ended the connection before it sent any data or a session ticket,
 * which it sends only after it has accepted the client's certificate.
 */
import type * as Tls from "node:tls"
import { errorCodeOf, isTlsCode } from "../networkErrors.ts"

/** The error code of such a refusal, in addition to those of OpenSSL's alerts. */
export const refusedCode = "ERR_TLS_CLIENT_CERTIFICATE_REFUSED"

export interface CertificateWatch {
  /** The server has sent data, so it has accepted the handshake. */
  readonly accepted: () => void
  /** What the end of the connection means, with this error or without one. */
  readonly explain: (failure: Error | undefined) => Error | undefined
}

/**
 * Watches a TLS socket whose handshake is not done yet.
 */
export const watchCertificate = (socket: Tls.TLSSocket): CertificateWatch => {
  let isOpen = false
  socket.once("secureConnect", () => {
    // A client shares signature algorithms with the server only when the server has asked for a certificate.
    isOpen = socket.getProtocol() === "TLSv1.3" && socket.getSharedSigalgs().length > 0
  })
  const accepted = (): void => {
    isOpen = false
  }
  socket.once("session", accepted)
  return {
    accepted,
    explain: (failure) =>
      !isOpen || isTlsCode(errorCodeOf(failure) ?? "")
        ? failure
        : Object.assign(
          new Error("the server asked for a client certificate, and closed the connection when it had the answer", {
            cause: failure
          }),
          { code: refusedCode }
        )
  }
}
