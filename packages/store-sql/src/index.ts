export * as SqlStore from "./SqlStore.ts"
