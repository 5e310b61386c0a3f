/**
 * The HTTP status of each reason, for programs that serve HTTP and fail with an MQTT failure. A status of 400 or above
 * blames the HTTP client; a status of 500 or above blames the program or its server.
 */

/** By the tag of the reason. Some reasons have a more exact status, see `refusalStatus`. */
export const httpStatuses = {
  BadCredentials: 401,
  ClientIdentifierRejected: 502,
  Closed: 503,
  ConnectionLost: 503,
  ConnectionRefused: 503,
  Dropped: 503,
  DuplicateForwarder: 409,
  DuplicateSession: 409,
  Expired: 504,
  ForwarderFailed: 500,
  ForwarderNotFound: 404,
  Indeterminate: 504,
  InvalidFilter: 400,
  InvalidOptions: 400,
  InvalidPayload: 400,
  InvalidTopic: 400,
  NotAuthorized: 403,
  NotSupported: 501,
  PacketTooLarge: 413,
  PoisonMessage: 502,
  ProtocolViolation: 502,
  ProxyFailed: 503,
  PublishRefused: 502,
  QueueFull: 503,
  RequestFailed: 502,
  ServerMoved: 503,
  SessionLost: 503,
  SessionNotFound: 404,
  SessionTakenOver: 503,
  StorageFailed: 503,
  SubscriptionConflict: 409,
  SubscriptionRefused: 502,
  Timeout: 504,
  TlsFailure: 502,
  Unexpected: 500,
  UnsubscribeRefused: 502,
  UnsupportedVersion: 502
} as const

/** The HTTP status for the server's reason code about a refused message or subscription (MQTT 2.4). */
export const refusalStatus = (reasonCode: number): number => {
  switch (reasonCode) {
    case 0x87:
      return 403
    case 0x8f:
    case 0x90:
    case 0x99:
      return 400
    case 0x95:
      return 413
    case 0x97:
      return 429
    default:
      return 502
  }
}
