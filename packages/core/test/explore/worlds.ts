/**
 * The worlds that are explored, each small enough to be seen whole in seconds: together they have every QoS in both
 * directions, both versions of the protocol, consumers with and without names, and each fault with each of the others.
 */
import { named, type Plan, plan, unnamed } from "./plan.ts"

const all = { cuts: 1, crashes: 1 } as const

export const worlds: ReadonlyArray<Plan> = [
  plan("publish-qos1", { toServer: [1, 1], budget: all }),
  plan("publish-qos2", { toServer: [2, 2], budget: all }),
  plan("publish-mixed-311", { protocolVersion: 4, toServer: [2, 1], budget: all }),
  plan("publish-qos0", { durable: false, toServer: [0, 1], budget: { cuts: 2 } }),
  plan("publish-qos0-stored", { toServer: [0, 1], budget: all }),
  plan("publish-limits", {
    durable: false,
    toServer: [2, 1],
    budget: { cuts: 2 },
    limits: ["receiveMaximum1", "maximumQoS1", "maximumQoS0", "smallPackets"]
  }),
  plan("publish-limits-restart", { toServer: [2, 2], budget: all, limits: ["maximumQoS1"] }),
  plan("publish-session-lost", { toServer: [2, 2], budget: { cuts: 2, losses: 1 }, durable: false }),
  plan("publish-session-lost-limits", {
    toServer: [2, 1],
    budget: { cuts: 1, losses: 1 },
    limits: ["maximumQoS1"],
    durable: false
  }),
  plan("publish-session-lost-restart", { toServer: [2], budget: { cuts: 1, crashes: 1, losses: 1 } }),
  plan("publish-poison", { durable: false, toServer: [1, 1], poison: true }),
  plan("publish-poison-qos2", { toServer: [2, 1], poison: true, budget: { crashes: 1 } }),
  plan("publish-clock", { durable: false, toServer: [1, 1], budget: { cuts: 1, jumps: 1 } }),
  plan("consume-qos1", { toClient: [1, 1], slots: unnamed(1), budget: { crashes: 1 } }),
  plan("consume-qos1-cuts", { toClient: [1, 1], slots: unnamed(1), budget: { cuts: 1 } }),
  plan("consume-qos1-cut-and-crash", { toClient: [1], slots: unnamed(1), budget: all }),
  plan("consume-qos2", { toClient: [2, 2], slots: unnamed(1), budget: { crashes: 1 } }),
  plan("consume-qos2-cuts", { durable: false, toClient: [2, 2], slots: unnamed(1), budget: { cuts: 2 } }),
  plan("consume-qos2-cut-and-crash", { toClient: [2], slots: unnamed(1), budget: all }),
  plan("consume-mixed-311", {
    protocolVersion: 4,
    durable: false,
    toClient: [2, 1],
    slots: unnamed(1),
    budget: { cuts: 2 }
  }),
  plan("consume-mixed-311-restart", {
    protocolVersion: 4,
    toClient: [2, 1],
    slots: unnamed(1),
    budget: { crashes: 1 }
  }),
  plan("consume-qos0", { durable: false, toClient: [0, 0], slots: unnamed(2), budget: { cuts: 1, leaves: 1 } }),
  plan("consume-receive-maximum", {
    durable: false,
    toClient: [2, 1],
    slots: unnamed(1),
    budget: { cuts: 2 },
    options: { receiveMaximum: 1 }
  }),
  plan("consume-session-lost", { toClient: [2], slots: unnamed(1), budget: { cuts: 1, crashes: 1, losses: 1 } }),
  plan("consume-session-lost-twice", {
    durable: false,
    toClient: [2, 1],
    slots: unnamed(1),
    budget: { cuts: 2, losses: 1 }
  }),
  plan("share-one", { toClient: [1, 2], slots: unnamed(1), budget: { leaves: 1, ends: 1 } }),
  plan("share-two-qos1", { toClient: [1], slots: unnamed(2), budget: { cuts: 1, leaves: 2 } }),
  plan("share-two-qos2", { toClient: [2], slots: unnamed(2), budget: { leaves: 2 } }),
  plan("share-two-qos2-cuts", { durable: false, toClient: [2], slots: unnamed(2), budget: { cuts: 1, leaves: 1 } }),
  plan("share-two-311", { protocolVersion: 4, toClient: [1], slots: unnamed(2), budget: { cuts: 1, leaves: 1 } }),
  plan("share-two-messages", { durable: false, toClient: [1, 2], slots: unnamed(2), budget: { leaves: 1 } }),
  plan("share-two-restart", { toClient: [1], slots: unnamed(2), budget: { crashes: 1, leaves: 1 } }),
  plan("share-three", { durable: false, toClient: [1], slots: unnamed(3), budget: { leaves: 2 } }),
  plan("share-hold", { durable: false, toClient: [1], slots: unnamed(2), budget: { leaves: 2, waits: 1 } }),
  plan("share-clock", { durable: false, toClient: [1], slots: unnamed(2), budget: { leaves: 2, jumps: 1 } }),
  plan("named-qos1", { toClient: [1], slots: named("a", "b"), budget: { crashes: 1 } }),
  plan("named-qos1-leave", { toClient: [1], slots: named("a", "b"), budget: { cuts: 1, leaves: 1 } }),
  plan("named-qos2", { toClient: [2], slots: named("a", "b"), budget: { crashes: 1 } }),
  plan("named-qos2-leave", { toClient: [2], slots: named("a", "b"), budget: { leaves: 2 } }),
  plan("named-qos2-cuts", { durable: false, toClient: [2], slots: named("a", "b"), budget: { cuts: 1, leaves: 1 } }),
  plan("named-311", { protocolVersion: 4, toClient: [1], slots: named("a", "b"), budget: { ends: 1, leaves: 1 } }),
  plan("named-and-unnamed", { toClient: [2], slots: [...named("a"), ...unnamed(1)], budget: { leaves: 1, ends: 1 } }),
  plan("named-three", { durable: false, toClient: [2], slots: named("a", "b", "c"), budget: { leaves: 1 } }),
  plan("named-two-messages", { toClient: [2, 1], slots: named("a"), budget: { ends: 1, leaves: 1 } }),
  plan("named-forgotten", { toClient: [2], slots: named("a", "b"), budget: { forgets: 1, leaves: 1 } }),
  plan("named-session-lost", { toClient: [2], slots: named("a"), budget: { crashes: 2, losses: 1 } }),
  plan("joining", {
    durable: false,
    toClient: [1],
    slots: [{ initial: false }, { initial: false }],
    budget: { cuts: 1, leaves: 1 }
  }),
  plan("joining-named", { toClient: [2], slots: [{ initial: false, name: "a" }], budget: { crashes: 1, leaves: 1 } }),
  plan("both-ways", { toServer: [2], toClient: [2], slots: unnamed(1), budget: { cuts: 1 } }),
  plan("both-ways-restart", { toServer: [1], toClient: [1], slots: named("a"), budget: { crashes: 1 } })
]
