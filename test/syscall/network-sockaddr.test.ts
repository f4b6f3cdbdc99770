/** Addresses of sockets: records to the kernel's bytes and back. */
import { SocketAddress } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Abi, Syscall } from "../../src/index.ts"
import { decodeSockAddr, encodeSockAddr, type SockAddr, type SockAddrLike } from "../../src/syscall/network.ts"

const utf8 = (text: string) => new TextEncoder().encode(text)

const same = (given: SockAddrLike, back: SockAddr | undefined) =>
  assert.deepStrictEqual(decodeSockAddr(encodeSockAddr(given)), back)

const refused = (given: SockAddrLike, pattern: RegExp) => assert.throws(() => encodeSockAddr(given), pattern)

describe("an Inet address", () => {
  it("has its port and its bytes in the order in which they are sent", () => {
    const bytes = encodeSockAddr({ _tag: "Inet", address: "192.0.2.255", port: 0x1f90 })
    assert.deepStrictEqual([...bytes], [Syscall.AF_INET, 0, 0x1f, 0x90, 192, 0, 2, 255, 0, 0, 0, 0, 0, 0, 0, 0])
    same({ _tag: "Inet", address: "192.0.2.255", port: 8080 }, { _tag: "Inet", address: "192.0.2.255", port: 8080 })
    same({ _tag: "Inet", address: "0.0.0.0", port: 0 }, { _tag: "Inet", address: "0.0.0.0", port: 0 })
    same(
      { _tag: "Inet", address: "255.255.255.255", port: 65535 },
      { _tag: "Inet", address: "255.255.255.255", port: 65535 }
    )
  })

  it("is refused where it is none", () => {
    for (const address of [
      "",
      "1.2.3",
      "1.2.3.4.5",
      "1.2.3.256",
      "01.2.3.4",
      "1.2.3.-4",
      " 1.2.3.4",
      "1.2.3.4\0",
      "::1"
    ]) {
      refused({ _tag: "Inet", address, port: 1 }, /address: expected an IPv4 address/)
    }
    for (const port of [-1, 65536, 1.5, Number.NaN])
      refused({ _tag: "Inet", address: "1.2.3.4", port }, /port: expected/)
    // @ts-expect-error an address is text
    refused({ _tag: "Inet", address: 5, port: 1 }, /expected a string/)
    // @ts-expect-error there is no such tag
    refused({ _tag: "Inet5", address: "1.2.3.4", port: 1 }, /tags of SockAddr/)
  })
})

describe("an Inet6 address", () => {
  const inet6 = (address: string) => ({ _tag: "Inet6", address, port: 0 }) as const

  it("is written as inet_ntop writes it, whatever the form it is given in", () => {
    const given = [
      "::",
      "::1",
      "1::",
      "2001:db8::8:800:200c:417a",
      "2001:0DB8:0000:0000:0008:0800:200C:417A",
      "1:0:0:2:0:0:0:3",
      "1:0:0:2:3:0:0:4",
      "1:0:2:3:4:5:6:7",
      "::ffff:192.0.2.1",
      "::192.0.2.1",
      "::ffff:0:192.0.2.1",
      "64:ff9b::192.0.2.33",
      "fe80::1",
      "0:0:0:0:0:0:0:ffff",
      "::2:3:4:5:6:7:8",
      "1:2:3:4:5:6:7:8"
    ]
    for (const address of given) {
      const other = new SocketAddress({ address, family: "ipv6" }).address
      same(inet6(address), { _tag: "Inet6", address: other, port: 0, flowinfo: 0, scopeId: 0 })
    }
  })

  it("says what any sixteen bytes are", () => {
    // A small generator with a fixed seed; zeros are frequent, as runs of them are what is special.
    let state = 1
    const next = () => {
      state = (state * 1103515245 + 12345) % 2147483648
      return state >> 8
    }
    for (let round = 0; round < 500; round++) {
      const groups = Array.from({ length: 8 }, () => (next() % 2 === 0 ? 0 : next() % 65536))
      const address = groups.map((group) => group.toString(16)).join(":")
      const other = new SocketAddress({ address, family: "ipv6" }).address
      same(inet6(address), { _tag: "Inet6", address: other, port: 0, flowinfo: 0, scopeId: 0 })
    }
  })

  it("has flow and scope", () => {
    const bytes = encodeSockAddr({ _tag: "Inet6", address: "fe80::2", port: 1, flowinfo: 0x12345, scopeId: 7 })
    assert.strictEqual(bytes.length, 28)
    assert.deepStrictEqual([...bytes.subarray(0, 8)], [Syscall.AF_INET6, 0, 0, 1, 0, 1, 0x23, 0x45])
    assert.deepStrictEqual([...bytes.subarray(24)], [7, 0, 0, 0])
    const whole = { _tag: "Inet6", address: "fe80::2", port: 1, flowinfo: 0x12345, scopeId: 7 } as const
    same(whole, whole)
  })

  it("is refused where it is none", () => {
    for (const address of [
      "",
      ":",
      ":::",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "1::2::3",
      "1:2:3:4:5:6:7::8",
      "g::",
      "12345::",
      "1.2.3.4",
      "1.2.3.4::",
      "::1%lo",
      ":1",
      "1:"
    ]) {
      refused(inet6(address), /address: expected an IPv6 address/)
    }
  })
})

