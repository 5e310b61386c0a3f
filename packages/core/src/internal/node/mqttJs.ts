/**
 * The connection options for MQTT.js on Node, besides the address: TLS, and the headers and limits of a WebSocket. It
 * observes how the upgrade of a WebSocket ends, and which certificate is refused. Called by `MqttJs` through the
 * platform's transport.
 */
import * as Redacted from "effect/Redacted"
import type * as Http from "node:http"
import * as Tls from "node:tls"
import type { WebSocket } from "ws"
import type { MqttErrorReason } from "../../MqttError.ts"
import type { TransportRequest } from "../../Transport.ts"
import type { Duplex, Opening } from "../mqttJs/duplexStream.ts"
import type { PlatformOptions } from "../mqttJs/platform.ts"
import { watchCertificate } from "./clientCertificate.ts"
import { checkPins } from "./pins.ts"
import { tlsConnectionOptions } from "./tlsOptions.ts"

// As for the library's own WebSockets: the bytes that a server may join with a packet of the largest size.
const messageSlack = 65_536

// RFC 6455, 7.4.1: data of a kind that the endpoint does not accept.
const unsupportedData = 1003

export const mqttJsOptions: PlatformOptions = (request, wsOptions, opening) => {
  const { address, tls } = request
  switch (address.protocol) {
    case "tls":
      return { ...tlsConnectionOptions(tls, address.host) }
    case "ws":
    case "wss":
      return { wsOptions: webSocketOptions(request, wsOptions, opening) }
    default:
      return {}
  }
}

export const mqttJsRefusal = (_request: TransportRequest): MqttErrorReason | undefined => undefined

/** Observes the stream itself, if it is one of Node's. */
export const watchStream = (stream: Duplex, opening: Opening, { tls }: TransportRequest): void => {
  if (stream instanceof Tls.TLSSocket) {
    watchTls(stream, opening)
    checkPins(stream, tls)
  }
}

export const canPauseStreams = true

const watchTls = (socket: Tls.TLSSocket, opening: Opening): void => {
  const { accepted, explain } = watchCertificate(socket)
  opening.onData = accepted
  opening.explain = explain
}

const webSocketOptions = (
  { address, maximumPacketSize, tls, webSocket }: TransportRequest,
  wsOptions: Readonly<Record<string, unknown>>,
  opening: Opening
): Readonly<Record<string, unknown>> => {
  const headers: Record<string, unknown> = { ...wsOptions["headers"] as object | undefined }
  for (const [name, value] of Object.entries(webSocket?.headers ?? {})) {
    headers[name] = Redacted.value(value)
  }
  opening.isAwaited = true
  return {
    ...wsOptions,
    perMessageDeflate: false,
    maxPayload: maximumPacketSize + messageSlack,
    headers,
    finishRequest: (upgrade: Http.ClientRequest, socket: WebSocket) => {
      watchUpgrade(upgrade, socket, opening, tls)
      const finish = wsOptions["finishRequest"]
      if (typeof finish === "function") {
        finish(upgrade, socket)
      } else {
        upgrade.end()
      }
    },
    ...(address.protocol === "wss" ? tlsConnectionOptions(tls, address.host) : undefined)
  }
}

const watchUpgrade = (
  upgrade: Http.ClientRequest,
  webSocket: WebSocket,
  opening: Opening,
  tls: TransportRequest["tls"]
): void => {
  upgrade.once("socket", (socket) => {
    if (socket instanceof Tls.TLSSocket) {
      watchTls(socket, opening)
      checkPins(socket, tls)
    }
  })
  upgrade.once("response", (response) => {
    opening.status = response.statusCode
  })
  // The listener of `ws` runs before this one, and has refused an invalid answer.
  upgrade.once("upgrade", () => {
    if (webSocket.readyState === webSocket.OPEN) {
      opening.onReady()
    }
  })
  // Runs before the stream's own listener, which does not distinguish the kinds of frames.
  webSocket.on("message", (_data, isBinary) => {
    if (!isBinary) {
      // Only binary frames carry MQTT [MQTT5-6.0.0-1].
      webSocket.close(unsupportedData)
      opening.onFailure(new Error("the server sent a WebSocket text frame"))
    }
  })
}
