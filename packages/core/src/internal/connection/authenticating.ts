/**
 * Enhanced authentication on one connection (MQTT 4.12): carries data between the server's packets and the exchange of
 * the program's `Authenticator`. It sends and ends nothing itself: it tells the link, which owns it.
 *
 * One exchange is in progress at a time: that of CONNECT, then at most one renewal after the other. The server may send
 * one AUTH for each answer.
 */
import * as Deferred from "effect/Deferred"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Exchange } from "../../Authentication.ts"
import type { CredentialsError } from "../../Credentials.ts"
import { CredentialsFailed, type MqttError, type MqttErrorReason } from "../../MqttError.ts"
import type { Auth, Connack, Connect } from "../../Packet.ts"
import * as ReasonCode from "../../ReasonCode.ts"
import { onAuth } from "./handshake.ts"

/** What the link does. */
export interface AuthenticatingHost {
  readonly sendAuth: (packet: Auth) => void
  /** The peer violated the protocol. */
  readonly violate: (reasonCode: number, detail: string) => void
  /** The exchange failed: this client does not continue. */
  readonly refuse: (reason: MqttErrorReason) => void
  /** Runs an effect of the program, and calls back unless the connection ends before. */
  readonly run: <A>(
    effect: Effect.Effect<A, CredentialsError>,
    onExit: (exit: Exit.Exit<A, MqttErrorReason>) => void
  ) => void
}

export class Authenticating {
  readonly #connect: Connect
  readonly #host: AuthenticatingHost
  #exchange: Exchange
  /** Waits for the end of a renewal. */
  #renewal: Deferred.Deferred<void, MqttError> | undefined
  /** The answer to the server's last packet is not known yet. */
  #isBusy = false

  constructor(connect: Connect, exchange: Exchange, host: AuthenticatingHost) {
    this.#connect = connect
    this.#exchange = exchange
    this.#host = host
  }

  /** An AUTH arrived, before CONNACK or later. */
  onAuth(packet: Auth, isOpen: boolean): void {
    if (isOpen && this.#renewal === undefined) {
      return this.#violate("AUTH although this client does not authenticate again")
    }
    if (this.#isBusy) {
      return this.#violate("AUTH before the answer to the last one")
    }
    const step = onAuth(packet, this.#connect, isOpen ? "renewal" : "connect")
    switch (step._tag) {
      case "Breach":
        return this.#host.violate(step.reasonCode, step.detail)
      case "Continue":
        return this.#answer(step.data)
      case "Renewed":
        return this.#check(step.data, () => this.#renewed())
    }
  }

  /**
   * CONNACK has accepted. Calls back when the exchange accepts the server's data, at once if it does not check them.
   */
  onConnack({ properties }: Connack, accept: () => void): void {
    if (this.#isBusy) {
      return this.#violate("CONNACK before the answer to AUTH")
    }
    this.#check(properties.authenticationData, accept)
  }

  /** Begins a renewal with AUTH (Re-authenticate). `done` gets its result, unless the connection ends before. */
  renew(exchange: Exchange, done: Deferred.Deferred<void, MqttError>): void {
    this.#exchange = exchange
    this.#renewal = done
    this.#send(ReasonCode.reAuthenticate, exchange.data)
  }

  #answer(data: Uint8Array | undefined): void {
    const { respond } = this.#exchange
    if (respond === undefined) {
      return this.#refuse("the server asks for more, and this authentication has no answer")
    }
    this.#run(respond(data), (answer) => this.#send(ReasonCode.continueAuthentication, answer))
  }

  #check(data: Uint8Array | undefined, accept: () => void): void {
    const { verify } = this.#exchange
    if (verify === undefined) {
      return accept()
    }
    this.#run(verify(data), accept)
  }

  #renewed(): void {
    const renewal = this.#renewal
    this.#renewal = undefined
    if (renewal !== undefined) {
      Deferred.doneUnsafe(renewal, Exit.void)
    }
  }

  #run<A>(effect: Effect.Effect<A, CredentialsError>, onSuccess: (value: A) => void): void {
    this.#isBusy = true
    this.#host.run(effect, (exit) => {
      this.#isBusy = false
      if (Exit.isSuccess(exit)) {
        return onSuccess(exit.value)
      }
      const failure = Exit.findErrorOption(exit)
      if (failure._tag === "Some") {
        this.#host.refuse(failure.value)
      }
    })
  }

  #send(reasonCode: number, data: Uint8Array | undefined): void {
    this.#host.sendAuth({
      _tag: "Auth",
      reasonCode,
      properties: {
        authenticationMethod: this.#connect.properties.authenticationMethod!,
        ...(data === undefined ? undefined : { authenticationData: data })
      }
    })
  }

  #violate(detail: string): void {
    this.#host.violate(ReasonCode.protocolError, detail)
  }

  #refuse(detail: string): void {
    this.#host.refuse(new CredentialsFailed({ detail, isTransient: false }))
  }
}
