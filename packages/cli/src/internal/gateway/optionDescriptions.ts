/**
 * What the core's sources say about each option, for the JSON Schema. `npm run describe` writes it.
 */

/** Of sessions, by the path of the option. */
export const sessionDescriptions: Readonly<Record<string, string>> = {
  "name": "The name of the session in this program: in logs, metrics, events and the session store.",
  "servers":
    "URLs in the order of preference: one, several in one string separated by commas, or an array. Either all of them use TLS (mqtts, wss) or none does. Credentials in them become `username` and `password`, and queries become `webSocket.queries`; checked options hold URLs without them. There is no default.",
  "brokerName":
    "The name of the broker behind the servers, for forwarders. All sessions with this name, in all programs, are at one broker, and no message is forwarded to a broker that has it. At most 256 characters, without commas. Default: the addresses of the servers identify the broker within this program, and sessions with an address in common are at one broker.",
  "secure": "Every server must use TLS, and a server without a scheme means `mqtts`. Default `false`.",
  "protocolVersion": "4 is MQTT 3.1.1. Default 5.",
  "clientId": "Default: derived by the session from its name, with a random suffix unless the session is durable.",
  "assignedClientId":
    "The server assigns the client identifier with the first CONNACK (MQTT 3.1.3.1, 3.2.2.3.7), and the session uses it from then on; a durable one keeps it in its store. If the server assigns none, the attempt fails with `ClientIdentifierRejected`. On MQTT 3.1.1 the client does not learn the identifier, so the option requires the persistence `none` there. Default `false`.",
  "username": "User name for the server. Default none.",
  "password": "Password for the server; MQTT 3.1.1 requires `username` with it. Default none.",
  "keepAlive": "Whole seconds up to 65535 s; 0 disables it. Default 60 s.",
  "connectTimeout": "From the first packet to the network until CONNACK. Default 30 s.",
  "persistence":
    "How long the session's state lives, see `Persistence`. Default `process`, and `durable` where a durable session is made, for example by `MqttSession.layerDurable`.",
  "sessionExpiry":
    "How long the server keeps the session without a connection, in whole seconds; infinite: without limit. Default 0 for `none`, 1 h for `process`, and 7 days for `durable`, so that a forgotten client does not occupy the server without end.",
  "receiveMaximum": "How many unacknowledged QoS 1 and 2 messages the server may send, 1 to 65535. Default 1024.",
  "maximumPacketSize": "The largest inbound packet in bytes, 1 to 268,435,460. Default 1 MiB.",
  "topicAliasMaximum": "How many topic aliases the server may use, 0 to 65535. Default 16.",
  "topicAliases":
    "Topic aliases of outgoing messages, within the server's Topic Alias Maximum (MQTT 3.3.2.3.4). `auto`: topics of 16 to 1024 characters that are published repeatedly get one, up to 256 topics at a time. `explicit`: only messages with a `topicAlias` have one. MQTT 5. Default `auto`.",
  "maxInflight":
    "How many outgoing QoS 1 and 2 messages may be unacknowledged, 1 to 65535. The server may allow fewer. Default 1000.",
  "maxInflightQoS2":
    "The same for QoS 2 on MQTT 3.1.1, where servers cannot announce their limit. Default 19. While its limit is reached (20 by default), mosquitto 2.0 answers a QoS 1 message with a plain PUBACK and drops it.",
  "requestResponseInformation": "Asks the server for response information (MQTT 3.1.2.11.6). Default `false`.",
  "requestProblemInformation": "Lets the server explain failures (MQTT 3.1.2.11.7). Default `true`.",
  "connectUserProperties": "User properties of CONNECT. MQTT 5. Default none.",
  "will": "The message that the server publishes when the connection ends without DISCONNECT. Default none.",
  "will.topic": "The topic name.",
  "will.payload": "A string is sent in UTF-8.",
  "will.qos": "Default 0.",
  "will.retain": "Default `false`.",
  "will.delay":
    "How long the server waits for a reconnect before it publishes the will, in whole seconds. MQTT 5. Default 0.",
  "will.properties": "MQTT 5. Default none.",
  "will.properties.payloadFormatIndicator": "0: unspecified bytes, 1: UTF-8 text. Default: not sent.",
  "will.properties.messageExpiryInterval": "Lifetime in seconds. Default: no limit.",
  "will.properties.contentType": "Describes the content, for example as a MIME type. Default none.",
  "will.properties.responseTopic": "The topic for answers. Default none.",
  "will.properties.correlationData":
    "Identifies the request that an answer belongs to; a string is sent in UTF-8. Default none.",
  "will.properties.userProperties": "Names with values, in their order. Default none.",
  "tls": "Default: the system's authorities and Node's own defaults. A browser always uses its own settings.",
  "tls.ca": "The trusted authorities, instead of the system's.",
  "tls.cert": "The client's certificate with its chain; together with `key`.",
  "tls.key": "The key of `cert`.",
  "tls.pfx": "Certificate and key in one PKCS #12 archive, instead of `cert` and `key`.",
  "tls.passphrase": "Decrypts `key` or `pfx`.",
  "tls.servername":
    "The host name that is requested and that the certificate is checked against. Default: the host of the server in use.",
  "tls.alpn":
    "Application protocols to offer (ALPN); default none. AWS IoT on port 443 wants `x-amzn-mqtt-ca`, or `mqtt` with a custom authorizer.",
  "tls.insecureSkipVerify":
    "Connects to a server whose certificate is not verified. Without `pins` anyone on the network path can then pose as the server and obtain user name and password. The session warns at each connect, and its status says so. Default `false`.",
  "tls.minVersion": "Default `TLSv1.2`.",
  "tls.ciphers":
    "The cipher suites to offer, in the form of OpenSSL: names with `:` between them. Default: those of Node.",
  "tls.crl":
    "Revocation lists, PEM texts. With them every certificate of the server's chain needs a list of its issuer, and must not be in it. Default none.",
  "tls.pins":
    "Public keys that the server's own certificate may have, each as `sha256/` and the digest of its SubjectPublicKeyInfo in base64. Checked in addition to the certificate; with `insecureSkipVerify` they are what verifies the server. Default: any.",
  "certificateThresholds":
    "How many days before the end of a certificate the event CertificateExpiring reports it, 0 to 3650; an empty array: never. Default 30, 7 and 1.",
  "webSocket": "The settings of WebSockets, for servers with `ws` or `wss`.",
  "webSocket.path": "The path, with or without a query, for servers whose URL has none. Default `/`.",
  "webSocket.headers": "Headers of the upgrade request; a browser cannot send any. Default none.",
  "webSocket.subprotocol":
    "Default `mqtt`, as the specification demands (MQTT 6.0.0-4). Some old servers require `mqttv3.1`.",
  "webSocket.queries":
    "The queries of the servers' URLs without `?`, by the URL as in `servers`. They often hold tokens. Default none.",
  "proxy": "The proxy on the way to the servers. Default: none, whatever the environment says. Unix sockets have none.",
  "proxy.url":
    "`http://host:port` or `https://host:port` (the method CONNECT), `socks5h://host:port`, or `socks5://host:port`, where this client resolves the name of the server. User name and password in it, percent-encoded, become `username` and `password`; checked options hold the URL without them. Default none.",
  "proxy.username": "User name for the proxy. Default none.",
  "proxy.password": "Password for the proxy. Default none.",
  "proxy.ca": "The authorities that are trusted for an `https://` proxy. PEM texts. Default: the system's.",
  "proxy.environment":
    "Takes the proxy from the environment of the process at each connect: `HTTPS_PROXY` for servers with TLS, `HTTP_PROXY` for the others, then `ALL_PROXY`, each in small letters first; and `NO_PROXY` in addition to `noProxy`. Default `false`.",
  "proxy.noProxy":
    "Servers that are reached without the proxy: `name` and all names that end in `.name`, addresses, both also with `:port`, subnets such as `10.0.0.0/8`, or `*`. Default none.",
  "reconnect": "When and how often the session tries to connect.",
  "reconnect.enabled":
    "`false`: the session ends with its first connection, or when that connection fails. Default `true`.",
  "reconnect.initialDelay": "The delay before the first attempt after a failure or loss. Default 2 s.",
  "reconnect.factor": "The factor by which the delay grows after each failure. Default 1.5.",
  "reconnect.maxDelay": "The longest delay. Default 120 s.",
  "reconnect.jitter":
    "The random part of each delay. `equal`: 50 to 100 % of it; `full`: 0 to 100 %; `none`: exactly the delay. Default `equal`.",
  "reconnect.stableAfter":
    "How long a connection must last before the delays start from `initialDelay` again. Default 30 s.",
  "reconnect.returnAfter":
    "How long a session stays connected to another server than the preferred one, the first of its list, before it returns. It looks first whether that one can be reached, and again after the same time when it cannot. Default: it stays until the connection ends.",
  "reconnect.onPermanentFailure":
    "The reaction to a permanent failure: another attempt after `permanentDelay`, or the end of the session. Default `retry`.",
  "reconnect.permanentDelay": "The delay after a permanent failure. Default 60 s.",
  "redirects":
    "How many times in a row the session follows a server that sends it to another one (MQTT 4.11), 0 to 100; 0: never. MQTT 5. Default 3.",
  "reconnectSchedule":
    "Replaces the schedule that `reconnect` describes. Its input is the failure, and its end stops reconnecting. It is code: JSON and the environment have no form for it. Default: as `reconnect` says.",
  "credentials":
    "Answers credentials before each attempt to connect, and before they expire; see the module `Credentials`. What it answers replaces the options of the same names. It is code, as `reconnectSchedule` is. Default: the options alone.",
  "authentication":
    "Enhanced authentication (MQTT 4.12), see the module `Authentication`. It is code, as `reconnectSchedule` is. MQTT 5. Default none.",
  "onSessionLost":
    "The reaction when the server has lost the session: subscribe again, or fail the streams with `SessionLost`. Default `resubscribe`.",
  "unacknowledgedOnSessionLost": "What then happens to unacknowledged messages. Default `resend`.",
  "poisonThreshold":
    "The number of consecutive connections that the server ends because of one message or subscription before that one fails with `PoisonMessage`; 0: never. Default 6.",
  "onStorageFailure":
    "What happens to publishes while the store of a durable session fails. `wait`: they wait, within the limits of the queue. `fail`: they fail with `StorageFailed`, and the message is neither kept nor sent. What was accepted before stays accepted either way. Default `wait`.",
  "queue": "The limits of the queue of outgoing messages.",
  "queue.messages": "Default 10,000.",
  "queue.bytes":
    "Bytes of topics, payloads and properties, including those of unacknowledged messages. Default: half of `memoryLimit`, and 32 MiB without it.",
  "queue.policy":
    "`suspend` makes the publisher wait, and `fail` fails it with `QueueFull`. The others drop the oldest message, the new one, or the one that waits for the same topic. Default `suspend`.",
  "queue.expiresAfter":
    "The lifetime of a message after it was accepted, up to 24 days. The Message Expiry Interval and the `expiresAfter` of the single message apply too, and the shortest wins. Default: no limit.",
  "memoryLimit":
    "The memory that messages of the session may take, in bytes, including the cost of their properties: `queue.bytes` for outgoing messages, and the rest for received ones until their consumers have finished with them. At least `queue.bytes` and `maximumPacketSize` together. Default: `queue.bytes` plus the larger of 32 MiB and two packets of `maximumPacketSize`; 64 MiB without both options.",
  "publishTimeout":
    "The time limit of `publish`, and of `enqueue` until the message is accepted, including waits. Default: no limit.",
  "writeTimeout": "How long the network may accept no byte. Default 30 s.",
  "subscribeTimeout":
    "How long the server may take to answer with SUBACK or UNSUBACK, and how long a topic filter that it refuses over a quota (0x97) is sent again. Default 30 s.",
  "streamBuffer": "How many messages a stream buffers. Default 1000.",
  "onOverflow": "What happens when a QoS 0 message meets a full buffer. Default `dropOldest`.",
  "ackDeadline": "How long the oldest unacknowledged message may block the receive window. Default 30 s.",
  "onAckDeadline": "What happens after `ackDeadline`. Default `wait`.",
  "unclaimed": "What happens to messages of a resumed session that no stream consumes.",
  "unclaimed.hold": "How long the messages are held before they are dropped. Default 10 s.",
  "unclaimed.fraction":
    "Fraction of the Receive Maximum that unclaimed messages may occupy after one batch has waited for `hold`. Above 0 and at most 1; default 0.5.",
  "subscriptionIdentifiers":
    "`auto` uses subscription identifiers if the server supports them (MQTT 3.8.2.1.2). Default `auto`.",
  "serverLimits": "Limits of the server that it does not announce in CONNACK.",
  "serverLimits.maximumPacketSize":
    "The largest packet that the server takes, in bytes, 1 to 268,435,460. Default: no limit.",
  "serverLimits.maximumQoS": "The highest quality of service of publishes and subscriptions. Default 2.",
  "serverLimits.retainAvailable": "Whether the server keeps retained messages. Default `true`.",
  "serverLimits.sharedSubscriptionAvailable": "Whether the server has shared subscriptions. Default `true`.",
  "serverLimits.filtersPerSubscribe":
    "How many topic filters a SUBSCRIBE or UNSUBSCRIBE may have, 1 to 65535. When the server ends a connection over a packet of several filters, the session sends fewer by itself. Default 100.",
  "serverLimits.subscriptions": "How many subscriptions the session may have, 1 to 1,000,000. Default: no limit.",
  "drainTimeout": "How long `drain` may take. Default 10 s.",
  "tracing":
    "Spans for messages, with the trace context of the W3C in user properties (MQTT 5): `publish` writes it, and a handler runs in a span `process` under that of the sender (`parent`) or linked to it (`link`). Default `off`.",
  "flightRecorder":
    "The memory of the flight record, in bytes: the last inputs of the session's engine, without payloads and secrets, see `FlightRecorder`. 0: no record; otherwise at least 65,536. Default 0.",
  "log":
    "What the session writes to Effect's logger: failures and recoveries (`warnings`), every event (`all`), or nothing (`off`); see `SessionLog`. Default: the setting of `SessionLog.layer`, otherwise `warnings`."
}

