export * as IndexedDbStore from "./IndexedDbStore.ts"
export * as SharedSession from "./SharedSession.ts"
