export * as ClusterSession from "./ClusterSession.ts"
export * as ClusterSessionError from "./ClusterSessionError.ts"
export * as ClusterSingleton from "./ClusterSingleton.ts"
export * as ClusterTimings from "./ClusterTimings.ts"
