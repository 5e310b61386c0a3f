/**
 * Options of the HTTP routes and of the metrics server. `MetricsRoutes` and `MetricsServer` export them.
 */
import type * as Duration from "effect/Duration"
import type * as HttpRouter from "effect/http/HttpRouter"
import type { UnreadyCause } from "../snapshot/schema.ts"

/**
 * Options of the routes: their paths, and the definition of readiness.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface MetricsRoutesOptions {
  /** Default `/metrics`. */
  readonly metricsPath?: HttpRouter.PathInput | undefined
  /** Default `/healthz`. */
  readonly healthPath?: HttpRouter.PathInput | undefined
  /** Default `/readyz`. */
  readonly readyPath?: HttpRouter.PathInput | undefined
  /**
   * Host names that a client on the same machine may use, besides `localhost`, `127.0.0.1` and `[::1]`, for example
   * those of a proxy. Others are refused with status 421, because a page from another site may resolve its own name to
   * this machine. Ports do not matter.
   */
  readonly allowedHosts?: ReadonlyArray<string> | undefined
  /** Selects the causes that make the program unready. Default: all of them. */
  readonly holdsBack?: ((cause: UnreadyCause) => boolean) | undefined
}

/**
 * Options of the page.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface PageOptions {
  /** The title in the header of the page. Default: none. */
  readonly title?: string | undefined
  /** The path of the page; its events are at `events` below. Default `/`. */
  readonly path?: HttpRouter.PathInput | undefined
  /** The time between two snapshots. Default one second. */
  readonly interval?: Duration.Input | undefined
  /**
   * How far the plots of a newly opened page go back. Default five minutes. A snapshot is taken for each interval, also
   * without viewers, and keeps 16 bytes a session.
   */
  readonly history?: Duration.Input | undefined
  /**
   * The number of pages that may be open at the same time. Further ones are refused with status 503, and retry. Default
   * 32.
   */
  readonly maximumViewers?: number | undefined
  /**
   * How long an open page may leave waiting data unread before its connection is ended. Default 30 seconds.
   */
  readonly viewerTimeout?: Duration.Input | undefined
}

/**
 * Options of the server: the page, and the paths of `MetricsRoutes`.
 *
 * @stability unstable
 * @category options
 * @since 0.1.0
 */
export interface MetricsServerOptions extends MetricsRoutesOptions {
  /** Options of the page. Default: see `PageOptions`. */
  readonly page?: PageOptions | undefined
}
