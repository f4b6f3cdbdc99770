/**
 * The unions of errors that the system calls have, against the ERRORS sections of their manual pages, which are read
 * here anew: nothing of the generator is used.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Schema } from "effect"
import { expectTypeOf } from "vitest"
import * as calls from "../src/errors/calls.ts"
import { Errno, Syscall } from "../src/index.ts"

const table: Readonly<Record<string, Errno.CallErrors<Errno.Errno>>> = calls

/** Where a person had to judge: which pages document a call, and which errnos no page has. */
const Judged = Schema.Struct({
  calls: Schema.Record(
    Schema.String,
    Schema.Struct({
      page: Schema.optionalKey(Schema.String),
      pages: Schema.optionalKey(Schema.Array(Schema.String)),
      noPage: Schema.optionalKey(Schema.Boolean),
      errors: Schema.optionalKey(Schema.Array(Schema.String))
    })
  )
})

const judgedDirectory = new URL("../scripts/data/calls/", import.meta.url)

const judged: typeof Judged.Type.calls = Object.assign(
  {},
  ...readdirSync(judgedDirectory)
    .filter((name) => name.endsWith(".json"))
    .map(
      (name) => Schema.decodeUnknownSync(Judged)(JSON.parse(readFileSync(new URL(name, judgedDirectory), "utf8"))).calls
    )
)

const pagesOf = (call: string): ReadonlyArray<string> => {
  const { noPage, page = call, pages = [page] } = judged[call] ?? {}
  return noPage === true ? [] : pages
}

/** The calls of the first release that can fail, and below those that cannot. */
const promised = [
  "openat",
  "close",
  "read",
  "write",
  "pread64",
  "pwrite64",
  "readv",
  "writev",
  "lseek",
  "dup",
  "dup3",
  "pipe2",
  "fcntl",
  "ioctl",
  "mmap",
  "munmap",
  "statx",
  "getdents64",
  "unlinkat",
  "mkdirat",
  "renameat2",
  "linkat",
  "symlinkat",
  "readlinkat",
  "fsync",
  "fdatasync",
  "ftruncate",
  "eventfd2",
  "memfd_create",
  "getrandom",
  "kill",
  "tgkill",
  "clock_gettime",
  "nanosleep",
  "uname"
] as const

const infallible = ["getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid"] as const

// ---------------------------------------------------------------------------------------------------------------------
// the manual
// ---------------------------------------------------------------------------------------------------------------------

const sourceOf = (page: string): string | undefined => {
  const path = ["2", "3", "7"]
    .map((section) => `/usr/share/man/man${section}/${page}.${section}.gz`)
    .find((candidate) => existsSync(candidate))
  if (path === undefined) return undefined
  const text = gunzipSync(readFileSync(path)).toString("utf8")
  const other = /^\.so man\d\/(\w+)\.\d$/m.exec(text)?.[1]
  return other === undefined ? text : sourceOf(other)
}

/** The words that a bold or alternating macro sets in bold. */
const boldWords = (line: string): ReadonlyArray<string> => {
  const [macro, ...args] = (line.match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replaceAll('"', ""))
  if (macro === ".B") return args
  return macro === ".BR" ? args.filter((_, index) => index % 2 === 0) : []
}

/**
 * The errnos that an ERRORS section lists. It is a list of tagged paragraphs: the tag is the line after `.TP` (or `.TQ`,
 * for a further tag of the same paragraph), and names the errno in bold, or some: `.BR EACCES " or " EAGAIN`.
 */
const documentedIn = (source: string): ReadonlySet<string> => {
  const lines = source.split("\n").filter((line) => !line.startsWith('.\\"'))
  const start = lines.findIndex((line) => /^\.SH "?ERRORS"?$/.test(line))
  const length = lines.slice(start + 1).findIndex((line) => line.startsWith(".SH "))
  const section = start < 0 ? [] : lines.slice(start + 1, start + 1 + length)
  return new Set(
    section
      .filter((_, index) => /^\.T[PQ]\b/.test(section[index - 1] ?? ""))
      .flatMap(boldWords)
      .filter((word) => /^E[A-Z0-9]+$/.test(word))
  )
}

const synonyms: Readonly<Record<string, string>> = {
  EWOULDBLOCK: "EAGAIN",
  EDEADLOCK: "EDEADLK",
  ENOTSUP: "EOPNOTSUPP"
}

/** What pages name beside errnos: what the kernel says to itself, and another system's name. */
const ofNoCaller = new Set(["ERESTARTSYS", "ERESTARTNOHAND", "ERESTARTNOINTR", "ENOATTR"])

/** Pages of other releases list other errnos, and the table is of one. */
const release = "Linux man-pages 6.03"

