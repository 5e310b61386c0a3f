/**
 * Client certificates that change under traffic: `tsc -b examples && node examples/dist/tls-rotation.js`.
 *
 * The session takes its certificate from files, as a mounted Kubernetes secret has them, and follows their changes: it
 * connects again with the new certificate and loses no message. The server is a mosquitto that demands certificates of
 * its clients. Without one on this machine the example says so and ends.
 */
import { MqttSession } from "@effect-mqttx/core"
import { FileCredentials } from "@effect-mqttx/credentials"
import { Certificates, MosquittoBroker } from "@effect-mqttx/testing"
import { NodeFileSystem, NodeRuntime } from "@effect/platform-node"
import { Deferred, Effect, Exit, Fiber, FileSystem, Option, Queue, Stream } from "effect"

const main = Effect.gen(function*() {
  if (!MosquittoBroker.isPresent()) return yield* Effect.log("skipped: there is no mosquitto on this machine")
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectoryScoped()
  const certificates = yield* Certificates.make
  const broker = yield* MosquittoBroker.make({
    tls: true,
    requireClientCertificate: true,
    persistence: true,
    certificates
  })

  // Another program renews the certificate: key and certificate change together, by the name of their folder.
  const renew = Effect.fnUntraced(function*(commonName: string) {
    const { cert, key } = certificates.issue({ commonName, usage: "client" })
    yield* fs.makeDirectory(`${folder}/${commonName}`)
    yield* fs.writeFileString(`${folder}/${commonName}/tls.crt`, cert)
    yield* fs.writeFileString(`${folder}/${commonName}/tls.key`, key)
    yield* fs.symlink(`${folder}/${commonName}`, `${folder}/next`)
    yield* fs.rename(`${folder}/next`, `${folder}/current`)
  })
  yield* renew("meter-2026")

  // As Kubernetes mounts a secret: the files are links through a folder that is replaced as a whole.
  const files = { cert: `${folder}/tls.crt`, key: `${folder}/tls.key` }
  yield* fs.symlink(`${folder}/current/tls.crt`, files.cert)
  yield* fs.symlink(`${folder}/current/tls.key`, files.key)
  const session = yield* MqttSession.make({
    name: "meter",
    servers: [broker.urls.tls!],
    tls: { ca: certificates.ca },
    reconnect: { initialDelay: "20 millis" },
    credentials: FileCredentials.make(files)
  })
  yield* session.awaitReady
  const certificate = Effect.map(
    session.connectionInfo,
    (info) => Option.getOrThrow(info).certificates.find(({ owner }) => owner === "client")?.subject
  )
  yield* Effect.log(`connected with ${yield* certificate}`)

  const { messages } = yield* session.subscription("readings", { qos: 1 })
  const arrived = yield* Queue.unbounded<string>()
  yield* Effect.forkScoped(Stream.runForEach(messages, ({ text }) => Queue.offer(arrived, text)))
  const over = Deferred.makeUnsafe<void>()
  let sent = 0
  const traffic = yield* Effect.forkScoped(Effect.gen(function*() {
    while (!Deferred.isDoneUnsafe(over)) yield* session.publish("readings", `${sent++}`, { qos: 1 })
  }))

  const reconnected = yield* Effect.forkScoped(
    session.statusChanges.pipe(
      Stream.mapEffect(() => certificate.pipe(Effect.catchCause(() => Effect.succeed(undefined)))),
      Stream.filter((subject) => subject === "CN=meter-2027"),
      Stream.runHead
    )
  )
  yield* FileCredentials.refreshOnChange(files)(session)
  yield* renew("meter-2027")
  yield* Fiber.join(reconnected)
  yield* Deferred.done(over, Exit.void)
  yield* Fiber.join(traffic)
  yield* Effect.log(`connected with ${yield* certificate}`)

  const seen = new Set<string>()
  while (seen.size < sent) seen.add(yield* Queue.take(arrived))
  yield* Effect.log(`${sent} readings were published meanwhile, and ${seen.size} arrived`)
}).pipe(Effect.timeout("45 seconds"), Effect.scoped, Effect.provide(NodeFileSystem.layer))

NodeRuntime.runMain(main)
