#!/usr/bin/env node
/**
 * The executable. It loads the program after it has said how memory is used meanwhile, because static imports would be
 * loaded before.
 */
import { holdYoungGeneration } from "./youngGeneration.ts"

holdYoungGeneration()
await import("./program.ts")
