/**
 * The applied configuration as the admin interface shows it. Only what is named here is in it: no password, token, key
 * or certificate, and no text of the file that may have a secret in it, such as a template.
 */
import type { Configuration } from "./configuration.ts"
import { describeJson } from "./description.ts"

export const configurationView = (configuration: Configuration): object => {
  const { forwarders, settings } = configuration
  return {
    ...describeJson(configuration),
    forwarders: Object.fromEntries(Array.from(forwarders, ([name, { options, transforms }]) => [name, {
      sources: options.sources,
      filters: options.filters,
      exclude: options.exclude,
      target: options.target,
      enabled: options.enabled,
      mapping: options.mapping,
      unmapped: options.unmapped,
      qos: options.qos,
      retain: options.retain,
      maxInFlight: options.maxInFlight,
      acceptance: options.acceptance,
      metadata: Object.keys(options.metadata),
      ...(options.sample === undefined ? undefined : { sample: options.sample }),
      ...(options.deadLetter === undefined ? undefined : { deadLetter: options.deadLetter }),
      transforms: transforms.map(({ type }) => type)
    }])),
    log: settings.log,
    reload: { watch: settings.reload.watch },
    topics: settings.admin?.topics ?? "off"
  }
}
