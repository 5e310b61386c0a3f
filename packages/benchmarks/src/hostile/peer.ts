/**
 * The attacker: a server that carries out one attack. `node peer.js INDEX SECONDS`
 */
import * as net from "node:net"
import { attacks } from "./attacks.ts"
import { Connection } from "./connection.ts"
import type { PeerReply } from "./contract.ts"

const attack = attacks[Number(process.argv[2])]!
const limit = Number(process.argv[3]) * 1000

const reply = (message: PeerReply): void => {
  process.send!(message)
}

const connections: Array<Connection> = []
let begun = false
let told = false

const done = (note: string): void => {
  if (told) return
  told = true
  reply({
    _tag: "Done",
    bytes: connections.reduce((bytes, { written }) => bytes + written, 0),
    connections: connections.length,
    note
  })
}

const server = net.createServer((socket) => {
  connections.push(
    new Connection(socket, {
      version: attack.version,
      transport: attack.transport ?? "tcp",
      answersConnect: attack.answersConnect ?? true,
      reads: attack.reads ?? true,
      when: attack.when ?? "subscribed",
      onReady: (connection) => {
        if (begun && attack.again !== true) return
        begun = true
        setTimeout(() => done("time is over"), limit)
        void attack.run(connection).then(() => {
          if (attack.again !== true || !connection.closed) {
            done(connection.closed ? "the session closed" : "sent, or it stopped reading")
          }
        })
      }
    })
  )
})
server.listen(0, "127.0.0.1", () => reply({ _tag: "Listening", port: (server.address() as net.AddressInfo).port }))
process.on("disconnect", () => process.exit(0))
