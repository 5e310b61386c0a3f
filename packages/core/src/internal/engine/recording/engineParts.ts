/**
 * What an engine consists of, as far as its state is captured for a flight record: the parts that are made with it and
 * stay, the objects that come and go, and which fields they have. It captures nothing itself. `engineGraph.ts` calls
 * it.
 */
import { none } from "../../../Properties.ts"
import { AcknowledgementQueue } from "../acknowledgements.ts"
import { AutomaticAlias, AutomaticAliases } from "../automaticAliases.ts"
import type { ConsumerRequest, EngineOptions, PublishRequest } from "../contract.ts"
import { EngineCore } from "../core.ts"
import { DirectPublishes } from "../directPublishes.ts"
import { Engine } from "../engine.ts"
import { Handover } from "../handover.ts"
import { Departed, HeldMessages } from "../heldMessages.ts"
import { PacketIdentifiers } from "../identifiers.ts"
import { InboundFlow } from "../inbound.ts"
import { InboundAcknowledgements } from "../inboundAcknowledgements.ts"
import { Exchange, InboundDelivery } from "../inboundDelivery.ts"
import { InboundExchanges } from "../inboundExchanges.ts"
import { OutboundFlow } from "../outbound.ts"
import { OutboundHandshake } from "../outboundHandshake.ts"
import { MessageList, OutboundMessage } from "../outboundMessage.ts"
import { OutboundMessages } from "../outboundMessages.ts"
import { OutboundPackets } from "../outboundPackets.ts"
import { OutboundQueue } from "../outboundQueue.ts"
import { PoisonGuard } from "../poison.ts"
import { ReceiveWindow } from "../receiveWindow.ts"
import { Redelivery } from "../redelivery.ts"
import { Retransmission } from "../retransmission.ts"
import { Router } from "../router.ts"
import { SendWindow } from "../sendWindow.ts"
import { ServerSession } from "../serverSession.ts"
import { SlowConsumers } from "../slowConsumers.ts"
import { SubscribeThrottle } from "../subscribeThrottle.ts"
import { EngineConsumer, Member, SubscriptionEntry, SubscriptionRequest } from "../subscriptionEntry.ts"
import { SubscriptionFlow } from "../subscriptionFlow.ts"
import { SubscriptionRequests } from "../subscriptionRequests.ts"
import { Subscriptions } from "../subscriptions.ts"
import { SubscriptionTable } from "../subscriptionTable.ts"
import { InboundAliases, OutboundAliases } from "../topicAliases.ts"

export type Fields = Record<string, unknown>
export type Stateful = { privateState?: Readonly<Fields> }
type Class = abstract new(...args: never) => object

/** Made with the engine, by their names in a record: class names do not survive a minifier. */
const partTypes: ReadonlyArray<readonly [string, Class]> = [
  ["Engine", Engine],
  ["EngineCore", EngineCore],
  ["PoisonGuard", PoisonGuard],
  ["ServerSession", ServerSession],
  ["OutboundFlow", OutboundFlow],
  ["OutboundMessages", OutboundMessages],
  ["OutboundQueue", OutboundQueue],
  ["OutboundPackets", OutboundPackets],
  ["OutboundAliases", OutboundAliases],
  ["DirectPublishes", DirectPublishes],
  ["OutboundHandshake", OutboundHandshake],
  ["SendWindow", SendWindow],
  ["Retransmission", Retransmission],
  ["PacketIdentifiers", PacketIdentifiers],
  ["MessageList", MessageList],
  ["InboundFlow", InboundFlow],
  ["Router", Router],
  ["InboundAliases", InboundAliases],
  ["HeldMessages", HeldMessages],
  ["ReceiveWindow", ReceiveWindow],
  ["InboundExchanges", InboundExchanges],
  ["InboundAcknowledgements", InboundAcknowledgements],
  ["AcknowledgementQueue", AcknowledgementQueue],
  ["Redelivery", Redelivery],
  ["Handover", Handover],
  ["SlowConsumers", SlowConsumers],
  ["Subscriptions", Subscriptions],
  ["SubscriptionTable", SubscriptionTable],
  ["SubscriptionFlow", SubscriptionFlow],
  ["SubscriptionRequests", SubscriptionRequests]
]

/** How the others are made, with all fields in the order of their class; what they hold follows. */
const makers: Readonly<Record<string, (engine: Parts) => object>> = {
  OutboundMessage: () => new OutboundMessage({ properties: none } as PublishRequest, 0, 0, 0, 0),
  InboundDelivery: () => new InboundDelivery(undefined as never, 0, 0, 0, 0, false, undefined),
  Exchange: () => new Exchange(0, ""),
  Departed: () => new Departed(undefined as never, []),
  EngineConsumer: () => new EngineConsumer({ name: undefined } as ConsumerRequest),
  Member: () => new Member(undefined as never, undefined as never, 0),
  SubscriptionEntry: () => new SubscriptionEntry(""),
  SubscriptionRequest: () => new SubscriptionRequest("subscribe", [], []),
  AutomaticAlias: () => new AutomaticAlias("", 0, 0),
  AutomaticAliases: () => new AutomaticAliases(0),
  SubscribeThrottle: ({ options, table }) => new SubscribeThrottle(table, options.subscribeTimeout)
}

