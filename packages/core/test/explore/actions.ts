/**
 * What may happen next in a world. An action is a word; the words that lead to a state are the state.
 */
import type { LimitName } from "./plan.ts"
import type { World } from "./world.ts"

/** How an action reads in a trace. */
export const describe = (action: string): string => {
  const [word, ...rest] = action.split(" ")
  const [first] = rest
  switch (word) {
    case "publish":
      return "the client publishes its next message"
    case "serve":
      return "the server publishes its next message"
    case "take":
      return "the session takes the engine's output"
    case "commit":
      return "the store has the changes; packets leave, the rest is handed out"
    case "to-server":
      return "what is on the way reaches the server"
    case "to-client":
      return "the next packet reaches the client"
    case "ack":
      return `slot ${first} finishes ${rest[1] === "0" ? "its oldest message" : `message ${rest[1]} of those it has`}`
    case "join":
      return `a consumer joins in slot ${first}`
    case "leave":
      return `the consumer of slot ${first} leaves`
    case "forget":
      return `the name of slot ${first} is forgotten`
    case "connect":
      return first === undefined ? "the client connects" : `the client connects, the server announces ${first}`
    case "cut":
      return `the network ends, ${first} packets still reach the server`
    case "lose":
      return "the server forgets the session"
    case "crash":
      return `the process dies (${rest.join(" ")} packets still reach the server)`
    case "end":
      return "the program ends in order, and begins again"
    case "wait":
      return "the hold passes"
    case "jump":
      return "the wall clock jumps by a day"
    default:
      return action
  }
}

/**
 * The actions that are possible in this state.
 */
export const enabled = (world: World): ReadonlyArray<string> => {
  const { commit, connection, engine, left, plan, slots, toClient, toServer } = world
  const actions: Array<string> = []
  if (world.published < plan.toServer.length) actions.push("publish")
  if (world.served < plan.toClient.length) actions.push("serve")
  actions.push("take")
  if (commit !== undefined) actions.push("commit")
  if (toServer.length > 0) actions.push("to-server")
  // The driver takes nothing from the engine between CONNACK and the handing over of the connection.
  if (toClient.length > 0) actions.push("to-client")
  // Places without a name are alike: the first that is free is taken.
  const free = slots.findIndex(({ consumer }, index) => consumer === undefined && plan.slots[index]!.name === undefined)
  slots.forEach(({ consumer, pending }, index) => {
    const { name } = plan.slots[index]!
    pending.forEach((_, position) => actions.push(`ack ${index} ${position}`))
    if (consumer === undefined) {
      if (name !== undefined || index === free) actions.push(`join ${index}`)
    } else if (left.leaves > 0) actions.push(`leave ${index}`)
    if (name === undefined || left.forgets === 0) return
    if (engine.namedConsumers().some((other) => other.name === name)) actions.push(`forget ${index}`)
  })
  if (connection === undefined) {
    actions.push("connect")
    for (const limit of plan.limits) actions.push(`connect ${limit}`)
    if (left.losses > 0) actions.push("lose")
  } else if (left.cuts > 0) {
    for (let arriving = 0; arriving <= toServer.length; arriving++) actions.push(`cut ${arriving}`)
  }
  if (left.crashes > 0) {
    for (let arriving = 0; arriving <= toServer.length; arriving++) actions.push(`crash now ${arriving}`)
    if (commit !== undefined) {
      const packets = toServer.length + commit.output.packets.length
      actions.push("crash stored 0")
      for (let arriving = 1; arriving <= packets; arriving++) actions.push(`crash sent ${arriving}`)
    }
  }
  if (left.ends > 0 && commit === undefined) actions.push("end")
  if (left.waits > 0) actions.push("wait")
  if (left.jumps > 0) actions.push("jump")
  return actions
}

const crash = (world: World, stage: string, arriving: number): void => {
  world.left.crashes--
  const { commit } = world
  if (commit !== undefined && stage !== "now") world.store(commit.output)
  if (commit !== undefined && stage === "sent") world.send(commit)
  world.carryToServer(arriving)
  world.restart(stage === "now" ? [] : commit?.output.settled ?? [])
}

const end = (world: World): void => {
  world.left.ends--
  world.slots.forEach(({ consumer }, index) => consumer !== undefined && world.leave(index))
  world.take()
  if (world.commit !== undefined) world.endCommit()
  world.carryToServer(Infinity)
  world.restart([])
}

/**
 * Carries one action out.
 */
export const apply = (world: World, action: string): void => {
  const [word, first = "", second = ""] = action.split(" ")
  switch (word) {
    case "publish":
      return world.publish(world.plan.toServer[world.published]!)
    case "serve":
      return world.serve(world.plan.toClient[world.served]!)
    case "take":
      return world.take()
    case "commit":
      return world.endCommit()
    case "to-server":
      return world.carryToServer(Infinity)
    case "to-client":
      return world.carryToClient()
    case "ack":
      return world.acknowledge(Number(first), Number(second))
    case "join":
      return world.join(Number(first))
    case "leave":
      world.left.leaves--
      return world.leave(Number(first))
    case "forget":
      world.left.forgets--
      return world.forget(Number(first))
    case "connect":
      return world.connect(first === "" ? undefined : first as LimitName)
    case "cut":
      world.left.cuts--
      return world.cut(Number(first))
    case "lose":
      world.left.losses--
      return world.loseSession()
    case "crash":
      return crash(world, first, Number(second))
    case "end":
      return end(world)
    case "wait":
      world.left.waits--
      return world.wait()
    case "jump":
      world.left.jumps--
      return world.jump()
    default:
      throw new Error(`no such action: ${action}`)
  }
}
