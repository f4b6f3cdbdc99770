import { readFileSync } from "node:fs"
import { constants } from "node:os"
import { inspect, types } from "node:util"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Equal, Exit, Hash, HashSet, Schema } from "effect"
import { expectTypeOf, vi } from "vitest"
import { Errno } from "../src/index.ts"
import { evaluateC, missing } from "./support/c.ts"

const aliases = { EWOULDBLOCK: "EAGAIN", EDEADLOCK: "EDEADLK", ENOTSUP: "EOPNOTSUPP" } as const

/** What the module exports under each errno's name. */
const byName: Readonly<Record<string, unknown>> = { ...Errno }

const noSuchFile = 'openat("/nope"): ENOENT, no such file or directory'
const enoent = () => Errno.fromCode(2, { syscall: "openat", path: "/nope" })

describe("the classes", () => {
  it("are 131, numbered up to 133", () => {
    const numbers = Errno.classes.map(([code]) => code)
    assert.strictEqual(numbers.length, 131)
    assert.deepStrictEqual(
      numbers,
      Array.from({ length: 133 }, (_, index) => index + 1).filter((code) => code !== 41 && code !== 58)
    )
  })

  it("are exported by their names, each with its own tag, name and number", () => {
    for (const [code, Class] of Errno.classes) {
      const error = new Class()
      const name = error._tag
      assert.strictEqual(byName[name], Class)
      assert.containsSubset(error, { _tag: name, name, errno: code })
      assert.strictEqual(error.constructor, Class)
      assert.strictEqual(Class.name, name)
    }
  })

  it("have the three aliases as further names of the same class", () => {
    for (const [alias, name] of Object.entries(aliases)) {
      assert.isFunction(byName[alias])
      assert.strictEqual(byName[alias], byName[name], alias)
    }
    expectTypeOf<Errno.EWOULDBLOCK>().toEqualTypeOf<Errno.EAGAIN>()
    expectTypeOf<Errno.EDEADLOCK>().toEqualTypeOf<Errno.EDEADLK>()
    expectTypeOf<Errno.ENOTSUP>().toEqualTypeOf<Errno.EOPNOTSUPP>()
  })

  it("have the numbers that the C library of this Node knows", () => {
    const known: Readonly<Record<string, number>> = constants.errno
    assert.isAbove(Object.keys(known).length, 70)
    for (const [name, code] of Object.entries(known)) assert.propertyVal(Errno.codes, name, code)
  })
})