describe("a Unix address", () => {
  it("is a path with its NUL, unless there is no room for one", () => {
    const bytes = encodeSockAddr({ _tag: "Unix", path: "/a" })
    assert.deepStrictEqual([...bytes], [Syscall.AF_UNIX, 0, 0x2f, 0x61, 0])
    same({ _tag: "Unix", path: "/a" }, { _tag: "Unix", path: utf8("/a") })
    const longest = "x".repeat(Syscall.UNIX_PATH_MAX)
    assert.strictEqual(encodeSockAddr({ _tag: "Unix", path: longest }).length, Abi.sockaddr_un.size)
    same({ _tag: "Unix", path: longest }, { _tag: "Unix", path: utf8(longest) })
    same({ _tag: "Unix", path: Uint8Array.of(0xff) }, { _tag: "Unix", path: Uint8Array.of(0xff) })
    refused({ _tag: "Unix", path: `${longest}x` }, /path: 109 bytes/)
    refused({ _tag: "Unix", path: "" }, /empty path/)
    refused({ _tag: "Unix", path: "a\0b" }, /NUL/)
    refused({ _tag: "Unix", path: "\ud800" }, /well-formed/)
  })

  it("is an abstract name, NULs and all", () => {
    assert.deepStrictEqual([...encodeSockAddr({ _tag: "Unix", abstract: "a" })], [Syscall.AF_UNIX, 0, 0, 0x61])
    same({ _tag: "Unix", abstract: Uint8Array.of(0, 1, 0) }, { _tag: "Unix", abstract: Uint8Array.of(0, 1, 0) })
    same({ _tag: "Unix", abstract: "" }, { _tag: "Unix", abstract: new Uint8Array(0) })
    same({ _tag: "Unix", abstract: "x".repeat(107) }, { _tag: "Unix", abstract: utf8("x".repeat(107)) })
    refused({ _tag: "Unix", abstract: "x".repeat(108) }, /abstract: 108 bytes/)
  })

  it("is none", () => {
    assert.deepStrictEqual([...encodeSockAddr({ _tag: "Unix", unnamed: true })], [Syscall.AF_UNIX, 0])
    same({ _tag: "Unix", unnamed: true }, { _tag: "Unix", unnamed: true })
  })
})

describe("an address", () => {
  it("of netlink, a packet socket or a virtual machine has the layout of its structure", () => {
    assert.deepStrictEqual(Abi.sockaddr_nl.decode(encodeSockAddr({ _tag: "Netlink", pid: 7, groups: 5 })), {
      nl_family: Syscall.AF_NETLINK,
      nl_pid: 7,
      nl_groups: 5
    })
    same({ _tag: "Netlink", pid: 0xffffffff }, { _tag: "Netlink", pid: 0xffffffff, groups: 0 })

    const packet = encodeSockAddr({
      _tag: "Packet",
      protocol: Syscall.ETH_P_IP,
      ifindex: 3,
      address: Uint8Array.of(1, 2)
    })
    assert.deepStrictEqual([...packet], [17, 0, 8, 0, 3, 0, 0, 0, 0, 0, 0, 2, 1, 2, 0, 0, 0, 0, 0, 0])
    const all = { _tag: "Packet", protocol: Syscall.ETH_P_ALL, ifindex: -1, hatype: 772, pkttype: 4 } as const
    same(all, { ...all, address: new Uint8Array(0) })
    refused({ ...all, address: new Uint8Array(9) }, /sll_addr/)

    const { VMADDR_CID_HOST, VMADDR_PORT_ANY } = Syscall
    assert.deepStrictEqual(
      Abi.sockaddr_vm.decode(encodeSockAddr({ _tag: "Vsock", cid: VMADDR_CID_HOST, port: VMADDR_PORT_ANY, flags: 1 })),
      { svm_family: Syscall.AF_VSOCK, svm_port: 0xffffffff, svm_cid: 2, svm_flags: 1 }
    )
    same({ _tag: "Vsock", cid: 3, port: 4 }, { _tag: "Vsock", cid: 3, port: 4, flags: 0 })
  })

  it("of any other family is its bytes", () => {
    const raw = { _tag: "Raw", family: Syscall.AF_CAN, bytes: Uint8Array.of(1, 2, 3) } as const
    assert.deepStrictEqual([...encodeSockAddr(raw)], [29, 0, 1, 2, 3])
    same(raw, raw)
    same(
      { _tag: "Raw", family: 0x1234, bytes: new Uint8Array(0) },
      { _tag: "Raw", family: 0x1234, bytes: new Uint8Array(0) }
    )
    refused({ _tag: "Raw", family: 65536, bytes: new Uint8Array(0) }, /family/)
  })

  it("that is cut short is its bytes, or none at all", () => {
    assert.strictEqual(decodeSockAddr(new Uint8Array(0)), undefined)
    assert.strictEqual(decodeSockAddr(new Uint8Array(1)), undefined)
    const bytes = encodeSockAddr({ _tag: "Inet", address: "1.2.3.4", port: 5 })
    assert.deepStrictEqual(decodeSockAddr(bytes.subarray(0, 8)), {
      _tag: "Raw",
      family: Syscall.AF_INET,
      bytes: Uint8Array.of(0, 5, 1, 2, 3, 4)
    })
  })
})
