/** What the tests of a manager share with those of other packages. */
export * from "../../../../test/support/managers.ts"
