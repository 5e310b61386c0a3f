/**
 * Shared subscriptions by option (MQTT 4.8.2).
 */
import { InvalidOptions } from "../../MqttError.ts"
import * as Topic from "../../Topic.ts"

/**
 * The filters as members of a group subscribe to them, or what is wrong with the name of the group.
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
