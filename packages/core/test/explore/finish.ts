/**
 * What has to come of every state once no more faults happen: everything is delivered and settled, nothing is left
 * behind, and further messages under the same packet identifiers go through.
 */
import { holds } from "./violation.ts"
import { clientId, type World } from "./world.ts"

const rounds = 80

/** One round without faults; consumers take what they get, and places are taken again. */
const round = (world: World): void => {
  if (world.connection === undefined) world.connect(undefined)
  world.settle()
  world.slots.forEach(({ consumer }, index) => {
    if (consumer === undefined) world.join(index)
  })
  world.slots.forEach(({ pending }, index) => {
    while (pending.length > 0) world.acknowledge(index, 0)
  })
}

const isQuiet = (world: World): boolean => {
  const { broker, commit, connection, engine, isAttached, slots, toClient, toServer } = world
  const { stats } = engine
  return connection !== undefined && isAttached && commit === undefined && toClient.length === 0 &&
    toServer.length === 0 && slots.every(({ consumer, pending }) => consumer !== undefined && pending.length === 0) &&
    broker.outstanding() === 0 && stats.queuedMessages === 0 && stats.inflight === 0 && stats.unacknowledged === 0 &&
    stats.pendingSubscriptions === 0
}

const comeToRest = (world: World): void => {
  for (let i = 0; i < rounds; i++) {
    round(world)
    if (isQuiet(world)) {
      round(world)
      if (isQuiet(world)) return
    }
  }
  const { broker, engine: { stats } } = world
  const { inflight, queuedMessages, unacknowledged } = stats
  const figures = { inflight, queuedMessages, unacknowledged, outstanding: broker.outstanding() }
  holds(false, "comes to rest", () => JSON.stringify(figures))
}

/** What nobody can know to be over is kept on purpose: identifiers of messages whose end is unknown. */
const quarantined = ({ outbound, records }: World): number => {
  const stored = [...records.values()].filter((record) => record._tag === "Outbound" && record.state === "quarantined")
  const told = outbound.facts.filter(({ outcome }) => outcome === "Indeterminate" || outcome === "PoisonMessage")
  return Math.max(stored.length, told.length)
}

const checkRest = (world: World): void => {
  const { broker, engine: { stats }, inbound, outbound, plan, records, slots } = world
  const session = broker.session(clientId)!
  holds(stats.unclaimed === 0, "nothing is left behind", () => `${stats.unclaimed} unclaimed messages`)
  const filters = slots.length === 0 ? 0 : 1
  holds(
    session.subscriptions.length === filters,
    "nothing is left behind",
    () => `${session.subscriptions.length} subscriptions at the server for ${slots.length} consumers`
  )
  holds(
    session.unreleased.length <= quarantined(world),
    "nothing is left behind",
    () => `the server has ${session.unreleased.length} identifiers that are not released`
  )
  for (const record of records.values()) {
    const isExpected = record._tag === "Identity" || record._tag === "Subscription" || record._tag === "Consumer" ||
      (record._tag === "Outbound" && record.state === "quarantined")
    holds(isExpected, "nothing is left behind", () => `a record ${JSON.stringify(record)}`)
  }
  outbound.check()
  for (let i = 0; i < inbound.facts.length; i++) {
    const { outcome } = inbound.facts[i]!
    holds(outcome !== undefined, "comes to rest", () => `the server is not done with s${i} in ${plan.name}`)
  }
}

/** Messages under the identifiers that were used before: each has to go through once. */
const probe = (world: World): void => {
  const first = world.inbound.facts.length
  for (const qos of [2, 1] as const) {
    if (!world.plan.poison) world.publish(qos, world.outbound.facts.length)
    if (world.slots.length > 0) world.serve(qos, world.inbound.facts.length)
  }
  comeToRest(world)
  checkRest(world)
  for (let i = first; i < world.inbound.facts.length; i++) {
    for (const { party } of world.slots) {
      const { handed } = world.inbound.facts[i]!
      holds(handed.has(party!.serial), "accepted is not lost", () => `s${i} did not reach consumer ${party!.serial}`)
    }
  }
}

/**
 * Brings a state to its end, and checks it. The world is of no use afterwards.
 */
export const finish = (world: World): void => {
  comeToRest(world)
  checkRest(world)
  probe(world)
}
