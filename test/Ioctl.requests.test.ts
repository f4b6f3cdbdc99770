/** The requests of `Ioctl` and their constants against what the C compiler says of the kernel's headers. */
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Predicate } from "effect"
import { Ioctl } from "../src/index.ts"
import { architectures, evaluateC, isNative, missing, valid } from "./support/c.ts"

type Module = Readonly<Record<string, unknown>>

/** Each group with the headers that define its requests, and what they are called there where that is more than a name. */
const groups: Readonly<Record<string, { readonly module: Module; readonly headers: ReadonlyArray<string> }>> = {
  AnyFile: { module: Ioctl.AnyFile, headers: ["asm/ioctls.h"] },
  Block: { module: Ioctl.Block, headers: ["linux/fs.h", "linux/blkpg.h", "linux/blkzoned.h", "linux/hdreg.h"] },
  FileSystem: { module: Ioctl.FileSystem, headers: ["linux/fs.h", "linux/fiemap.h", "linux/fsmap.h"] },
  Hpet: { module: Ioctl.Hpet, headers: ["linux/hpet.h"] },
  Input: { module: Ioctl.Input, headers: ["linux/input.h", "linux/uinput.h"] },
  Loop: { module: Ioctl.Loop, headers: ["linux/loop.h"] },
  LoopControl: { module: Ioctl.LoopControl, headers: ["linux/loop.h"] },
  Namespace: { module: Ioctl.Namespace, headers: ["linux/nsfs.h", "asm/ioctl.h"] },
  Network: {
    module: Ioctl.Network,
    headers: ["linux/if.h", "linux/if_arp.h", "linux/if_tun.h", "linux/route.h", "linux/sockios.h"]
  },
  Random: { module: Ioctl.Random, headers: ["linux/random.h"] },
  RealTimeClock: { module: Ioctl.RealTimeClock, headers: ["linux/rtc.h", "linux/watchdog.h", "linux/hpet.h"] },
  Socket: { module: Ioctl.Socket, headers: ["asm/sockios.h", "asm/ioctls.h", "linux/sockios.h"] },
  Terminal: {
    module: Ioctl.Terminal,
    headers: ["asm/termbits.h", "asm/termios.h", "asm/ioctls.h", "linux/tty.h", "linux/serial.h"]
  },
  Tun: { module: Ioctl.Tun, headers: ["linux/if.h", "linux/if_arp.h", "linux/if_tun.h", "linux/route.h"] },
  UInput: { module: Ioctl.UInput, headers: ["linux/input.h", "linux/uinput.h"] },
  Vsock: { module: Ioctl.Vsock, headers: ["linux/ioctl.h", "linux/vm_sockets.h"] },
  Watchdog: { module: Ioctl.Watchdog, headers: ["linux/watchdog.h", "linux/rtc.h", "linux/hpet.h"] }
}

/** Macros with parameters, with those that ours stand for. */
const parameters: Readonly<Record<string, string>> = {
  EVIOCGNAME: "(256)",
  EVIOCGPHYS: "(256)",
  EVIOCGUNIQ: "(256)",
  EVIOCGPROP: "(96)",
  EVIOCGKEY: "(96)",
  EVIOCGLED: "(96)",
  EVIOCGSND: "(96)",
  EVIOCGSW: "(96)",
  UI_GET_SYSNAME: "(64)"
}

/** What the headers of 6.1 do not have, from the kernel's sources. */
const younger = ["FS_IOC_GETFSUUID", "FS_IOC_GETFSSYSFSPATH"]

const isRequest = (u: unknown): u is Ioctl.Request<never, never, unknown, unknown> =>
  Predicate.hasProperty(u, "~effect-linux/Request")

const requestsOf = (module: Module) =>
  Object.entries(module).flatMap(([name, value]) => (isRequest(value) ? [[name, value] as const] : []))

const native = architectures.find(isNative) ?? "x86_64"
const reason = missing(native)

const before = "#include <linux/types.h>\n#include <linux/ioctl.h>\n#include <stddef.h>\n#include <sys/time.h>\n"

/** The values of those expressions that the headers define. */
const ask = (headers: ReadonlyArray<string>, expressions: ReadonlyArray<string>): ReadonlyMap<string, bigint> => {
  const preamble = `${before}${headers.map((header) => `#include <${header}>`).join("\n")}`
  const known = valid(native, preamble, expressions)
  return evaluateC(native, [{ preamble, questions: known.map((expression) => ({ name: expression, expression })) }])
}

