/**
 * A client side for tests: a connection whose owner only takes notes.
 */
import { Deferred, Effect, type Scope } from "effect"
import type { Violation } from "../../src/internal/codec/contract.ts"
import { open } from "../../src/internal/connection/connection.ts"
import type { Connection, ConnectionRequest } from "../../src/internal/connection/contract.ts"
import type { MqttError } from "../../src/MqttError.ts"
import type { Connect, Packet, Publish } from "../../src/Packet.ts"
import * as Properties from "../../src/Properties.ts"
import type { ProtocolVersion } from "../../src/QoS.ts"
import type { ServerAddress } from "../../src/ServerAddress.ts"

export const anyAddress: ServerAddress = {
  protocol: "tcp",
  host: "localhost",
  port: 1883,
  path: "",
  username: undefined,
  password: undefined
}

export const connect = (fields: Partial<Connect> = {}): Connect => ({
  _tag: "Connect",
  protocolVersion: 5,
  clientId: "plant",
  cleanStart: true,
  keepAlive: 60,
  username: undefined,
  password: undefined,
  will: undefined,
  properties: Properties.none,
  ...fields
})

export const publish = (fields: Partial<Publish> = {}): Publish => ({
  _tag: "Publish",
  topic: "a/b",
  payload: new Uint8Array([1, 2, 3]),
  qos: 0,
  retain: false,
  dup: false,
  packetIdentifier: 0,
  properties: Properties.none,
  ...fields
})

export interface RequestFields extends Partial<Omit<ConnectionRequest, "connect">> {
  readonly connect?: Partial<Connect>
  readonly protocolVersion?: ProtocolVersion
}

export const request = (fields: RequestFields = {}): ConnectionRequest => {
  const { connect: connectFields, protocolVersion, ...rest } = fields
  return {
    session: "plant",
    address: anyAddress,
    tls: undefined,
    webSocket: undefined,
    connectTimeout: 5000,
    writeTimeout: 5000,
    maximumPacketSize: 1_000_000,
    ...rest,
    connect: connect({ ...(protocolVersion === undefined ? undefined : { protocolVersion }), ...connectFields })
  }
}

/** What a connection told its owner. */
export class Owner {
  readonly batches: Array<ReadonlyArray<Packet>> = []
  readonly closed: Array<MqttError> = []
  writable = 0
  readonly ended: Deferred.Deferred<MqttError> = Deferred.makeUnsafe()
  answer: (packets: ReadonlyArray<Packet>) => Violation | undefined = () => undefined
  readonly #waiting = new Set<() => void>()

  get packets(): ReadonlyArray<Packet> {
    return this.batches.flat()
  }

  readonly onPackets = (packets: ReadonlyArray<Packet>): Violation | undefined => {
    this.batches.push(packets)
    const violation = this.answer(packets)
    this.#changed()
    return violation
  }

  readonly onWritable = (): void => {
    this.writable++
    this.#changed()
  }

  readonly onClosed = (error: MqttError): void => {
    this.closed.push(error)
    Deferred.doneUnsafe(this.ended, Effect.succeed(error))
  }

  until(condition: (owner: Owner) => boolean): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      const check = (): void => {
        if (condition(this)) {
          this.#waiting.delete(check)
          resume(Effect.void)
        }
      }
      this.#waiting.add(check)
      check()
    })
  }

  #changed(): void {
    for (const check of [...this.#waiting]) {
      check()
    }
  }
}

export const openWith = (
  fields: RequestFields = {},
  owner: Owner = new Owner()
): Effect.Effect<{ readonly connection: Connection; readonly owner: Owner }, MqttError, Scope.Scope> =>
  Effect.map(open(request(fields), owner), (connection) => ({ connection, owner }))
