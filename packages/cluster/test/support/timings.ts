/**
 * Times of the nodes in these tests: those of `ClusterTimings.failover`, doubled, because other tests run on the same
 * machine, and a node that stalls for three seconds loses its sessions. The tests of the gateway have the times as they
 * are.
 */
import { ClusterTimings } from "@effect-mqttx/cluster"
import { Record } from "effect"

const { shardsPerGroup, ...times } = ClusterTimings.failover

export const sharding = { ...Record.map(times, (milliseconds) => milliseconds * 2), shardsPerGroup }

export const store = { ...ClusterTimings.store, leaseDuration: ClusterTimings.store.leaseDuration * 2 }