describe.skipIf(reason !== undefined)(`requests${reason === undefined ? "" : ` (skipped: ${reason})`}`, () => {
  for (const [group, { headers, module }] of Object.entries(groups)) {
    it(`of ${group} have the numbers of the kernel's headers, and so have its constants`, () => {
      const requests = requestsOf(module)
      const expected = new Map<string, bigint>(
        requests.map(([name, { code }]) => [`${name}${parameters[name] ?? ""}`, BigInt(code)])
      )
      if (group === "Input") {
        expected.set("EVIOCGABS(5)", BigInt(Ioctl.Input.EVIOCGABS(5).code))
        expected.set("EVIOCSABS(63)", BigInt(Ioctl.Input.EVIOCSABS(63).code))
        expected.set("EVIOCGBIT(EV_KEY, 96)", BigInt(Ioctl.Input.EVIOCGBIT(Ioctl.Input.EV_KEY).code))
      }
      for (const [name, value] of Object.entries(module)) {
        if (typeof value === "number" || typeof value === "bigint") expected.set(name, BigInt(value))
      }
      const values = ask(headers, [...expected.keys()])
      // A request's number is unsigned in the kernel, and some headers make an int of it.
      const unsigned = (value: bigint | undefined, name: string) =>
        value !== undefined && requests.some(([request]) => name.startsWith(request))
          ? BigInt.asUintN(32, value)
          : value
      const wrong = [...expected].filter(([name, value]) => {
        const theirs = unsigned(values.get(name), name)
        return theirs !== undefined && BigInt.asUintN(64, theirs) !== BigInt.asUintN(64, value)
      })
      assert.deepStrictEqual(wrong, [])
      assert.deepStrictEqual(
        [...expected.keys()].filter((name) => !values.has(name) && !younger.includes(name)),
        [],
        "what the headers do not have"
      )
    })
  }

  it("are all compared: every group of Ioctl is in the list", () => {
    const namespaces = Object.entries(Ioctl).filter(
      ([, value]) => Predicate.isObject(value) && requestsOf(value as Module).length > 0
    )
    assert.deepStrictEqual(namespaces.map(([name]) => name).toSorted(), Object.keys(groups).toSorted())
    const count = Object.values(groups).reduce((sum, { module }) => sum + requestsOf(module).length, 0)
    assert.isAtLeast(count, 240)
  })

  it("have the names that they are exported by", () => {
    for (const { module } of Object.values(groups)) {
      for (const [name, request] of requestsOf(module)) assert.strictEqual(request.name, name)
    }
  })

  it("leave out no request of terminals, files, disks, loop devices, random numbers or tun that means something here", () => {
    const source = (headers: ReadonlyArray<string>, pattern: RegExp): ReadonlyArray<string> => {
      const names = new Set<string>()
      for (const header of headers) for (const name of macrosOf(header)) if (pattern.test(name)) names.add(name)
      return [...names]
    }
    const lists = [
      [source(["asm-generic/ioctls.h"], /^(TC[GSX]|TCFLSH|TCSBRK|TIOC[A-Z0-9]+$|FIO)/), ["Terminal", "AnyFile"]],
      [source(["linux/fs.h", "linux/fiemap.h", "linux/fsmap.h"], /^(FS_IOC_|FI[A-Z]+$)/), ["FileSystem"]],
      [source(["linux/fs.h", "linux/blkpg.h", "linux/blkzoned.h"], /^BLK[A-Z0-9]+$/), ["Block"]],
      [source(["linux/loop.h"], /^LOOP_/), ["Loop", "LoopControl"]],
      [source(["linux/random.h"], /^RND/), ["Random"]],
      [source(["linux/if_tun.h"], /^TUN[A-Z]+$/), ["Tun"]],
      [source(["linux/uinput.h"], /^UI_(DEV|ABS|SET|BEGIN|END|GET)_/), ["UInput"]],
      [source(["linux/rtc.h"], /^RTC_[A-Z]+_(ON|OFF|SET|READ|RD|TIME|CLR|GET)$/), ["RealTimeClock"]],
      [source(["linux/watchdog.h"], /^WDIOC_/), ["Watchdog"]]
    ] as const
    const forgotten = lists.flatMap(([names, of]) =>
      names.filter((name) => !of.some((group) => name in (groups[group]?.module ?? {})))
    )
    assert.deepStrictEqual(forgotten.toSorted(), meaningless.toSorted())
  })
})

/** What no kernel of today answers, what 32-bit programs use, and what needs memory that nobody could give. */
const meaningless = [
  "BLKTRACESETUP",
  "BLKTRACESTART",
  "BLKTRACESTOP",
  "BLKTRACETEARDOWN",
  "BLKELVGET",
  "BLKELVSET",
  "BLKSECTSET",
  "LOOP_CONFIGURE_SETTABLE_FLAGS",
  "LOOP_GET_STATUS",
  "LOOP_SET_STATUS",
  "LOOP_SET_STATUS_CLEARABLE_FLAGS",
  "LOOP_SET_STATUS_SETTABLE_FLAGS",
  "RNDGETPOOL",
  "TCGETX",
  "TCSETX",
  "TCSETXF",
  "TCSETXW",
  "TIOCLINUX",
  "TIOCSERCONFIG",
  "TIOCSERGETMULTI",
  "TIOCSERGSTRUCT",
  "TIOCSERGWILD",
  "TIOCSERSETMULTI",
  "TIOCSERSWILD",
  "TUNATTACHFILTER",
  "TUNDETACHFILTER",
  "TUNGETFILTER"
]

const macrosOf = (header: string): ReadonlyArray<string> => {
  const text = readFileSync(`/usr/include/${header}`, "utf8")
  return [...text.matchAll(/^#\s*define\s+([A-Z0-9_]+)(?=[\s(])/gm)].map(([, name = ""]) => name)
}
