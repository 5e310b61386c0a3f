/**
 * How the program ends: its exit codes, and failures with a sentence on what to do next. Commands make failures here;
 * `Cli.run` prints them. No message has a password, a key or a payload.
 */
import type { MqttError, MqttErrorReason } from "@effect-mqttx/core/MqttError"
import * as Data from "effect/Data"
import * as Runtime from "effect/Runtime"

/** See `Cli.exitCodes`. */
export const exitCodes = {
  /** Everything that was asked for was done. */
  done: 0,
  /** The work failed after the server had accepted the connection. */
  failed: 1,
  /** A flag, a value, a file or a variable is wrong. Nothing was sent. */
  usage: 2,
  /** There is no connection: the name, the network, TLS, or a server that is not there. */
  unreachable: 3,
  /** The server refused: the user, the client identifier, the topic or the version. */
  refused: 4,
  /** The time of `-W` is over, as for mosquitto_sub. */
  timeout: 27,
  /** Ended by SIGINT or SIGTERM. */
  interrupted: 130
} as const

export type ExitCode = typeof exitCodes[keyof typeof exitCodes]

/** A failure of a command: what happened, what to do next, and the exit code. */
export class CommandFailed extends Data.TaggedError("CommandFailed")<{
  readonly what: string
  readonly advice: string | undefined
  readonly exitCode: ExitCode
  /** The tag of the reason of a session's failure. */
  readonly reason?: MqttErrorReason["_tag"]
}> {
  override readonly [Runtime.errorExitCode]: ExitCode = this.exitCode
  // `Cli.run` has printed it.
  override readonly [Runtime.errorReported] = false
  override get message(): string {
    return this.advice === undefined ? this.what : `${this.what}\n  ${this.advice}`
  }
}

export const usage = (what: string, advice?: string): CommandFailed =>
  new CommandFailed({ what, advice, exitCode: exitCodes.usage })

interface Verdict {
  readonly exitCode: ExitCode
  readonly advice?: string
}

const { failed, refused, unreachable } = exitCodes

/** The advice where only a closer look helps. */
export const seeDoctor = "`effect-mqttx doctor URL` shows how far a connection gets."

const networkAdvice = (code: string | undefined): string => {
  switch (code) {
    case "ECONNREFUSED":
      return "Nothing listens there. Is the server running, and is the port right (-p)?"
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "The name is not known. Check -h or --url."
    case "ECONNRESET":
    case "EPIPE":
      return "The server hung up. A port for TLS needs mqtts:// or --ca, a port for WebSockets ws://."
    default:
      return seeDoctor
  }
}

/** The exit code of an error of a session, and what to do next. */
export const verdictOf = (reason: MqttErrorReason): Verdict => {
  switch (reason._tag) {
    case "ConnectionRefused":
      return reason.reasonCode === undefined && reason.httpStatus === undefined
        ? { exitCode: unreachable, advice: networkAdvice(reason.code) }
        : {
          exitCode: refused,
          advice: reason.httpStatus === undefined
            ? "The server's log says why."
            : "Check the path of the address: many servers take WebSockets at /mqtt only."
        }
    case "ConnectionLost":
      return { exitCode: unreachable, advice: networkAdvice(reason.code) }
    case "TlsFailure":
      return {
        exitCode: unreachable,
        advice: "Give the authority of the server's certificate with --ca FILE; is this a port for TLS?"
      }
    case "Timeout":
      return { exitCode: unreachable, advice: "A firewall may drop packets. `effect-mqttx doctor URL` shows where." }
    case "BadCredentials":
      return { exitCode: refused, advice: "Give the user with -u and the password in MQTT_PASSWORD or with -P." }
    case "NotAuthorized":
      return {
        exitCode: refused,
        advice: "Give another user with -u and MQTT_PASSWORD, or change the rights of this one at the server."
      }
    case "UnsupportedVersion":
      return { exitCode: refused, advice: "Try -V 3.1.1." }
    case "ClientIdentifierRejected":
      return { exitCode: refused, advice: "Give another client identifier with -i." }
    case "SessionTakenOver":
      return { exitCode: refused, advice: "Another client has this client identifier. Give another one with -i." }
    case "PublishRefused":
    case "SubscriptionRefused":
      return { exitCode: refused, advice: "Check the rights of this user at the server (-u)." }
    case "InvalidTopic":
      return { exitCode: exitCodes.usage, advice: "A message goes to one topic, without + and #. Check -t." }
    case "InvalidFilter":
      return { exitCode: exitCodes.usage, advice: "Check -t: + stands for one level, # for the rest at the end." }
    case "InvalidOptions":
      return { exitCode: exitCodes.usage, advice: "`--help` lists the flags; MQTT_* variables count as well." }
    default:
      return { exitCode: failed }
  }
}

/** The failure of a command for an error of its session. */
export const fromMqtt = (error: MqttError): CommandFailed => {
  const { advice, exitCode } = verdictOf(error.reason)
  return new CommandFailed({ what: error.reason.message, advice, exitCode, reason: error.reason._tag })
}
