/** The server side of connections, which tests of other packages use too. */
export * from "../../../../test/support/peers.ts"
