/**
 * Imports one package in a fresh process and measures what that takes.
 */
import { answerWith, cpuSince } from "../harness/child.ts"
import type { ImportRequest, ImportResult } from "./contract.ts"

const measure = async ({ module }: ImportRequest): Promise<ImportResult> => {
  const cpu = process.cpuUsage()
  const heap = process.memoryUsage().heapUsed
  const begin = performance.now()
  await import(module)
  return {
    millis: performance.now() - begin,
    cpu: cpuSince(cpu),
    heap: process.memoryUsage().heapUsed - heap
  }
}

answerWith(measure)
