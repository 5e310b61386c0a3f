/**
 * The HTTP status of each reason, for programs that serve HTTP and fail with what MQTT failed with. The one who asked
 * is to blame for statuses from 400 on, the program or its server for those from 500 on.
 */

/** By the tag of the reason; some reasons know better, see `refusalStatus`. */
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

/** What the server's reason code says about a refused message or subscription (MQTT 2.4). */
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
