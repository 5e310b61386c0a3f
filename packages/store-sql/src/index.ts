export * as SqlInbox from "./SqlInbox.ts"
export * as SqliteClient from "./SqliteClient.ts"
export * as SqlOutbox from "./SqlOutbox.ts"
export * as SqlStore from "./SqlStore.ts"
