/**
 * The meaning of the error codes of sockets, TLS and WebSocket upgrades. Pure tables without any import, so that both
 * the error classes and the classification can use them.
 */

/**
 * TLS verification codes of OpenSSL as Node reports them in `error.code`. Another attempt succeeds only after a change
 * of certificates, trust, names or clocks.
 */
const verificationCodes: ReadonlySet<string> = new Set([
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_CRL",
  "UNABLE_TO_DECRYPT_CERT_SIGNATURE",
  "UNABLE_TO_DECRYPT_CRL_SIGNATURE",
  "UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY",
  "CERT_SIGNATURE_FAILURE",
  "CRL_SIGNATURE_FAILURE",
  "CERT_NOT_YET_VALID",
  "CERT_HAS_EXPIRED",
  "CRL_NOT_YET_VALID",
  "CRL_HAS_EXPIRED",
  "ERROR_IN_CERT_NOT_BEFORE_FIELD",
  "ERROR_IN_CERT_NOT_AFTER_FIELD",
  "ERROR_IN_CRL_LAST_UPDATE_FIELD",
  "ERROR_IN_CRL_NEXT_UPDATE_FIELD",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "CERT_CHAIN_TOO_LONG",
  "CERT_REVOKED",
  "INVALID_CA",
  "PATH_LENGTH_EXCEEDED",
  "INVALID_PURPOSE",
  "CERT_UNTRUSTED",
  "CERT_REJECTED",
  "HOSTNAME_MISMATCH",
  "EPROTO"
])

/**
 * TLS failures of one handshake or record, not caused by the configuration of either side.
 */
const passingTlsCodes: ReadonlySet<string> = new Set([
  "ERR_TLS_HANDSHAKE_TIMEOUT",
  "ERR_TLS_SESSION_ATTACK",
  "ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR",
  "ERR_SSL_TLSV1_ALERT_USER_CANCELLED",
  "ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
  "ERR_SSL_SSLV3_ALERT_BAD_RECORD_MAC",
  "ERR_SSL_BAD_RECORD_TYPE",
  "ERR_SSL_UNEXPECTED_EOF_WHILE_READING"
])

/**
 * Whether an error code comes from TLS: a verification code, `ERR_TLS_...`, `ERR_SSL_...` or `ERR_OSSL_...`.
 */
export const isTlsCode = (code: string): boolean =>
  verificationCodes.has(code) || code.startsWith("ERR_TLS_") || code.startsWith("ERR_SSL_") ||
  code.startsWith("ERR_OSSL_")

/**
 * Whether a TLS failure may be temporary. A failure without a code may be: the peer left during the handshake.
 */
export const isTlsTransient = (code: string | undefined): boolean => code === undefined || passingTlsCodes.has(code)

/**
 * Socket error codes that a retry alone cannot resolve: no right to use the address, an impossible address, or
 * `Transport.layerForbidden`.
 */
const permanentSocketCodes: ReadonlySet<string> = new Set([
  "EACCES",
  "EPERM",
  "EINVAL",
  "EAFNOSUPPORT",
  "ENOTSOCK",
  "ENAMETOOLONG",
  "ERR_INVALID_URL",
  "ERR_NETWORK_FORBIDDEN",
  "ERR_SOCKET_BAD_PORT"
])

/**
 * Whether a failure to open a socket may be temporary. Most are: servers restart, name services and routes recover, and
 * a Unix socket (`ENOENT`) appears when its server starts.
 */
export const isSocketTransient = (code: string | undefined): boolean =>
  code === undefined || !permanentSocketCodes.has(code)

/**
 * Whether a refused WebSocket upgrade may be temporary. Timeouts, rate limits and server errors are. Redirects and all
 * other answers (wrong path, wrong credentials, no WebSocket there) are not.
 */
export const isHttpTransient = (status: number): boolean =>
  status === 408 || status === 425 || status === 429 || status >= 500

/**
 * Replies of a SOCKS proxy that only a change of its rules or of the request resolves (RFC 1928, 6).
 */
const permanentReplies: ReadonlySet<string> = new Set(["notAllowed", "commandNotSupported", "addressTypeNotSupported"])

/**
 * Whether a SOCKS proxy's refusal may be temporary. Most are: they say that it does not reach the server now.
 */
export const isReplyTransient = (reply: string | undefined): boolean =>
  reply === undefined || !permanentReplies.has(reply)

/**
 * The error code of a thrown value: its own `code`, or that of the errors inside an `AggregateError` (a host with
 * several addresses, none of which answered), or that of its `cause`.
 */
export const errorCodeOf = (error: unknown): string | undefined => {
  let current = error
  // A chain of causes can be circular. No driver makes more than eight links.
  for (let depth = 0; depth < 8; depth++) {
    if (typeof current !== "object" || current === null) {
      return undefined
    }
    if ("code" in current && typeof current.code === "string" && current.code !== "") {
      return current.code
    }
    if ("errors" in current && Array.isArray(current.errors) && current.errors.length > 0) {
      current = current.errors[0]
    } else {
      current = "cause" in current ? current.cause : undefined
    }
  }
  return undefined
}

/**
 * Whether a socket or TLS error code reports a timeout.
 */
export const isTimeoutCode = (code: string | undefined): boolean =>
  code === "ETIMEDOUT" || code === "ESOCKETTIMEDOUT" || code === "ERR_TLS_HANDSHAKE_TIMEOUT"
