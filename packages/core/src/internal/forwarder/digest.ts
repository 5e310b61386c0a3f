/**
 * The digest by which forwarders tell messages apart; see `internal/digest.ts`.
 */
export { digest } from "../digest.ts"
