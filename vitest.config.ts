// vitest does not discover the name vitest.workspace.ts by itself.
export { default } from "./vitest.workspace.ts"
