/**
 * Shared subscriptions by option (MQTT 4.8.2).
 */
import { InvalidOptions } from "../../MqttError.ts"
import * as Topic from "../topics.ts"

/**
 * The filters with the share name, or why the share name is invalid.
 */
export const shareFilters = (
  filters: ReadonlyArray<string>,
  share: string | undefined
): ReadonlyArray<string> | InvalidOptions => {
  if (share === undefined) return filters
  if (share === "" || /[/+#]/.test(share)) return invalid("must be a name without /, + and #")
  if (filters.some(Topic.isShared)) return invalid("not for filters that are shared already")
  return filters.map((filter) => `$share/${share}/${filter}`)
}

const invalid = (message: string): InvalidOptions => new InvalidOptions({ issues: [{ path: "share", message }] })
