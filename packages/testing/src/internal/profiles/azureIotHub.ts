/**
 * Azure IoT Hub, which is no broker: devices publish to its own topics and receive from others, and nothing that one
 * device publishes reaches another one.
 *
 * Source: [M] https://learn.microsoft.com/azure/iot/iot-mqtt-connect-to-iot-hub
 */
import { type BrokerProfile, disconnects } from "./contract.ts"

export const azureIotHub: BrokerProfile = {
  // [M] MQTT 3.1.1. What it has of MQTT 5 is a preview.
  versions: [4],
  limits: {
    // [M] "doesn't support QoS 2 messages [...] closes the network connection"; subscriptions are granted QoS 1.
    maximumQoS: 1,
    // [M] 256 KB.
    maximumPacketSize: 262_144
  },
  behaviour: {},
  quotas: {
    // [M] ClientId is the device id.
    assignsClientIds: false,
    // [M] 1177 seconds.
    keepAlive: { minimum: 0, maximum: 1177 },
    // [M] "A device can only subscribe to five topics at a time."
    subscriptions: { maximum: 5, reasonCode: 0x80 },
    publishAboveMaximumQoS: { 4: disconnects(0x9b) },
    // [M] "it only supports the documented topic names and topic filters".
    topics: {
      publish: (device) => [
        `devices/${device}/messages/events/#`,
        "$iothub/twin/GET/#",
        "$iothub/twin/PATCH/properties/reported/#",
        "$iothub/methods/res/#"
      ],
      subscribe: (device) => [
        `devices/${device}/messages/devicebound/#`,
        "$iothub/twin/res/#",
        "$iothub/twin/PATCH/properties/desired/#",
        "$iothub/methods/POST/#"
      ]
    }
  }
}
