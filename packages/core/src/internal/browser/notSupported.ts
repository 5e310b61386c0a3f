/**
 * Detects options that a browser cannot apply, because it manages certificates, trust and headers itself. Called by the
 * transports of the browser.
 */
import { type MqttErrorReason, NotSupported } from "../../MqttError.ts"
import * as ServerAddress from "../../ServerAddress.ts"
import type { TlsOptions } from "../../SessionOptions.ts"
import type { TransportRequest } from "../../Transport.ts"

/**
 * Why a browser cannot connect as the request asks; undefined: it can.
 */
export const notSupported = (request: TransportRequest): MqttErrorReason | undefined => {
  const { address, tls, webSocket } = request
  if (address.protocol !== "ws" && address.protocol !== "wss") {
    return new NotSupported({
      feature: `the protocol of ${ServerAddress.format(address)}`,
      detail: "a browser connects by ws:// and wss:// only"
    })
  }
  if (tls !== undefined && demandsMaterial(tls)) {
    return new NotSupported({ feature: "the option tls", detail: "the browser decides about certificates and trust" })
  }
  if (Object.keys(webSocket?.headers ?? {}).length > 0) {
    return new NotSupported({ feature: "the option webSocket.headers", detail: "a browser sends its own headers" })
  }
  if (request.proxy?.url !== undefined) {
    return new NotSupported({ feature: "the option proxy.url", detail: "a browser uses the proxy of its own settings" })
  }
  return undefined
}

// Options that match what a browser does anyway are accepted.
const demandsMaterial = (tls: TlsOptions): boolean =>
  tls.insecureSkipVerify || tls.minVersion !== "TLSv1.2" ||
  [
    tls.ca,
    tls.cert,
    tls.key,
    tls.pfx,
    tls.passphrase,
    tls.servername,
    tls.alpn,
    tls.ciphers,
    tls.crl,
    tls.pins
  ].some((value) => value !== undefined)
