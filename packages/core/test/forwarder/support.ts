/** What the tests of forwarders share with those of other packages. */
export * from "../../../../test/support/forwarders.ts"
