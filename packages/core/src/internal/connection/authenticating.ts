/**
 * Enhanced authentication on one connection (MQTT 4.12): carries data between the server's packets and the exchange of
 * the program's `Authenticator`. It writes and ends nothing itself: it tells the link, which owns it.
 *
 * One exchange is in progress at a time: that of CONNECT, then at most one renewal after the other. The server may send
 * one AUTH for each answer.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Exchange } from "../../Authentication.ts"
import { CredentialsError } from "../../Credentials.ts"
import { CredentialsFailed, MqttError, type MqttErrorReason, ProtocolViolation, Timeout } from "../../MqttError.ts"
import type { Auth, Connack } from "../../Packet.ts"
import * as ReasonCode from "../../ReasonCode.ts"
import type { EncodeFailure } from "../codec/contract.ts"
import type { ConnectionRequest } from "./contract.ts"
import { onAuth } from "./handshake.ts"

/** What the link does. */
export interface AuthenticatingHost {
  readonly phase: "opening" | "open" | "closing" | "closed"
  /** Sends DISCONNECT with this reason code, and ends the stream. */
  readonly abort: (reasonCode: number, reason: MqttErrorReason) => void
  /** Closes at once. */
  readonly destroy: (reason: MqttErrorReason) => void
}

/** Sends AUTH, or answers why it cannot be encoded. */
export type SendAuth = (packet: Auth) => EncodeFailure | undefined

/** Runs an effect of the program, and calls back. */
export interface Runner {
  readonly run: <A, E>(effect: Effect.Effect<A, E>, onExit: (exit: Exit.Exit<A, E>) => void) => Fiber.Fiber<A, E>
}

export class Authenticating {
  readonly #request: ConnectionRequest
  readonly #host: AuthenticatingHost
  readonly #runner: Runner
  readonly #sendAuth: SendAuth
  #exchange: Exchange
  /** Waits for the end of a renewal. */
  #renewal: Deferred.Deferred<void, MqttError> | undefined
  /** Runs the program's answer to the server's last packet. */
  #running: Fiber.Fiber<unknown, unknown> | undefined
  /** The program's answer is not known yet. */
  #isBusy = false
  /** The answer is about the data of CONNACK. */
  isVerifying = false
  #isVerified = false

  constructor(request: ConnectionRequest, host: AuthenticatingHost, runner: Runner, sendAuth: SendAuth) {
    this.#request = request
    this.#host = host
    this.#runner = runner
    this.#sendAuth = sendAuth
    this.#exchange = request.exchange!
  }

