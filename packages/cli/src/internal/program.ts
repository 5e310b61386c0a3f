/**
 * Runs the command on Node, and ends with its exit code. `main.ts` loads it.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Effect from "effect/Effect"
import * as Cli from "../Cli.ts"
import { teardown } from "./ending.ts"

NodeRuntime.runMain(Effect.provide(Cli.run, NodeServices.layer), { teardown })
