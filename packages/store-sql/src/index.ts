export * as SqlInbox from "./SqlInbox.ts"
export * as SqlStore from "./SqlStore.ts"