const missing = ((): string | undefined => {
  const page = sourceOf("open")
  if (page === undefined) return "the manual pages are not installed"
  const found = /^\.TH .*"([^"]+)"$/m.exec(page)?.[1]
  return found === release ? undefined : `the manual pages are ${found}, and the table is of ${release}`
})()

describe.skipIf(missing !== undefined)(
  `errors of a call${missing === undefined ? "" : ` (skipped: ${missing})`}`,
  () => {
    for (const [call, { documented }] of Object.entries(table)) {
      const pages = pagesOf(call).map((page) => [page, sourceOf(page)] as const)
      const absent = pages.filter(([, source]) => source === undefined).map(([page]) => page)
      const title = `are those that the manual documents: ${call}`
      it.skipIf(absent.length > 0)(
        absent.length > 0 ? `${title} (skipped: no page ${absent.join(", ")})` : title,
        () => {
          const theirs = new Set(
            [...pages.flatMap(([, source = ""]) => [...documentedIn(source)]), ...(judged[call]?.errors ?? [])]
              .map((name) => synonyms[name] ?? name)
              .filter((name) => !ofNoCaller.has(name))
          )
          assert.deepStrictEqual(documented.toSorted(), [...theirs].toSorted())
        }
      )
    }

    it("are those of the page of the same name for the first calls, or of the pages that it sends the reader to", () => {
      const others: Readonly<Record<string, ReadonlyArray<string>>> = {
        openat: ["open"],
        pread64: ["pread", "read", "lseek"],
        pwrite64: ["pwrite", "write", "lseek"],
        readv: ["readv", "read"],
        writev: ["writev", "write"]
      }
      for (const call of promised) {
        assert.deepStrictEqual(pagesOf(call), others[call] ?? [call])
        assert.isTrue(
          pagesOf(call).some((page) => documentedIn(sourceOf(page) ?? "").size > 0),
          call
        )
      }
    })

    it("are none where the manual documents none", () => {
      for (const page of infallible) {
        const source = sourceOf(page)
        assert.isDefined(source, page)
        assert.deepStrictEqual([...documentedIn(source ?? "")], [], page)
      }
    })
  }
)

// ---------------------------------------------------------------------------------------------------------------------
// the table
// ---------------------------------------------------------------------------------------------------------------------

const here: Readonly<Record<string, Errno.ErrnoClass | undefined>> = Object.fromEntries(
  Errno.classes.map(([, Class]) => [Class.prototype._tag, Class])
)

describe("the table of errors", () => {
  it("has every promised call that can fail", () => {
    assert.includeMembers(Object.keys(table), [...promised])
  })

  it("names the call in its errors", () => {
    for (const [call, errors] of Object.entries(table)) {
      assert.strictEqual(errors.syscall, call)
      assert.strictEqual(errors.make(2).syscall, call)
    }
  })

  it("lists each errno of a call once, under its own name and in order", () => {
    for (const [call, { documented }] of Object.entries(table)) {
      const numbers = documented.map((name) => Errno.codes[name])
      assert.deepStrictEqual(
        numbers,
        [...new Set(numbers)].sort((a, b) => a - b),
        call
      )
    }
  })

  it("gives a documented errno its class and any other OtherErrno with its code", () => {
    for (const [call, { documented, make }] of Object.entries(table)) {
      for (const [code, Class] of Errno.classes) {
        const name = Class.prototype._tag
        const error = make(code, "/path", 3, "detail")
        const details = { syscall: call, path: "/path", fd: 3, detail: "detail" }
        assert.containsSubset(error, details)
        assert.strictEqual(error.errno, code)
        if (documented.includes(name)) {
          assert.strictEqual(error.constructor, here[name])
          assert.strictEqual(error._tag, name)
        } else if (error._tag === "OtherErrno") {
          assert.strictEqual(error.code, name)
          assert.include(error.message, name)
        } else {
          assert.fail(`${call} has ${error._tag}, which is not documented`)
        }
      }
    }
  })

  it("gives a number without a name OtherErrno without a code", () => {
    for (const { make } of Object.values(table)) {
      for (const code of [41, 58, 134, 512, 4095]) {
        const error = make(code)
        assert.instanceOf(error, Errno.OtherErrno)
        assert.containsSubset(error, { _tag: "OtherErrno", errno: code, code: undefined })
      }
    }
  })

  it("has the same errnos in its types as at run time", () => {
    const source = ["unions.ts", "calls.ts"]
      .map((file) => readFileSync(new URL(`../src/errors/${file}`, import.meta.url), "utf8"))
      .join("\n")
    for (const [call, { documented }] of Object.entries(table)) {
      const type = new RegExp(`export const ${call}: CallErrors<U\\.(\\w+)>`).exec(source)?.[1]
      const union = new RegExp(`export type ${type} =\\n((?:  \\| [\\w.]+\\n)+)`).exec(source)?.[1] ?? ""
      const members = union.split("\n").filter((line) => line !== "")
      assert.deepStrictEqual(members, [...documented.map((name) => `  | E.${name}`), "  | OtherErrno"], call)
    }
  })
})

