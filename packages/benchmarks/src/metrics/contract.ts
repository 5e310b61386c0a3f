/**
 * What an export run is asked for, and what it answers.
 */

export interface ScrapeRequest {
  readonly port: number
  readonly sessions: number
  /** The option of `MqttMetrics`. */
  readonly perSessionSeries: boolean
}

export interface ScrapeResult {
  /** Of one export: the median. */
  readonly millis: number
  /** Length of the text. */
  readonly bytes: number
}