const otherTypes: ReadonlyArray<readonly [string, Class]> = [
  ["OutboundMessage", OutboundMessage],
  ["InboundDelivery", InboundDelivery],
  ["Exchange", Exchange],
  ["Departed", Departed],
  ["EngineConsumer", EngineConsumer],
  ["Member", Member],
  ["SubscriptionEntry", SubscriptionEntry],
  ["SubscriptionRequest", SubscriptionRequest],
  ["AutomaticAlias", AutomaticAlias],
  ["AutomaticAliases", AutomaticAliases],
  ["SubscribeThrottle", SubscribeThrottle]
]

export const parts: ReadonlyMap<unknown, string> = new Map(partTypes.map(([name, type]) => [type, name]))
export const others: ReadonlyMap<unknown, string> = new Map(otherTypes.map(([name, type]) => [type, name]))

/** Fields that are options, owned by the session, or written again before they are read. */
export const skipped: ReadonlySet<string> = new Set(["options", "owner", "stats", "targets", "count"])

export interface Parts {
  readonly all: ReadonlyArray<object>
  /** What is captured of each. */
  readonly shapes: ReadonlyMap<object, Shape>
  readonly table: SubscriptionTable
  readonly queue: OutboundQueue
  readonly options: EngineOptions
}

/** A place in the graph: what a captured object holds, with other places for the objects that it refers to. */
export interface Place {
  readonly id: number
  readonly type: string
  content: unknown
}

export const isPlace = (value: unknown): value is Place => value instanceof PlaceOf

export class PlaceOf implements Place {
  readonly id: number
  readonly type: string
  content: unknown = undefined

  constructor(id: number, type: string) {
    this.id = id
    this.type = type
  }
}

/** Which fields of an object are captured, by what they come from. */
export interface Shape {
  readonly own: ReadonlyArray<string>
  readonly hidden: ReadonlyArray<string>
  /** Fields that refer to a part and never change. */
  readonly links: ReadonlyArray<readonly [string, Place]>
}

export const shapeOf = (object: object, linkOf: (value: unknown) => Place | undefined = () => undefined): Shape => {
  const { privateState } = object as Stateful
  const links: Array<readonly [string, Place]> = []
  const captured = (fields: object): ReadonlyArray<string> =>
    Object.entries(fields).flatMap(([key, value]) => {
      if (skipped.has(key) || typeof value === "function") return []
      const link = linkOf(value)
      if (link === undefined) return [key]
      links.push([key, link])
      return []
    })
  const own = captured(object)
  return { own, hidden: privateState === undefined ? [] : captured(privateState), links }
}

const partsByEngine = new WeakMap<object, Parts>()

/** The parts of an engine in the order in which their links are met. They stay the same. */
export const partsOf = (engine: object): Parts => {
  const known = partsByEngine.get(engine)
  if (known !== undefined) return known
  const found = new Map<object, Place>()
  const add = (part: object): Place => {
    const place = found.get(part) ?? new PlaceOf(found.size, parts.get(part.constructor)!)
    found.set(part, place)
    return place
  }
  const linkOf = (value: unknown): Place | undefined =>
    typeof value === "object" && value !== null && parts.has(value.constructor) ? add(value) : undefined
  add(engine)
  const shapes = new Map<object, Shape>()
  for (const part of found.keys()) shapes.set(part, shapeOf(part, linkOf))
  const all = [...found.keys()]
  const partOf = <A extends object>(type: abstract new(...args: never) => A): A =>
    all.find((part) => part.constructor === type) as A
  const made = {
    all,
    shapes,
    table: partOf(SubscriptionTable),
    queue: partOf(OutboundQueue),
    options: partOf(EngineCore).options
  }
  partsByEngine.set(engine, made)
  return made
}

/** By their classes: the objects of a class have all its fields from their begin. */
const shapesOfOthers = new Map<unknown, Shape>()

export const shapeOfOther = (object: object): Shape => {
  const known = shapesOfOthers.get(object.constructor)
  if (known !== undefined) return known
  const shape = shapeOf(object)
  shapesOfOthers.set(object.constructor, shape)
  return shape
}

/** Makes an object that is no part, without its content. */
export const make = (own: Parts, type: string): object => {
  switch (type) {
    case "array":
      return []
    case "map":
      return new Map()
    case "set":
      return new Set()
    case "object":
      return {}
    default: {
      const maker = makers[type]
      if (maker === undefined) throw new TypeError(`no object of an engine is a ${type}`)
      return maker(own)
    }
  }
}