// ---------------------------------------------------------------------------------------------------------------------
// the calls
// ---------------------------------------------------------------------------------------------------------------------

type ErrorOf<F> = F extends (...args: never) => Effect.Effect<unknown, infer E>
  ? E
  : F extends Effect.Effect<unknown, infer E>
    ? E
    : "no effect"

type Call = (typeof promised)[number]
type InTable = { [K in Call]: (typeof calls)[K] extends Errno.CallErrors<infer E> ? E : never }
type OnSyscall = { [K in Call]: K extends keyof typeof Syscall ? ErrorOf<(typeof Syscall)[K]> : "not on Syscall" }

/** A kernel that answers every call with one errno. */
const answering = (errno: number) => Syscall.intercept(Syscall.kernel, () => -errno)

describe("the calls of Syscall", () => {
  it("have the errors of the table as their error types", () => {
    expectTypeOf<OnSyscall>().toEqualTypeOf<InTable>()
    expectTypeOf<ErrorOf<typeof Syscall.openat>>().toExtend<Errno.Errno>()
    expectTypeOf<Errno.ENOENT>().toExtend<ErrorOf<typeof Syscall.openat>>()
    expectTypeOf<ErrorOf<typeof Syscall.fsync>>().toEqualTypeOf<
      | Errno.EINTR
      | Errno.EIO
      | Errno.EBADF
      | Errno.EINVAL
      | Errno.ENOSPC
      | Errno.EROFS
      | Errno.EDQUOT
      | Errno.OtherErrno
    >()
  })

  it("that cannot fail have the error type never", () => {
    expectTypeOf<(typeof Syscall)[(typeof infallible)[number]]>().toEqualTypeOf<Effect.Effect<number>>()
    assert.notIncludeMembers(Object.keys(table), [...infallible])
  })

  it.effect("that cannot fail do not fail, and an errno that a kernel says all the same is a defect", () =>
    Effect.gen(function* () {
      for (const name of infallible) {
        assert.isTrue(Number.isSafeInteger(yield* Syscall[name]), name)
        const exit = yield* Effect.exit(Effect.provideService(Syscall[name], Syscall.Trampoline, answering(1)))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause) && !Cause.hasFails(exit.cause), name)
      }
      assert.strictEqual(yield* Syscall.getpid, process.pid)
    })
  )

  it.effect("fail with the class of a documented errno, which a tag catches", () =>
    Effect.gen(function* () {
      const caught = yield* Syscall.openat(Syscall.AT_FDCWD, "/nope/nope", Syscall.O_RDONLY, 0).pipe(
        Effect.catchTag("ENOENT", (error) => Effect.succeed(error))
      )
      assert.instanceOf(caught, Errno.ENOENT)
    })
  )

  it.effect("fail with OtherErrno, its code and number, for an errno that the manual does not document", () =>
    Effect.gen(function* () {
      const caught = yield* Syscall.openat(Syscall.AT_FDCWD, "/nope", Syscall.O_RDONLY, 0).pipe(
        Effect.provideService(Syscall.Trampoline, answering(Errno.codes.EMULTIHOP)),
        Effect.catchTag("OtherErrno", (error) => Effect.succeed(error))
      )
      assert.containsSubset(caught, { errno: 72, code: "EMULTIHOP", syscall: "openat", path: "/nope" })
    })
  )

  it.effect("fail with OtherErrno without a code for a number that Linux has no name for", () =>
    Effect.gen(function* () {
      const caught = yield* Effect.flip(Effect.provideService(Syscall.fsync(1), Syscall.Trampoline, answering(4095)))
      assert.instanceOf(caught, Errno.OtherErrno)
      assert.containsSubset(caught, { errno: 4095, code: undefined, syscall: "fsync", fd: 1 })
    })
  )

  it("do not let a tag be caught that they cannot fail with", () => {
    // @ts-expect-error: close(2) documents no ENOENT
    Effect.catchTag(Syscall.close(-1), "ENOENT", () => Effect.void)
    // @ts-expect-error: getpid(2) fails with nothing
    Effect.catchTag(Syscall.getpid, "EPERM", () => Effect.void)
  })
})
