export * as MqttRpcClient from "./MqttRpcClient.ts"
export * as MqttRpcError from "./MqttRpcError.ts"
export * as MqttRpcServer from "./MqttRpcServer.ts"
