/** Addresses as data: made, printed, read, compared, and as the kernel gives them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Equal, Result, Schema } from "effect"
import { Errno, Socket, SocketAddress, Syscall } from "../src/index.ts"
import { evaluateC, missing } from "./support/c.ts"

const { Ipv4, Ipv6 } = SocketAddress

const parsed = (text: string) => Result.getOrThrow(SocketAddress.parse(text))

const bytes = (...values: ReadonlyArray<number>) => Uint8Array.from(values)

describe("SocketAddress.format and parse", () => {
  const cases: ReadonlyArray<readonly [string, SocketAddress.SocketAddress]> = [
    ["127.0.0.1:80", SocketAddress.inet("127.0.0.1", 80)],
    ["0.0.0.0:0", SocketAddress.inet(Ipv4.ANY, 0)],
    ["[::1]:80", SocketAddress.inet6("::1", 80)],
    ["[fe80::1%2]:8080", SocketAddress.inet6("fe80::1", 8080, { scopeId: 2 })],
    ["[::1]:80?flowinfo=7", SocketAddress.inet6("::1", 80, { flowinfo: 7 })],
    ["[::ffff:192.0.2.1]:443", SocketAddress.inet6("::ffff:192.0.2.1", 443)],
    ["unix:/run/name", SocketAddress.unix("/run/name")],
    ["unix:name?x=1", SocketAddress.unix("name?x=1")],
    ["unix:\\x40name", SocketAddress.unix("@name")],
    ["unix:@bus", SocketAddress.abstract("bus")],
    ["unix:@@", SocketAddress.abstract("@")],
    ["unix:@\\x00\\x0a\\x5c", SocketAddress.abstract("\0\n\\")],
    ["unix:@\\xff\\x41".replace("\\x41", "A"), SocketAddress.abstract(bytes(0xff, 0x41))],
    ["unix:", SocketAddress.unnamed],
    ["unix:/tmp/\u{1F600} é", SocketAddress.unix("/tmp/\u{1F600} é")],
    ["netlink:0", SocketAddress.netlink()],
    ["netlink:7?groups=5", SocketAddress.netlink(7, 5)],
    [
      "packet:2?protocol=2048&hatype=1&pkttype=4&address=02:00:00:00:00:0a",
      SocketAddress.packet(2, 0x800, { hatype: 1, pkttype: 4, address: bytes(2, 0, 0, 0, 0, 10) })
    ],
    ["packet:0", SocketAddress.packet(0, 0)],
    ["vsock:2:1024", SocketAddress.vsock(SocketAddress.Cid.HOST, 1024)],
    ["vsock:4294967295:4294967295?flags=1", SocketAddress.vsock(SocketAddress.Cid.ANY, SocketAddress.Cid.PORT_ANY, 1)],
    ["raw:38:00ff", SocketAddress.raw(38, bytes(0, 255))],
    ["raw:0:", SocketAddress.raw(0, bytes())]
  ]
  for (const [text, address] of cases) {
    it(`have ${JSON.stringify(text)} for the same address`, () => {
      assert.strictEqual(SocketAddress.format(address), text)
      assert.deepStrictEqual(parsed(text), address)
    })
  }

  const wrong = [
    "",
    "127.0.0.1",
    "127.0.0.1:",
    "127.0.0.1:65536",
    "127.0.0.1:-1",
    "127.0.0.1:08",
    "127.0.1:80",
    "127.0.0.01:80",
    "localhost:80",
    "::1:80",
    "[::1]",
    "[::1]:x",
    "[::1%eth0]:80",
    "[::1]:80?scope=1",
    "[::1]:80?flowinfo=1&flowinfo=1",
    "unix:\\x0",
    "netlink:x",
    "netlink:1?groups",
    "packet:1?address=2:0",
    "vsock:2",
    "vsock:2:1:1",
    "vsock:2:1?flags=256",
    "raw:38:0",
    "raw:38:0g",
    "raw:70000:00"
  ]
  for (const text of wrong) {
    it(`refuse ${JSON.stringify(text)} with EINVAL, and say why`, () => {
      const result = SocketAddress.parse(text)
      assert.isTrue(Result.isFailure(result))
      if (!Result.isFailure(result)) return
      assert.instanceOf(result.failure, Errno.EINVAL)
      assert.include(result.failure.message, JSON.stringify(text))
    })
  }

  const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
  const byteList = (minimum: number, maximum: number) =>
    Schema.Array(int(0, 255)).check(Schema.isBetweenLength(minimum, maximum))
  const u32 = int(0, 0xffffffff)
  it.prop("lose nothing of any address", [byteList(16, 16), byteList(1, 100), u32, u32, int(0, 0xffff)], (parts) => {
    const [sixteen, name, a, b, port] = parts
    const noNul = Uint8Array.from(name, (byte) => byte || 1)
    const all: ReadonlyArray<SocketAddress.SocketAddress> = [
      SocketAddress.inet(Ipv4.fromBytes(Uint8Array.from(sixteen.slice(0, 4))), port),
      SocketAddress.inet6(Ipv6.fromBytes(Uint8Array.from(sixteen)), port, { flowinfo: a, scopeId: b }),
      SocketAddress.unix(noNul),
      SocketAddress.abstract(Uint8Array.from(name)),
      SocketAddress.netlink(a, b),
      SocketAddress.packet(a & 0x7fffffff, port, {
        hatype: b & 0xffff,
        pkttype: a & 0xff,
        address: Uint8Array.from(sixteen.slice(0, a % 9))
      }),
      SocketAddress.vsock(a, b, port & 0xff),
      SocketAddress.raw(38, Uint8Array.from(sixteen))
    ]
    for (const address of all) {
      const again = parsed(SocketAddress.format(address))
      assert.isTrue(SocketAddress.equals(again, address), SocketAddress.format(address))
      assert.deepStrictEqual(SocketAddress.encode(again), SocketAddress.encode(address))
    }
  })
})

describe("SocketAddress.equals", () => {
  it("sees through the ways to write the same address", () => {
    const same: ReadonlyArray<readonly [SocketAddress.Input, SocketAddress.Input]> = [
      [SocketAddress.inet6("::1", 80), SocketAddress.inet6("0:0:0:0:0:0:0:1", 80)],
      [SocketAddress.inet6("::1", 80), { _tag: "Inet6", address: "::1", port: 80 }],
      [SocketAddress.unix("/a"), SocketAddress.unix(bytes(0x2f, 0x61))],
      [SocketAddress.netlink(1), { _tag: "Netlink", pid: 1 }]
    ]
    for (const [a, b] of same) assert.isTrue(SocketAddress.equals(a, b), SocketAddress.format(a))
  })

  it("tells apart what is not the same to the kernel", () => {
    const different: ReadonlyArray<readonly [SocketAddress.Input, SocketAddress.Input]> = [
      [SocketAddress.inet("127.0.0.1", 80), SocketAddress.inet("127.0.0.1", 81)],
      [SocketAddress.inet("127.0.0.1", 80), SocketAddress.inet6("::ffff:127.0.0.1", 80)],
      [SocketAddress.inet6("::1", 80), SocketAddress.inet6("::1", 80, { scopeId: 1 })],
      [SocketAddress.unix("a"), SocketAddress.abstract("a")],
      [SocketAddress.unnamed, SocketAddress.abstract("")],
      [SocketAddress.inet("nonsense", 1), SocketAddress.inet("nonsense", 1)]
    ]
    for (const [a, b] of different) assert.isFalse(SocketAddress.equals(a, b), SocketAddress.format(a))
    assert.isTrue(SocketAddress.equivalence(SocketAddress.unnamed, SocketAddress.unnamed))
  })

  it("is Equal.equals for the addresses that calls give", () => {
    const address = SocketAddress.inet6("::1", 80)
    assert.isTrue(Equal.equals(SocketAddress.decode(SocketAddress.encode(address)), address))
    assert.isTrue(
      Equal.equals(SocketAddress.decode(SocketAddress.encode(SocketAddress.abstract(bytes(1, 255)))), {
        _tag: "Unix",
        abstract: bytes(1, 255)
      })
    )
  })
})

describe("IP addresses", () => {
  it("become numbers, bytes and back", () => {
    assert.strictEqual(Ipv4.toNumber("127.0.0.1"), 0x7f000001)
    assert.strictEqual(Ipv4.fromNumber(0xfffffffe), "255.255.255.254")
    assert.deepStrictEqual(Ipv4.toBytes("1.2.3.4"), bytes(1, 2, 3, 4))
    assert.strictEqual(Ipv6.fromBytes(Ipv6.toBytes("2001:db8::1")), "2001:db8::1")
    assert.throws(() => Ipv4.fromNumber(2 ** 32), RangeError)
    assert.throws(() => Ipv4.toNumber("1.2.3"), RangeError)
    assert.throws(() => Ipv4.fromBytes(bytes(1, 2, 3)), RangeError)
    assert.throws(() => Ipv6.fromBytes(bytes(1, 2, 3)), RangeError)
  })

  it("are mapped, and mapped back, with their ports", () => {
    assert.strictEqual(Ipv4.toMapped(Ipv4.LOOPBACK), "::ffff:127.0.0.1")
    assert.strictEqual(Ipv6.fromMapped("::ffff:7f00:1"), "127.0.0.1")
    assert.isUndefined(Ipv6.fromMapped("::1"))
    assert.isUndefined(Ipv6.fromMapped("::fffe:127.0.0.1"))
    const mapped = SocketAddress.inet6("::ffff:192.0.2.1", 443)
    assert.deepStrictEqual(SocketAddress.toMapped(SocketAddress.inet("192.0.2.1", 443)), mapped)
    assert.deepStrictEqual(SocketAddress.fromMapped(mapped), SocketAddress.inet("192.0.2.1", 443))
    assert.deepStrictEqual(SocketAddress.fromMapped(SocketAddress.inet6("::1", 1)), SocketAddress.inet6("::1", 1))
    assert.deepStrictEqual(SocketAddress.toMapped(SocketAddress.inet6("::1", 1)), SocketAddress.inet6("::1", 1))
  })

  it("of either version are told by their text", () => {
    assert.strictEqual(SocketAddress.family(SocketAddress.ip("127.0.0.1", 1)), Syscall.AF_INET)
    assert.strictEqual(SocketAddress.family(SocketAddress.ip("::1", 1)), Syscall.AF_INET6)
    assert.strictEqual(SocketAddress.family(SocketAddress.raw(Syscall.AF_CAN, bytes())), Syscall.AF_CAN)
  })

  const reason = missing("x86_64")
  it.skipIf(reason !== undefined)("have the constants of C", () => {
    const names = ["ANY", "BROADCAST", "NONE", "DUMMY", "LOOPBACK", "UNSPEC_GROUP", "ALLHOSTS_GROUP", "ALLRTRS_GROUP"]
    const all = [...names, "ALLSNOOPERS_GROUP"] as ReadonlyArray<keyof typeof Ipv4>
    const theirs = evaluateC("x86_64", [
      {
        preamble: "#include <linux/in.h>",
        questions: all.map((name) => ({ name, expression: `(unsigned int)INADDR_${name}` }))
      }
    ])
    for (const name of all) assert.strictEqual(BigInt(Ipv4.toNumber(String(Ipv4[name]))), theirs.get(name), name)
    for (const name of ["ANY", "LOOPBACK"] as const) {
      const init = evaluateC("x86_64", [
        {
          preamble:
            "#include <netinet/in.h>\nstatic const struct in6_addr any = IN6ADDR_ANY_INIT, loopback = IN6ADDR_LOOPBACK_INIT;",
          questions: Array.from({ length: 16 }, (_, i) => ({
            name: String(i),
            expression: `${name.toLowerCase()}.s6_addr[${i}]`
          }))
        }
      ])
      assert.deepStrictEqual([...Ipv6.toBytes(Ipv6[name])].map(BigInt), [...init.values()])
    }
  })
})

describe("addresses of the kernel", () => {
  const roundTrips: ReadonlyArray<readonly [Socket.Family, Socket.Type, SocketAddress.Input]> = [
    ["inet", "stream", SocketAddress.inet(Ipv4.LOOPBACK, 0)],
    ["inet6", "stream", SocketAddress.inet6(Ipv6.LOOPBACK, 0)],
    ["inet6", "stream", SocketAddress.toMapped(SocketAddress.inet(Ipv4.LOOPBACK, 0))],
    ["unix", "stream", SocketAddress.unnamed],
    ["netlink", "raw", SocketAddress.netlink()],
    ["vsock", "stream", SocketAddress.vsock(SocketAddress.Cid.ANY, SocketAddress.Cid.PORT_ANY)]
  ]
  for (const [family, type, address] of roundTrips) {
    it.effect(`are read as they were bound: ${SocketAddress.format(address)}`, (context) =>
      Effect.gen(function* () {
        const made = yield* Effect.result(Socket.make(family, type))
        if (Result.isFailure(made))
          return context.skip(`this kernel has no sockets of ${family}: ${made.failure.message}`)
        const socket = made.success
        yield* Socket.bind(socket, address)
        const local = yield* Socket.localAddress(socket)
        assert.strictEqual(local._tag, address._tag)
        assert.deepStrictEqual(parsed(SocketAddress.format(local)), local)
        if (local._tag === "Inet" || local._tag === "Inet6") {
          assert.isAbove(local.port, 0)
          assert.isTrue(SocketAddress.equals({ ...local, port: 0 }, address))
        }
        if (local._tag === "Netlink") assert.isAbove(local.pid, 0)
        if (local._tag === "Unix") assert.isDefined(local.abstract)
        if (local._tag === "Vsock") assert.notStrictEqual(local.port, SocketAddress.Cid.PORT_ANY)
        assert.isTrue(Equal.equals(yield* Socket.localAddress(socket), local))
      }).pipe(Effect.scoped)
    )
  }

  it.effect("of packet sockets have interface and protocol", (context) =>
    Effect.gen(function* () {
      const made = yield* Effect.result(Socket.make("packet", "datagram"))
      if (Result.isFailure(made)) return context.skip(`packet sockets: ${made.failure.message}`)
      yield* Socket.bind(made.success, SocketAddress.packet(1, Syscall.ETH_P_IP))
      const local = yield* Socket.localAddress(made.success)
      assert.strictEqual(local._tag, "Packet")
      if (local._tag !== "Packet") return
      assert.strictEqual(local.protocol, Syscall.ETH_P_IP)
      assert.strictEqual(local.ifindex, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("that cannot be written fail with EINVAL and say why", () =>
    Effect.gen(function* () {
      const socket = yield* Socket.make("inet", "stream")
      for (const address of [
        SocketAddress.inet("nonsense", 1),
        SocketAddress.inet(Ipv4.LOOPBACK, 65_536),
        SocketAddress.unix("a\0b"),
        SocketAddress.unix("x".repeat(109))
      ]) {
        const bound = yield* Effect.flip(Socket.bind(socket, address))
        assert.strictEqual(bound._tag, "EINVAL")
        const connected = yield* Effect.flip(Socket.connect(socket, address))
        assert.strictEqual(connected._tag, "EINVAL")
        assert.isNotEmpty(String(connected.message))
      }
    }).pipe(Effect.scoped)
  )
})