describe("codes", () => {
  it("has each class and alias, and nothing else", () => {
    const expected: Record<string, number> = {}
    for (const [code, Class] of Errno.classes) expected[Class.prototype._tag] = code
    for (const [alias, name] of Object.entries(aliases)) expected[alias] = Errno.codes[name]
    assert.deepStrictEqual({ ...Errno.codes }, expected)
    assert.strictEqual(Errno.codes.ENOENT, 2)
  })

  it("has its numbers in its types", () => {
    expectTypeOf(Errno.codes.ENOENT).toEqualTypeOf<2>()
    expectTypeOf(Errno.codes.EWOULDBLOCK).toEqualTypeOf<11>()
    expectTypeOf(Errno.codes.EHWPOISON).toEqualTypeOf<133>()
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// the kernel's headers
// ---------------------------------------------------------------------------------------------------------------------

const arch = "x86_64"
const reason = process.arch === "x64" ? missing(arch) : "this machine is no x86_64"

describe.skipIf(reason !== undefined)(
  `the kernel's headers${reason === undefined ? "" : ` (skipped: ${reason})`}`,
  () => {
    const headers = ["errno-base.h", "errno.h"].map((name) => readFileSync(`/usr/include/asm-generic/${name}`, "utf8"))
    const defined = headers.join("\n").matchAll(/^#define[ \t]+(E\w+)[ \t]+(\d+)[ \t]*\/\*[ \t]*(.*?)[ \t]*\*\/$/gm)
    const entries = [...defined].map(([, name = "", code = "", text = ""]) => ({ name, code: Number(code), text }))

    it("define the same errnos", () => {
      assert.deepStrictEqual(
        Errno.classes.map(([code, Class]) => [Class.prototype._tag, code]),
        entries.toSorted((a, b) => a.code - b.code).map(({ code, name }) => [name, code])
      )
    })

    it("have the same texts, but for a capital at their start", () => {
      for (const { code, text } of entries) {
        const ours = Errno.fromCode(code).text
        assert.strictEqual(ours.slice(1), text.slice(1))
        assert.strictEqual(ours.slice(0, 1).toLowerCase(), text.slice(0, 1).toLowerCase())
      }
      assert.strictEqual(Errno.fromCode(5).text, "I/O error")
    })

    it("give the compiler the same number for each name, alias or not", () => {
      const names = Object.keys(Errno.codes).filter((name) => name !== "ENOTSUP")
      const questions = names.map((name) => ({ name, expression: name, condition: `defined(${name})` }))
      const said = evaluateC(arch, [{ preamble: "#include <linux/errno.h>", questions }])
      const { ENOTSUP, ...ours } = Errno.codes
      assert.strictEqual(ENOTSUP, Errno.codes.EOPNOTSUPP)
      assert.deepStrictEqual(Object.fromEntries([...said].map(([name, value]) => [name, Number(value)])), ours)
    })
  }
)

// ---------------------------------------------------------------------------------------------------------------------
// fromCode, isErrno
// ---------------------------------------------------------------------------------------------------------------------

describe("fromCode", () => {
  it("makes an instance from a code", () => {
    const error = Errno.fromCode(2, { syscall: "openat", path: "/nope" })
    assert.instanceOf(error, Errno.ENOENT)
    assert.strictEqual(error.message, noSuchFile)
  })

  it("makes each code's own class, positive or as the kernel's negative result", () => {
    for (const [code, Class] of Errno.classes) {
      for (const given of [code, -code]) {
        const error = Errno.fromCode(given, { syscall: "x" })
        assert.strictEqual(error.constructor, Class)
        assert.containsSubset(error, { errno: code, syscall: "x" })
      }
    }
  })

  it("makes OtherErrno of a number that Linux has no name for", () => {
    for (const code of [0, 41, 58, 134, 512, 4095, -4095]) {
      const error = Errno.fromCode(code, { syscall: "openat" })
      assert.instanceOf(error, Errno.OtherErrno)
      assert.containsSubset(error, { _tag: "OtherErrno", name: "OtherErrno", errno: Math.abs(code), code: undefined })
      assert.include(error.message, `errno ${Math.abs(code)}`)
    }
  })

  it("has the class of a literal code as its type", () => {
    expectTypeOf(Errno.fromCode(2)).toEqualTypeOf<Errno.ENOENT>()
    expectTypeOf(Errno.fromCode(Errno.codes.EWOULDBLOCK)).toEqualTypeOf<Errno.EAGAIN>()
    expectTypeOf(Errno.fromCode(133)).toEqualTypeOf<Errno.EHWPOISON>()
    const some: 2 | 13 = Math.random() < 0.5 ? 2 : 13
    expectTypeOf(Errno.fromCode<2 | 13>(some)).toEqualTypeOf<Errno.ENOENT | Errno.EACCES>()
    expectTypeOf(Errno.fromCode(41)).toEqualTypeOf<Errno.Errno>()
    expectTypeOf(Errno.fromCode(Number("2"))).toEqualTypeOf<Errno.Errno>()
  })
})

describe("OtherErrno", () => {
  it("names an errno that has a name", () => {
    const error = new Errno.OtherErrno(72, { syscall: "read", fd: 3 })
    assert.containsSubset(error, { _tag: "OtherErrno", errno: 72, code: "EMULTIHOP", syscall: "read", fd: 3 })
    assert.strictEqual(error.message, "read(3): OtherErrno, EMULTIHOP, multihop attempted")
    assert.notInstanceOf(error, Errno.EMULTIHOP)
  })

  it("has a type for its code", () => {
    expectTypeOf<Errno.OtherErrno["code"]>().toEqualTypeOf<Errno.KnownErrno["_tag"] | undefined>()
    expectTypeOf<Errno.OtherErrno["errno"]>().toEqualTypeOf<number>()
    expectTypeOf<Errno.OtherErrno["_tag"]>().toEqualTypeOf<"OtherErrno">()
  })
})

describe("isErrno", () => {
  it("tells errnos of all kinds from anything else", () => {
    for (const [, Class] of Errno.classes) assert.isTrue(Errno.isErrno(new Class()))
    assert.isTrue(Errno.isErrno(new Errno.OtherErrno(4000)))
    const others = [new Error("ENOENT"), { _tag: "ENOENT", errno: 2 }, "ENOENT", 2, -2, null, undefined, Errno.ENOENT]
    for (const other of others) assert.isFalse(Errno.isErrno(other))
    expectTypeOf(Errno.isErrno).guards.toEqualTypeOf<Errno.Errno>()
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// details
// ---------------------------------------------------------------------------------------------------------------------

describe("details", () => {
  it("are on the instance, and undefined where nothing is known", () => {
    const details = { syscall: "ioctl", path: "/dev/kvm", fd: 3, detail: "KVM_RUN" }
    assert.containsSubset(new Errno.EINVAL(details), details)
    const nothing = { syscall: undefined, path: undefined, fd: undefined, detail: undefined }
    assert.containsSubset(new Errno.EINVAL(), nothing)
    assert.containsSubset(new Errno.EINVAL({}), nothing)
  })

  it("make the message", () => {
    const message = (details?: Errno.ErrnoDetails) => new Errno.EBADF(details).message
    assert.strictEqual(message(), "EBADF, bad file number")
    assert.strictEqual(message({ syscall: "sync" }), "sync(): EBADF, bad file number")
    assert.strictEqual(message({ syscall: "read", fd: 0 }), "read(0): EBADF, bad file number")
    assert.strictEqual(
      message({ syscall: "ioctl", fd: 3, detail: "KVM_RUN" }),
      "ioctl(3): EBADF, bad file number: KVM_RUN"
    )
    assert.strictEqual(message({ syscall: "openat", fd: 3, path: "x" }), 'openat("x"): EBADF, bad file number')
    assert.strictEqual(message({ syscall: "openat", path: "" }), 'openat(""): EBADF, bad file number')
  })

  it("keep a path of bytes as bytes, and print it as well as it can be", () => {
    const path = Uint8Array.of(0x2f, 0xff, 0x61)
    const error = new Errno.ENOENT({ syscall: "openat", path })
    assert.strictEqual(error.path, path)
    assert.strictEqual(error.message, 'openat("/\ufffda"): ENOENT, no such file or directory')
  })

  it("cannot break the line that the message is", () => {
    assert.strictEqual(
      new Errno.ENOENT({ syscall: "openat", path: 'a\n"b' }).message,
      'openat("a\\n\\"b"): ENOENT, no such file or directory'
    )
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// use as Effect errors
// ---------------------------------------------------------------------------------------------------------------------

describe("in an Effect", () => {
  it.effect("an errno can be yielded, and fails the program with itself", () =>
    Effect.gen(function* () {
      const error = enoent()
      const program = Effect.gen(function* () {
        yield* error
        return "not reached"
      })
      expectTypeOf(program).toEqualTypeOf<Effect.Effect<string, Errno.ENOENT>>()
      assert.strictEqual(yield* Effect.flip(program), error)
    })
  )

  it.effect("an errno of each class is caught by its tag", () =>
    Effect.gen(function* () {
      for (const [code, Class] of Errno.classes) {
        const error: Errno.Errno = new Class()
        const caught = yield* Effect.fail(error).pipe(
          Effect.catchTag(error._tag, (e: Errno.Errno) => Effect.succeed(e.errno))
        )
        assert.strictEqual(caught, code)
      }
    })
  )

  it.effect("a tag narrows the errors and leaves the others", () =>
    Effect.gen(function* () {
      const open = (code: 2 | 13 | 21): Effect.Effect<never, Errno.ENOENT | Errno.EACCES | Errno.EISDIR> =>
        Effect.fail(Errno.fromCode<2 | 13 | 21>(code))
      const handled = (code: 2 | 13 | 21) => Effect.catchTag(open(code), "ENOENT", (e) => Effect.succeed(e.errno))
      expectTypeOf(handled).returns.toEqualTypeOf<Effect.Effect<2, Errno.EACCES | Errno.EISDIR>>()
      assert.strictEqual(yield* handled(2), 2)
      assert.instanceOf(yield* Effect.flip(handled(13)), Errno.EACCES)

      const all = Effect.catchTags(open(21), {
        ENOENT: () => Effect.succeed("missing"),
        EACCES: () => Effect.succeed("forbidden"),
        EISDIR: () => Effect.succeed("directory")
      })
      expectTypeOf(all).toEqualTypeOf<Effect.Effect<string>>()
      assert.strictEqual(yield* all, "directory")
    })
  )

  it("all errnos together are a union that can be exhausted", () => {
    type Alias = keyof typeof aliases
    expectTypeOf<Errno.Errno["_tag"]>().toEqualTypeOf<Exclude<keyof typeof Errno.codes, Alias> | "OtherErrno">()
    const describe = (error: Errno.ENOENT | Errno.OtherErrno): string => {
      switch (error._tag) {
        case "ENOENT":
          return "missing"
        case "OtherErrno":
          return error.code ?? String(error.errno)
      }
    }
    assert.strictEqual(describe(new Errno.OtherErrno(4000)), "4000")
    const rest = (error: Exclude<Errno.Errno, Errno.KnownErrno>): "OtherErrno" => error._tag
    assert.strictEqual(rest(new Errno.OtherErrno(1)), "OtherErrno")
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// equality
// ---------------------------------------------------------------------------------------------------------------------

const Details = Schema.Struct({
  code: Schema.Literals([2, 13, 41, 4000]),
  other: Schema.Boolean,
  syscall: Schema.UndefinedOr(Schema.Literals(["openat", "read"])),
  // The text of one path and the bytes of another are the same bytes, and yet not the same path.
  path: Schema.UndefinedOr(Schema.Literals(["/a", "/b", "bytes of /a", "bytes of /b"])),
  fd: Schema.UndefinedOr(Schema.Literals([0, 3, -100])),
  detail: Schema.UndefinedOr(Schema.Literal("KVM_RUN"))
})

const make = ({ code, detail, fd, other, path, syscall }: typeof Details.Type): Errno.Errno => {
  const bytes = path?.startsWith("bytes of ") === true ? Buffer.from(path.slice(9)) : path
  const details = { syscall, path: bytes, fd, detail }
  return other ? new Errno.OtherErrno(code, details) : Errno.fromCode(code, details)
}

describe("equality", () => {
  it("is by value: class, number and details", () => {
    assert.isTrue(Equal.equals(enoent(), enoent()))
    assert.isTrue(Equal.equals(Exit.fail(enoent()), Exit.fail(enoent())))
    assert.isFalse(Equal.equals(enoent(), Errno.fromCode(13, { syscall: "openat", path: "/nope" })))
    assert.isFalse(Equal.equals(enoent(), { ...enoent() }))
    assert.isFalse(Equal.equals(new Errno.OtherErrno(2), new Errno.ENOENT()))
    assert.isFalse(Equal.equals(new Errno.OtherErrno(4000), new Errno.OtherErrno(4001)))
    assert.strictEqual(HashSet.size(HashSet.make(enoent(), enoent(), new Errno.ENOENT())), 2)
  })

  const check = (a: typeof Details.Type, b: typeof Details.Type): void => {
    const [left, right] = [make(a), make(b)]
    assert.isTrue(Equal.equals(left, make(a)))
    assert.strictEqual(Hash.hash(left), Hash.hash(make(a)))

    const sameClass = left._tag === right._tag && left.errno === right.errno
    const sameDetails = a.syscall === b.syscall && a.path === b.path && a.fd === b.fd && a.detail === b.detail
    assert.strictEqual(Equal.equals(left, right), sameClass && sameDetails)
    assert.strictEqual(Equal.equals(right, left), sameClass && sameDetails)
    if (Equal.equals(left, right)) assert.strictEqual(Hash.hash(left), Hash.hash(right))
  }

  it.prop("holds for equal values, with equal hashes, and for no others", [Details, Details], ([a, b]) => {
    check(a, b)
    // Two that differ in all but one are unequal for many reasons: here is each reason alone.
    check(a, { ...a, code: b.code })
    check(a, { ...a, other: b.other })
    check(a, { ...a, syscall: b.syscall })
    check(a, { ...a, path: b.path })
    check(a, { ...a, fd: b.fd })
    check(a, { ...a, detail: b.detail })
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// instances are Errors
// ---------------------------------------------------------------------------------------------------------------------

describe("an instance", () => {
  it("is an Error with a name, a message and a stack", () => {
    for (const [code, Class] of [...Errno.classes, [4000, Errno.OtherErrno] as const]) {
      const error = Errno.fromCode(code, { syscall: "read", fd: 3 })
      assert.instanceOf(error, Error)
      assert.isTrue(error instanceof Class)
      assert.isTrue(error instanceof Errno.ErrnoError)
      assert.strictEqual(error.name, error._tag)
      assert.isTrue(error.message.startsWith(`read(3): ${error._tag}, ${error.text}`))
      assert.include(error.stack, error.message)
    }
    expectTypeOf<Errno.Errno>().toExtend<Error>()
  })

  it("prints as its message", () => {
    const error = enoent()
    assert.strictEqual(String(error), noSuchFile)
    assert.strictEqual(`${error}`, noSuchFile)
    assert.strictEqual(error.stack, noSuchFile)
    assert.strictEqual(inspect(error), noSuchFile)
    assert.strictEqual(inspect({ error }), `{ error: ${noSuchFile} }`)
    assert.strictEqual(inspect([error]), `[ ${noSuchFile} ]`)
    assert.include(Cause.pretty(Cause.fail(error)), noSuchFile)
  })

  it("becomes JSON with what is known", () => {
    assert.deepStrictEqual(JSON.parse(JSON.stringify(enoent())), {
      _tag: "ENOENT",
      errno: 2,
      message: noSuchFile,
      syscall: "openat",
      path: "/nope"
    })
    const error = new Errno.OtherErrno(4000, { syscall: "ioctl", path: Buffer.from("/b"), fd: 0, detail: "x" })
    assert.deepStrictEqual(JSON.parse(JSON.stringify({ error })), {
      error: {
        _tag: "OtherErrno",
        errno: 4000,
        message: error.message,
        syscall: "ioctl",
        path: "/b",
        fd: 0,
        detail: "x"
      }
    })
  })

  it("is thrown as it is by Effect.runSync and Effect.runPromise", async () => {
    const error = enoent()
    const caught = (() => {
      try {
        return Effect.runSync(Effect.fail(error))
      } catch (thrown) {
        return thrown
      }
    })()
    assert.strictEqual(caught, error)
    assert.strictEqual(await Effect.runPromise(Effect.fail(error)).catch((thrown: unknown) => thrown), error)
  })

  it("can be the cause of another error", () => {
    assert.include(inspect(new Error("outer", { cause: enoent() })), noSuchFile)
  })
})

describe("stack traces", () => {
  it("are not captured: making an errno runs no constructor of Error and looks at no stack", () => {
    const capture = vi.spyOn(Error, "captureStackTrace")
    const limit = Error.stackTraceLimit
    const prepare = Error.prepareStackTrace
    let prepared = 0
    Error.prepareStackTrace = () => `${++prepared}`
    try {
      for (const frames of [0, 10, 1000]) {
        Error.stackTraceLimit = frames
        const error = enoent()
        assert.strictEqual(error.stack, noSuchFile)
        // An accessor: nothing was made of it when the errno was.
        assert.isDefined(Object.getOwnPropertyDescriptor(error, "stack")?.get)
        // What the constructor of Error makes is marked inside; this is not.
        assert.isFalse(types.isNativeError(error))
      }
      assert.strictEqual(prepared, 0)
      assert.strictEqual(capture.mock.calls.length, 0)
    } finally {
      Error.stackTraceLimit = limit
      Error.prepareStackTrace = prepare
      capture.mockRestore()
    }
  })

  it("can be turned on and off, and say where the errno was made", () => {
    const makeHere = (code: number) => Errno.fromCode(code, { syscall: "openat", path: "/nope" })
    assert.isFalse(Errno.setStackTraces(true))
    try {
      for (const code of [2, 4000]) {
        const error = makeHere(code)
        const [first, ...frames] = (error.stack ?? "").split("\n")
        assert.include(first, error.message)
        assert.isTrue(frames.some((frame) => frame.includes("makeHere") && frame.includes("Errno.test.ts")))
        assert.include(inspect(error), "makeHere")
        assert.strictEqual(String(error), error.message)
        assert.isFalse(Object.keys(error).includes("stack"))
      }
      assert.isTrue(Equal.equals(makeHere(2), makeHere(2)))
    } finally {
      assert.isTrue(Errno.setStackTraces(false))
    }
    assert.strictEqual(makeHere(2).stack, noSuchFile)
  })
})