/** Of forwarders. */
export const forwarderDescriptions: Readonly<Record<string, string>> = {
  "name": "The name of the forwarder. Messages on MQTT 5 list the names of the forwarders that they have passed.",
  "enabled": "Whether `ForwarderManager.add` starts the forwarder at once. Default true.",
  "sources": "The names of the sessions that messages come from. The sessions may be added later.",
  "filters": "The topic filters that the forwarder subscribes to at each source.",
  "exclude": "Topic filters of messages that are not forwarded although `filters` match them. Default none.",
  "target": "The name of the session that publishes the forwarded messages.",
  "subscribeQoS":
    "The highest quality of service of the deliveries, see `SubscribeOptions.qos`. Default 2: as published.",
  "share":
    "Subscribes as a member of this group, so that several forwarders share the work (MQTT 4.8.2). Default: no shared subscription.",
  "noLocal":
    "Asks the sources not to send what the same session publishes (No Local, MQTT 5; not with shared subscriptions). It avoids the way back of messages that another forwarder publishes by that session. It also excludes what the program itself publishes by it. Default: true when source and target are one session.",
  "retained":
    "Whether retained messages are forwarded when a subscription begins, see `SubscribeOptions.retained`. Default `each`.",
  "mapping": "Rules from topics to topics. The first rule that matches a topic decides. Default none.",
  "unmapped": "What happens to topics that no rule matches. Default `pass`: forwarded unchanged.",
  "contains": "Only payloads that contain this text, read as UTF-8. Default: all.",
  "matches": "Only payloads whose first 64 KiB, read as UTF-8, match this regular expression. Default: all.",
  "sample": "Which of the messages are forwarded. Default: all.",
  "sample.every": "One in so many.",
  "sample.probability": "Each with this probability, 0 to 1.",
  "sample.interval": "At most one for each topic in this time.",
  "onChange":
    "Number of topics whose last payload is remembered. A message whose payload equals the last one on its topic is dropped. Default 0: off.",
  "qos": "The quality of service of forwarded messages. Default `keep`.",
  "retain":
    "`keep` (default): retained messages stay retained. On MQTT 5 this includes those published while the forwarder runs (Retain As Published); on 3.1.1 servers mark only what they send when a subscription begins. `clear`: never retained. `set`: always retained.",
  "metadata":
    "User properties that are added to each message on MQTT 5. In the values, `{forwarder}`, `{session}`, `{topic}` and `{timestamp}` (milliseconds since the epoch) are replaced. Default none.",
  "envelope": "On 3.1.1: wraps payload and metadata into a JSON text, see the guide to forwarders. Default false.",
  "rateLimit": "The highest rate at which messages are forwarded. Default: no limit.",
  "rateLimit.messages": "How many messages in each time `per`.",
  "rateLimit.per": "Default 1 s.",
  "rateLimit.burst": "How many messages at once after a pause. Default `messages`, at least 1.",
  "maxInFlight": "Messages in flight at a time; 1 to 65,535. Default 1000.",
  "buffer": "QoS 0 messages of one session that wait while `maxInFlight` is reached. Default 1000.",
  "onOverflow":
    "What happens when a QoS 0 message meets a full buffer: see `SubscribeOptions.onOverflow`. Default `dropOldest`.",
  "acceptance":
    "When a message counts as forwarded and is acknowledged at its source. `acknowledged`: when the target's server has acknowledged it. `stored`: when the queue of a durable target has stored it. Default `stored` for a durable target, else `acknowledged`.",
  "deadLetter":
    "Where messages go when forwarding has failed permanently. Default: none; they are counted and given up.",
  "deadLetter.topic": "The topic name that failed messages are published to.",
  "deadLetter.session": "The name of the session that publishes them. Default: the target.",
  "allowLoops":
    "Lets messages return to a broker that already has them, for example under another topic, and allows a configuration that feeds itself by MQTT 3.1.1. Two guards remain: a message does not pass the same forwarder twice, and `maxHops`. Default false.",
  "loopGuard": "Signs routes. Default: routes are not signed, and every route counts.",
  "loopGuard.secret": "Signs routes; at least 16 characters.",
  "loopGuard.accepts": "Further secrets whose signatures are accepted while a secret is being replaced. Default none.",
  "maxHops":
    "How many forwarders a message may pass; 1 to 8. Default 8. In a full mesh 1 is enough, and makes one copy for each broker.",
  "stopTimeout": "How long `stop` waits for the messages in flight. Default 10 s."
}
