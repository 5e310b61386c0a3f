export * as MetricsRoutes from "./MetricsRoutes.ts"
export * as MetricsServer from "./MetricsServer.ts"
export * as MqttMetrics from "./MqttMetrics.ts"
export * as MqttSnapshot from "./MqttSnapshot.ts"
