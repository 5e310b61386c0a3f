/**
 * The topics of RPC over MQTT, all below one prefix. An instance is one client or server: the client identifier of its
 * session and a random level, `<client identifier>/<random>`.
 *
 *     <prefix>/requests/<client instance>                       the first part of a request, from a client
 *     <prefix>/servers/<server instance>/<client instance>      all that a client sends to the server of a call
 *     <prefix>/cancelled/<client instance>                      to all servers, where the server of a call is not known
 *     <prefix>/clients/<client instance>                        all that servers send to a client
 *     <prefix>/presence/clients/<client identifier>             the will of a client's session
 *     <prefix>/presence/servers/<client identifier>             the will of a server's session
 */

/** A client identifier as one topic level. Characters that a level cannot hold are written in hexadecimal digits. */
export const levelOf = (clientId: string): string =>
  // The options of the session refuse an identifier that is no text.
  String(clientId).replace(/[%/+#]/g, (character) => `%${character.charCodeAt(0).toString(16)}`)

export type Role = "clients" | "servers"

/** The topic of the will of a session in this role. */
export const presenceTopic = (prefix: string, role: Role, clientId: string): string =>
  `${prefix}/presence/${role}/${levelOf(clientId)}`

export class Topics {
  readonly prefix: string
  readonly #requests: string

  constructor(prefix: string) {
    this.prefix = prefix
    this.#requests = `${prefix}/requests/`
  }

  requestFilter(share: string | undefined): string {
    const filter = `${this.#requests}+/+`
    return share === undefined ? filter : `$share/${share}/${filter}`
  }

  request(client: string): string {
    return this.#requests + client
  }

  /** The client instance of a request topic; undefined: it is none. */
  requester(topic: string): string | undefined {
    return topic.startsWith(this.#requests) ? topic.slice(this.#requests.length) : undefined
  }

  cancelledFilter(): string {
    return `${this.prefix}/cancelled/+/+`
  }

  cancelled(client: string): string {
    return `${this.prefix}/cancelled/${client}`
  }

  serverFilter(server: string): string {
    return `${this.server(server)}/+/+`
  }

  server(server: string): string {
    return `${this.prefix}/servers/${server}`
  }

  serverFrom(server: string, client: string): string {
    return `${this.server(server)}/${client}`
  }

  client(client: string): string {
    return `${this.prefix}/clients/${client}`
  }

  presenceFilter(role: Role): string {
    return `${this.prefix}/presence/${role}/+`
  }

  /** The client identifier, as a level, of the session whose will this is; undefined: the topic is no other's will. */
  gone(role: Role, topic: string): string | undefined {
    const start = `${this.prefix}/presence/${role}/`
    return topic.startsWith(start) ? topic.slice(start.length) : undefined
  }
}
