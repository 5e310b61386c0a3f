/**
 * Options of the HTTP routes and of the metrics server; MetricsRoutes and MetricsServer export them.
 */
import type * as Duration from "effect/Duration"
import type * as HttpRouter from "effect/http/HttpRouter"
import type { UnreadyCause } from "../snapshot/model.ts"

/**
 * Paths, and what being ready means.
 */
export interface MetricsRoutesOptions {
  /** Default `/metrics`. */
  readonly metricsPath?: HttpRouter.PathInput | undefined
  /** Default `/healthz`. */
  readonly healthPath?: HttpRouter.PathInput | undefined
  /** Default `/readyz`. */
  readonly readyPath?: HttpRouter.PathInput | undefined
  /**
   * Names by which a client on the same machine may ask, besides `localhost`, `127.0.0.1` and `[::1]`: those of a
   * proxy, for example. Others are refused with status 421, since a page from anywhere may point its name at this
   * machine. Ports do not matter.
   */
  readonly allowedHosts?: ReadonlyArray<string> | undefined
  /** Which causes hold back readiness. Default: all of them. */
  readonly holdsBack?: ((cause: UnreadyCause) => boolean) | undefined
}

/**
 * Options of the page.
 */
export interface PageOptions {
  /** What the page is of, shown in its header. Default: nothing. */
  readonly title?: string | undefined
  /** Where the page is; its events are at `events` below. Default `/`. */
  readonly path?: HttpRouter.PathInput | undefined
  /** Between two snapshots. Default one second. */
  readonly interval?: Duration.Input | undefined
  /**
   * How far the plots of someone who opens the page go back. Default five minutes; a snapshot is taken for each
   * interval, also while nobody watches, and keeps 16 bytes a session.
   */
  readonly history?: Duration.Input | undefined
  /** Pages that may be open at the same time; more are refused with status 503, and try again. Default 32. */
  readonly maximumViewers?: number | undefined
  /**
   * How long an open page may take nothing of what there is for it before its connection is ended. Default 30 seconds.
   */
  readonly viewerTimeout?: Duration.Input | undefined
}

/**
 * Options of the server: the page, and the paths of `MetricsRoutes`.
 */
export interface MetricsServerOptions extends MetricsRoutesOptions {
  readonly page?: PageOptions | undefined
}
