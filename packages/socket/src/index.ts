export * as SocketTransport from "./SocketTransport.ts"
