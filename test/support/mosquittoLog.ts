/**
 * What the log of a real mosquitto says about connections. Tests of clusters read in it who owned a session.
 */

/** The connections of a client identifier by the log of mosquitto: user name, and whether another one was ended. */
export const connectionsOf = (log: string, clientId: string) => {
  const connections: Array<{ readonly user: string; readonly isTakeover: boolean }> = []
  let isTakeover = false
  for (const line of log.split("\n")) {
    if (line.includes(`Client ${clientId} already connected`)) isTakeover = true
    const [, user] = new RegExp(`New client connected from \\S+ as ${clientId} \\(.*u'([^']*)'\\)`).exec(line) ?? []
    if (user === undefined) continue
    connections.push({ user, isTakeover })
    isTakeover = false
  }
  return connections
}