  /** An AUTH arrived, before CONNACK or later. */
  onAuth(packet: Auth, isOpen: boolean): void {
    if (isOpen && this.#renewal === undefined) {
      return this.#violate("AUTH although this client does not authenticate again")
    }
    if (this.#isBusy) {
      return this.#violate("AUTH before the answer to the last one")
    }
    const step = onAuth(packet, this.#request.connect, isOpen ? "renewal" : "connect")
    switch (step._tag) {
      case "Breach":
        return this.#violate(step.detail)
      case "Continue":
        return this.#answer(step.data)
      case "Renewed":
        return this.#check(step.data, () => this.#settle(Exit.void))
    }
  }

  /**
   * Whether the server's data in CONNACK are accepted. False: they are not, or not yet. Then `isVerifying` says whether
   * `accept` may be called later.
   */
  verifies({ properties }: Connack, accept: () => void): boolean {
    if (this.#isVerified) {
      return true
    }
    if (this.#isBusy) {
      this.#violate("CONNACK before the answer to AUTH")
      return false
    }
    this.isVerifying = true
    let isLater = false
    this.#check(properties.authenticationData, () => {
      this.isVerifying = false
      this.#isVerified = true
      if (isLater) {
        accept()
      }
    })
    isLater = true
    return this.#isVerified
  }

  /** Authenticates again: succeeds when the server has accepted. A failure ends the connection. */
  reauthenticate(exchange: Exchange): Effect.Effect<void, MqttError> {
    return Effect.suspend(() => {
      if (this.#renewal !== undefined || this.#isBusy) {
        return Effect.fail(refusedAgain(this.#request.session))
      }
      const millis = this.#request.connectTimeout
      const renewal = this.#renewal = Deferred.makeUnsafe<void, MqttError>()
      this.#exchange = exchange
      this.#send(ReasonCode.reAuthenticate, exchange.data)
      return Effect.timeoutOrElse(Deferred.await(renewal), {
        duration: millis,
        orElse: () => {
          this.#host.destroy(new Timeout({ operation: "authentication", millis }))
          return Deferred.await(renewal)
        }
      })
    })
  }

  /** The connection has ended. */
  end(error: MqttError): void {
    this.#running?.interruptUnsafe()
    this.#settle(Exit.fail(error))
  }

  #answer(data: Uint8Array | undefined): void {
    const { respond } = this.#exchange
    if (respond === undefined) {
      return this.#refuse("the server asks for more, and this authentication has no answer")
    }
    this.#ask(() => respond(data), (answer) => this.#send(ReasonCode.continueAuthentication, answer))
  }

  #check(data: Uint8Array | undefined, accept: () => void): void {
    const { verify } = this.#exchange
    if (verify === undefined) {
      return accept()
    }
    this.#ask(() => verify(data), accept)
  }

  #settle(exit: Exit.Exit<void, MqttError>): void {
    const renewal = this.#renewal
    this.#renewal = undefined
    if (renewal !== undefined) {
      Deferred.doneUnsafe(renewal, exit)
    }
  }

  #ask<A>(make: () => Effect.Effect<A, CredentialsError>, onSuccess: (value: A) => void): void {
    this.#isBusy = true
    const effect = Effect.mapError(Effect.catchDefect(Effect.suspend(make), died), asReason)
    const fiber = this.#runner.run(effect, (exit) => {
      this.#isBusy = false
      this.#running = undefined
      if (this.#host.phase !== "opening" && this.#host.phase !== "open") {
        return
      }
      if (Exit.isSuccess(exit)) {
        return onSuccess(exit.value)
      }
      const failure = Exit.findErrorOption(exit)
      if (failure._tag === "Some") {
        this.#abort(failure.value)
      }
    })
    if (this.#isBusy) {
      this.#running = fiber
    }
  }

  #send(reasonCode: number, data: Uint8Array | undefined): void {
    const failure = this.#sendAuth({
      _tag: "Auth",
      reasonCode,
      properties: {
        authenticationMethod: this.#request.connect.properties.authenticationMethod!,
        ...(data === undefined ? undefined : { authenticationData: data })
      }
    })
    if (failure !== undefined) {
      this.#refuse(failure.detail)
    }
  }

  #violate(detail: string): void {
    this.#host.abort(ReasonCode.protocolError, new ProtocolViolation({ reasonCode: ReasonCode.protocolError, detail }))
  }

  #refuse(detail: string): void {
    this.#abort(new CredentialsFailed({ detail, isTransient: false }))
  }

  /** This client does not continue. */
  #abort(reason: MqttErrorReason): void {
    this.#host.abort(ReasonCode.implementationSpecificError, reason)
  }
}

/** The connection has ended, or another renewal is in progress. */
export const refusedAgain = (session: string): MqttError =>
  new MqttError({ reason: new CredentialsFailed({ detail: "the connection cannot authenticate again now" }), session })

const died = (cause: unknown): Effect.Effect<never, CredentialsError> =>
  Effect.fail(new CredentialsError({ detail: "the authentication died", cause, isRetryable: false }))

const asReason = ({ cause, detail, isRetryable }: CredentialsError): CredentialsFailed =>
  new CredentialsFailed({ detail, cause, isTransient: isRetryable })
