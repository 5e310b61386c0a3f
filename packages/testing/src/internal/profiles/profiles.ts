/**
 * The profiles by their names.
 */
import { awsIot } from "./awsIot.ts"
import { azureEventGrid } from "./azureEventGrid.ts"
import { azureIotHub } from "./azureIotHub.ts"
import type { BrokerProfile, ProfileName } from "./contract.ts"
import { emqx } from "./emqx.ts"
import { hivemqCloud } from "./hivemqCloud.ts"
import { mosquitto20 } from "./mosquitto20.ts"
import { mosquitto21 } from "./mosquitto21.ts"
import { nats } from "./nats.ts"
import { rabbitmq } from "./rabbitmq.ts"

export const profiles: { readonly [Name in ProfileName]: BrokerProfile } = {
  "aws-iot": awsIot,
  "azure-event-grid": azureEventGrid,
  "azure-iot-hub": azureIotHub,
  "hivemq-cloud": hivemqCloud,
  emqx,
  rabbitmq,
  nats,
  "mosquitto-2.0": mosquitto20,
  "mosquitto-2.1": mosquitto21
}
