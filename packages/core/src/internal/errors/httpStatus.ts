/**
 * The HTTP status of a refusal, for programs that serve HTTP and fail with an MQTT failure. The other reasons state
 * their status in their classes.
 */

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
