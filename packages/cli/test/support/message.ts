/**
 * A message as a session receives it.
 */
import { Message } from "@effect-mqttx/core"

export const message = (
  payload: string,
  fields: Partial<Pick<Message.MessageFields, "dup" | "receivedAt" | "topic">> = {}
): Message.Message =>
  new Message.Message({
    topic: "t",
    payload: new TextEncoder().encode(payload),
    qos: 1,
    retain: false,
    dup: false,
    properties: {},
    session: "plant",
    receivedAt: 0,
    ...fields
  })
