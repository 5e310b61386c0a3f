/**
 * The reason codes that the broker sends (MQTT 2.4).
 */
export const noMatchingSubscribers = 0x10
export const noSubscriptionExisted = 0x11
export const malformedPacket = 0x81
export const protocolError = 0x82
export const unsupportedProtocolVersion = 0x84
export const clientIdentifierNotValid = 0x85
export const badUserNameOrPassword = 0x86
export const continueAuthentication = 0x18
export const reAuthenticate = 0x19
export const notAuthorized = 0x87
export const serverUnavailable = 0x88
export const badAuthenticationMethod = 0x8c
export const keepAliveTimeout = 0x8d
export const sessionTakenOver = 0x8e
export const topicFilterInvalid = 0x8f
export const packetIdentifierNotFound = 0x92
export const receiveMaximumExceeded = 0x93
export const topicAliasInvalid = 0x94
export const packetTooLarge = 0x95
export const retainNotSupported = 0x9a
export const qosNotSupported = 0x9b
export const sharedSubscriptionsNotSupported = 0x9e
export const subscriptionIdentifiersNotSupported = 0xa1
export const wildcardSubscriptionsNotSupported = 0xa2

/**
 * The return code of CONNACK on 3.1.1 that is closest to a reason code of MQTT 5 (MQTT 3.1.1, table 3.1).
 */
export const toReturnCode = (reasonCode: number): number => {
  switch (reasonCode) {
    case 0:
      return 0
    case unsupportedProtocolVersion:
      return 1
    case clientIdentifierNotValid:
      return 2
    case badUserNameOrPassword:
      return 4
    case notAuthorized:
    case 0x8a:
      return 5
    // A test may pass the return code of 3.1.1 itself.
    case 1:
    case 2:
    case 3:
    case 4:
    case 5:
      return reasonCode
    default:
      return 3
  }
}
