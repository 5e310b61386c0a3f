export * as MessagePack from "./MessagePack.ts"
