/**
 * What an import run is asked for, and what it answers.
 */

export interface ImportRequest {
  readonly module: string
}

export interface ImportResult {
  readonly millis: number
  /** Microseconds of processor time. */
  readonly cpu: number
  /** Bytes. */
  readonly heap: number
}
