/**
 * Enhanced authentication as the server sees it (MQTT 4.12): asks the option `authenticateEnhanced` about CONNECT, AUTH
 * and renewals, and sends its answers. `core.ts` and `lifecycle.ts` call it.
 */
import type { Auth, Connect } from "@effect-mqttx/core/Packet"
import type { AuthenticationAnswer } from "./contract.ts"
import * as ReasonCodes from "./reasonCodes.ts"
import { type Connection, type Exchange, send, type State } from "./state.ts"

/** What the caller does next. */
export type AuthenticationStep =
  /** The server waits for the client. */
  | { readonly _tag: "Waiting" }
  | { readonly _tag: "Accepted"; readonly method: string; readonly data: Uint8Array | undefined }
  | { readonly _tag: "Refused"; readonly reasonCode: number }
  | { readonly _tag: "Breach"; readonly detail: string }

/** Judges a CONNECT with an authentication method. */
export const begin = (state: State, connection: Connection, { properties }: Connect): AuthenticationStep => {
  connection.exchange = { method: properties.authenticationMethod!, isRenewal: false, round: 0 }
  return next(state, connection, connection.exchange, properties.authenticationData)
}

/** Judges an AUTH. */
export const onAuth = (state: State, connection: Connection, { properties, reasonCode }: Auth): AuthenticationStep => {
  const method = connection.connect?.properties.authenticationMethod
  if (method === undefined || properties.authenticationMethod !== method) {
    return { _tag: "Breach", detail: "AUTH with another authentication method than CONNECT" }
  }
  const isRenewal = connection.session !== undefined
  if (reasonCode === ReasonCodes.reAuthenticate && isRenewal && connection.exchange === undefined) {
    connection.exchange = { method, isRenewal, round: 0 }
  } else if (reasonCode !== ReasonCodes.continueAuthentication || connection.exchange === undefined) {
    return { _tag: "Breach", detail: `AUTH with reason code ${reasonCode} out of place` }
  }
  return next(state, connection, connection.exchange, properties.authenticationData)
}

const next = (
  state: State,
  connection: Connection,
  exchange: Exchange,
  data: Uint8Array | undefined
): AuthenticationStep => {
  const { isRenewal, method } = exchange
  exchange.round++
  const answer: AuthenticationAnswer = state.options.authenticateEnhanced?.({
    clientId: connection.clientId,
    method,
    data,
    round: exchange.round,
    isRenewal
  }) ?? { _tag: "Refuse", reasonCode: ReasonCodes.badAuthenticationMethod }
  switch (answer._tag) {
    case "Continue":
      sendAuth(state, connection, ReasonCodes.continueAuthentication, method, answer.data)
      return { _tag: "Waiting" }
    case "Accept":
      connection.exchange = undefined
      if (isRenewal) sendAuth(state, connection, 0, method, answer.data)
      return { _tag: "Accepted", method, data: answer.data }
    case "Refuse":
      connection.exchange = undefined
      return { _tag: "Refused", reasonCode: answer.reasonCode }
  }
}

const sendAuth = (
  state: State,
  connection: Connection,
  reasonCode: number,
  authenticationMethod: string,
  data: Uint8Array | undefined
): void =>
  send(state, connection, {
    _tag: "Auth",
    reasonCode,
    properties: { authenticationMethod, ...(data === undefined ? undefined : { authenticationData: data }) }
  })
