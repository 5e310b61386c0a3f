/**
 * Flags of mosquitto_pub, mosquitto_sub and MQTT.js's command line that this program does not have, with what to use in
 * their place. `Cli.ts` prints it behind the complaint about an unknown flag.
 */
import type * as CliError from "effect/cli/CliError"

const properties = "Properties of MQTT 5 are set in the file of a gateway, or by a program."
const durable = "Sessions here end with the program. `effect-mqttx gateway` and programs have sessions that stay."
const trust = "Give the authorities to trust with --ca FILE."
const engine = "Engines of OpenSSL are not used. Give the key as a file with --key."
const variable = (name: string): string => `Set the variable ${name}.`

const advice: Readonly<Record<string, string>> = {
  "-A": "The system chooses the address that connections come from.",
  "-c": durable,
  "--disable-clean-session": durable,
  "--no-clean": durable,
  "-x": durable,
  "--session-expiry-interval": durable,
  "-d": "Use --log-level debug.",
  "--debug": "Use --log-level debug.",
  "-C": "Use --url with mqtt://, mqtts://, ws:// or wss://.",
  "--clientId": "Use -i.",
  "-D": properties,
  "--property": properties,
  "-E": "Use --log-level debug: it says when the server has acknowledged the subscriptions.",
  "-F": "Use --json, --format text, --format json or --format hex; -v prints the topic.",
  "-H": "Use --help.",
  "-I": "Use -i with the whole client identifier; without it, a random one is taken.",
  "--id-prefix": "Use -i with the whole client identifier; without it, a random one is taken.",
  "-l": "Use --url with mqtt://, mqtts://, ws:// or wss://.",
  "-M": "Use -l for one message a line.",
  "--multiline": "Use -l for one message a line.",
  "-N": "Use --json, where a line is a message, or --format hex.",
  "--pretty": "Use --json, and a program such as jq.",
  "--protocol": "Use --url with mqtt://, mqtts://, ws:// or wss://.",
  "--proxy": variable("MQTT_PROXY_URL"),
  "--quiet": "Redirect the standard error: 2>/dev/null.",
  "-R": "Use --json: its member retain says whether a message was kept by the server.",
  "--random-filter": "`effect-mqttx gateway` can sample messages.",
  "--remove-retained": "Use `effect-mqttx pub -n -r -t TOPIC` for each topic.",
  "--repeat": "Use -l, with a line for each message.",
  "--repeat-delay": "Use -l, with a line for each message.",
  "-S": "Give the address with --url.",
  "-T": "Use --json, and a program such as jq.",
  "--filter-out": "Use --json, and a program such as jq.",
  "-U": durable,
  "--unsubscribe": durable,
  "--will-message": "Use --will-payload.",
  "--unix": "Use --url unix:///PATH.",
  "--capath": trust,
  "--tls-use-os-certs": "Use --url mqtts://...: it trusts the authorities of Node, and NODE_EXTRA_CA_CERTS.",
  "--tls-version": variable("MQTT_TLS_MIN_VERSION"),
  "--tls-alpn": variable("MQTT_TLS_ALPN"),
  "--ciphers": "The ciphers of Node are used.",
  "--psk": "Use certificates: --ca, --cert and --key.",
  "--psk-identity": "Use certificates: --ca, --cert and --key.",
  "--keyform": "Give a key in the form PEM.",
  "--nodelay": "It is always on.",
  "--tls-engine": engine,
  "--tls-engine-kpass-sha1": engine
}

/** What to do about mistakes on the command line, where the message of Effect does not say it. */
export const adviceFor = (errors: ReadonlyArray<CliError.CliError>): ReadonlyArray<string> =>
  Array.from(
    new Set(errors.flatMap((error) => {
      if (error._tag === "UnrecognizedOption") {
        const known = advice[error.option]
        return known === undefined ? [] : [`${error.option}: ${known}`]
      }
      if (error._tag === "UnexpectedArgument") return ["A topic is given with -t, and a payload with -m."]
      return error._tag === "InvalidValue" && error.value.endsWith(" occurrences")
        ? [`--${error.option} is given more than once. Give it once.`]
        : []
    }))
  )
