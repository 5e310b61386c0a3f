/**
 * The way from a manager to its registry, for what this library builds on top of managers.
 */
import type { Session } from "../../MqttSession.ts"
import type { Manager } from "../../SessionManager.ts"
import type { SessionOptions } from "../../SessionOptions.ts"
import type { RouteRunner } from "./routeRunner.ts"

export interface ManagerSeam {
  /** Lets a runner join the sessions that concern it, present and future ones, until the returned function is called. */
  readonly follow: (runner: RouteRunner<unknown>) => () => void
  /** The session of this name, while it runs. */
  readonly sessionOf: (session: string) => Session | undefined
  readonly optionsOf: (session: string) => SessionOptions | undefined
}

const seams = new WeakMap<Manager, ManagerSeam>()

export const register = (manager: Manager, seam: ManagerSeam): void => {
  seams.set(manager, seam)
}

/** Undefined for a manager that is not of this library's making. */
export const seamOf = (manager: Manager): ManagerSeam | undefined => seams.get(manager)
