/**
 * NATS server from 2.10 on, with JetStream.
 *
 * Sources: [M] https://docs.nats.io/running-a-nats-service/configuration/mqtt
 * [O] https://github.com/nats-io/nats-server/blob/main/server/README-MQTT.md
 *
 * Left out: redeliveries out of order, which [O] lists as known, and the delay of an eviction.
 */
import type { BrokerProfile } from "./contract.ts"

export const nats: BrokerProfile = {
  // [O] "currently supports most of MQTT 3.1.1", with QoS 0, 1 and 2.
  versions: [4],
  limits: {},
  behaviour: {},
  quotas: {
    // [M] A blank is not supported: "NATS will reject it, causing the connection to be closed for published messages,
    // and returning a failure code in the SUBACK packet".
    forbiddenCharacters: " "
  }
}
