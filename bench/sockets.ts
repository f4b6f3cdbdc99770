/**
 * Echo of 1 KiB over connected pairs of Unix sockets and over loopback TCP, one connection and a hundred, against node:net:
 * how long it takes in all, and how long a message is on its way there and back.
 */
import { once } from "node:events"
import { connect, createServer, Socket as NodeSocket } from "node:net"
import { Effect } from "effect"
import { File, Socket, SocketAddress } from "effect-linux"
import { compare, type Settings, type Timed } from "./support.ts"
import { type Outcome, row } from "./table.ts"

const names = { ours: "Socket", other: "node:net" }
const latencies = { half: "half of them within", most: "99 % of them within" }

const size = 1024
const message = new Uint8Array(size).fill(1)

type Transport = "unix" | "tcp"

/** Round trips that several connections share out among themselves, and how long each takes. */
class Trips {
  private readonly from = process.hrtime.bigint()
  private readonly took: Float64Array
  private begun = 0
  private ended = 0

  constructor(times: number) {
    this.took = new Float64Array(times)
  }

  /** Takes one; false where none is left. */
  begin(): boolean {
    return this.begun++ < this.took.length
  }

  end(since: number): void {
    this.took[this.ended++] = performance.now() - since
  }

  result(): Timed {
    const nanos = Number(process.hrtime.bigint() - this.from)
    this.took.sort()
    const within = (part: number): number => (this.took[Math.floor(this.took.length * part)] ?? Number.NaN) * 1e6
    return { nanos, also: { [latencies.half]: within(0.5), [latencies.most]: within(0.99) } }
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// ours
// ---------------------------------------------------------------------------------------------------------------------

const echo = (socket: Socket.Socket) =>
  Effect.gen(function* () {
    const buffer = new Uint8Array(64 * 1024)
    while (true) {
      const count = yield* Socket.recv(socket, buffer)
      if (count === 0) return
      yield* Socket.sendAll(socket, buffer.subarray(0, count))
    }
  })

const asks = (socket: Socket.Socket, trips: Trips) =>
  Effect.gen(function* () {
    const buffer = new Uint8Array(64 * 1024)
    while (trips.begin()) {
      const since = performance.now()
      yield* Socket.sendAll(socket, message)
      for (let got = 0; got < size; ) got += yield* Socket.recv(socket, buffer)
      trips.end(since)
    }
  })

/** The clients' ends of pairs, of which the other ends are echoed. */
const overPairs = (connections: number) =>
  Effect.gen(function* () {
    const clients: Array<Socket.Socket> = []
    for (let i = 0; i < connections; i++) {
      const [client, server] = yield* Socket.pair("stream")
      yield* Effect.forkScoped(echo(server))
      clients.push(client)
    }
    return clients
  })

const overTcp = (connections: number) =>
  Effect.gen(function* () {
    const listener = yield* Socket.listener(SocketAddress.inet("127.0.0.1", 0))
    const address = yield* Socket.localAddress(listener)
    yield* Effect.forkScoped(Socket.serve(listener, ({ socket }) => echo(socket)))
    return yield* Effect.forEach(Array.from({ length: connections }), () => Socket.dial(address))
  })

const ours = (transport: Transport, connections: number, times: number): Promise<Timed> =>
  Effect.gen(function* () {
    const clients = yield* transport === "unix" ? overPairs(connections) : overTcp(connections)
    const trips = new Trips(times)
    yield* Effect.forEach(clients, (client) => asks(client, trips), { concurrency: "unbounded", discard: true })
    return trips.result()
  }).pipe(Effect.scoped, Effect.runPromise)

// ---------------------------------------------------------------------------------------------------------------------
// theirs
// ---------------------------------------------------------------------------------------------------------------------

const nodeEcho = (socket: NodeSocket): NodeSocket => socket.on("data", (chunk) => socket.write(chunk))

const nodeAsks = (socket: NodeSocket, trips: Trips): Promise<void> =>
  new Promise((resolve, reject) => {
    let since = 0
    let got = 0
    const ask = (): void => {
      if (trips.begin()) {
        got = 0
        since = performance.now()
        socket.write(message)
      } else {
        resolve()
      }
    }
    socket.on("error", reject)
    socket.on("data", (chunk) => {
      got += chunk.length
      if (got < size) return
      trips.end(since)
      ask()
    })
    ask()
  })

/** Node makes no pairs, but takes them. */
const nodePair: Effect.Effect<readonly [NodeSocket, NodeSocket], unknown> = Effect.scoped(
  Effect.gen(function* () {
    const [client, server] = yield* Socket.pair("stream")
    const [one, other] = [yield* File.release(client), yield* File.release(server)]
    return [new NodeSocket({ fd: one }), new NodeSocket({ fd: other })] as const
  })
)

const theirs = async (transport: Transport, connections: number, times: number): Promise<Timed> => {
  const clients: Array<NodeSocket> = []
  const servers: Array<NodeSocket> = []
  const listener = createServer((socket) => servers.push(nodeEcho(socket)))
  if (transport === "tcp") {
    listener.listen(0, "127.0.0.1")
    await once(listener, "listening")
  }
  const address = listener.address()
  for (let i = 0; i < connections; i++) {
    if (address !== null && typeof address === "object") {
      const client = connect(address.port, "127.0.0.1")
      await once(client, "connect")
      clients.push(client)
    } else {
      const [client, server] = await Effect.runPromise(nodePair)
      servers.push(nodeEcho(server))
      clients.push(client)
    }
  }
  const trips = new Trips(times)
  await Promise.all(clients.map((client) => nodeAsks(client, trips)))
  const result = trips.result()
  const closed = [...clients, ...servers].map((socket) => once(socket.destroy(), "close"))
  if (listener.listening) closed.push(once(listener.close(), "close"))
  await Promise.all(closed)
  return result
}

/** Echo over Unix sockets and loopback TCP. */
export const sockets = async (settings: Settings): Promise<Outcome> => {
  const times = settings.quick ? 1_000 : 10_000
  const outcomes: Array<Outcome> = []
  for (const transport of ["unix", "tcp"] as const) {
    for (const connections of [1, 100]) {
      const where = transport === "unix" ? "a Unix socket pair" : "loopback TCP"
      const what = `echo, ${where}, ${connections} ×`
      const measured = await compare(settings, {
        title: `echo of 1 KiB over ${where}, connections: ${connections}`,
        ours: { name: names.ours, times, run: (times) => ours(transport, connections, times) },
        others: [{ name: names.other, times, run: (times) => theirs(transport, connections, times) }]
      })
      const within = (part: string) => ({
        what: `${what}, ${part}`,
        ours: `${names.ours}: ${part}`,
        other: `${names.other}: ${part}`,
        against: names.other,
        target: { atMost: 1 }
      })
      outcomes.push({
        rows: [
          row("sockets", measured, { what, ours: names.ours, other: names.other, target: { faster: 1.3 } }),
          row("sockets", measured, within(latencies.half)),
          row("sockets", measured, within(latencies.most))
        ],
        measured: [measured]
      })
    }
  }
  return {
    rows: outcomes.flatMap(({ rows }) => rows),
    measured: outcomes.flatMap(({ measured = [] }) => measured)
  }
}
