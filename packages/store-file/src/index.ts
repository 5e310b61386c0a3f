export * as FileStore from "./FileStore.ts"
export * as StoreInspection from "./StoreInspection.ts"
