/**
 * Options that a browser cannot follow: certificates, trust and headers are its own business. The transports of the
 * browser call it.
 */
import { type MqttErrorReason, NotSupported } from "../../MqttError.ts"
import * as ServerAddress from "../../ServerAddress.ts"
import type { TlsOptions } from "../../SessionOptions.ts"
import type { TransportRequest } from "../../Transport.ts"

/**
 * Why a browser cannot connect as the request asks, if it cannot.
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
  return undefined
}

// What a browser does by itself may be asked for.
const demandsMaterial = (tls: TlsOptions): boolean =>
  tls.insecureSkipVerify || tls.minVersion !== "TLSv1.2" ||
  [tls.ca, tls.cert, tls.key, tls.pfx, tls.passphrase, tls.servername, tls.alpn].some((value) => value !== undefined)
