export * as SessionStoreKvs from "./SessionStoreKvs.ts"
