/** Random operations, made on one file by this library and on its twin by node:fs: both give and keep the same. */

import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  futimesSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  readvSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
  writeSync,
  writevSync
} from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema, Stream } from "effect"
import { File } from "../src/index.ts"
import { temporaryDirectory } from "./support/files.ts"

const integer = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const list = <S extends Schema.Constraint>(item: S, most: number) =>
  Schema.Array(item).check(Schema.isBetweenLength(1, most))

const kinds = [
  "read",
  "write",
  "pread",
  "pwrite",
  "readv",
  "writev",
  "preadv",
  "pwritev",
  "writeAll",
  "truncate",
  "seek",
  "stat",
  "setTimes",
  "sync",
  "readAll",
  "append"
] as const

const Step = Schema.Struct({
  kind: Schema.Literals(kinds),
  offset: integer(0, 9000),
  length: integer(0, 5000),
  seed: integer(0, 255)
})
type Step = typeof Step.Type

const bytesOf = ({ length, seed }: Step) => Uint8Array.from({ length }, (_, index) => (index * 7 + seed) & 0xff)

/** Bytes in two parts, one of them perhaps empty. */
const parts = (bytes: Uint8Array, at: number) => [bytes.subarray(0, at % 10), bytes.subarray(at % 10)]

/** node:fs has no file offset to ask for or to set: the twin's is kept here. */
interface Twin {
  readonly fd: number
  readonly path: string
  at: number
}

const byNode = (twin: Twin, step: Step): unknown => {
  const bytes = bytesOf(step)
  const buffer = new Uint8Array(step.length)
  const moving = (count: number) => {
    twin.at += count
    return count
  }
  switch (step.kind) {
    case "read":
      return [moving(readSync(twin.fd, buffer, 0, buffer.length, twin.at)), buffer]
    case "readv":
      return [moving(readvSync(twin.fd, parts(buffer, step.offset), twin.at)), buffer]
    case "pread":
      return [readSync(twin.fd, buffer, 0, buffer.length, step.offset), buffer]
    case "preadv":
      return [readvSync(twin.fd, parts(buffer, step.offset), step.offset), buffer]
    case "write":
    case "writeAll":
      return moving(writeSync(twin.fd, bytes, 0, bytes.length, twin.at))
    case "writev":
      return moving(writevSync(twin.fd, parts(bytes, step.offset), twin.at))
    case "pwrite":
      return writeSync(twin.fd, bytes, 0, bytes.length, step.offset)
    case "pwritev":
      return writevSync(twin.fd, parts(bytes, step.offset), step.offset)
    case "truncate":
      return ftruncateSync(twin.fd, step.offset)
    case "seek":
      twin.at = step.seed % 2 === 0 ? step.offset : fstatSync(twin.fd).size
      return twin.at
    case "stat":
      return fstatSync(twin.fd).size
    case "setTimes":
      futimesSync(twin.fd, step.offset, step.length)
      return [fstatSync(twin.fd).atimeMs, fstatSync(twin.fd).mtimeMs]
    case "sync":
      return step.seed % 2 === 0 ? fsyncSync(twin.fd) : fdatasyncSync(twin.fd)
    case "readAll": {
      const rest = new Uint8Array(Math.max(0, fstatSync(twin.fd).size - twin.at))
      moving(readSync(twin.fd, rest, 0, rest.length, twin.at))
      return rest
    }
    case "append": {
      const fd = openSync(twin.path, "a")
      const count = writeSync(fd, bytes)
      closeSync(fd)
      return count
    }
    default:
      return step.kind satisfies never
  }
}

const byFile = (file: File.File, path: string, step: Step) =>
  Effect.gen(function* () {
    const bytes = bytesOf(step)
    const buffer = new Uint8Array(step.length)
    switch (step.kind) {
      case "read":
        return [yield* File.read(file, buffer), buffer]
      case "readv":
        return [yield* File.readv(file, parts(buffer, step.offset)), buffer]
      case "pread":
        return [yield* File.pread(file, buffer, step.offset), buffer]
      case "preadv":
        return [yield* File.preadv(file, parts(buffer, step.offset), BigInt(step.offset)), buffer]
      case "write":
        return yield* File.write(file, bytes)
      case "writeAll":
        yield* File.writeAll(file, bytes)
        return bytes.length
      case "writev":
        return yield* File.writev(file, parts(bytes, step.offset))
      case "pwrite":
        return yield* File.pwrite(file, bytes, step.offset)
      case "pwritev":
        return yield* File.pwritev(file, parts(bytes, step.offset), step.offset)
      case "truncate":
        return yield* File.truncate(file, step.offset)
      case "seek":
        return yield* File.seek(file, step.seed % 2 === 0 ? File.Seek.start(step.offset) : File.Seek.end(0))
      case "stat":
        return Number((yield* File.stat(file)).stx_size)
      case "setTimes": {
        const time = (seconds: number) => ({ tv_sec: BigInt(seconds), tv_nsec: 0n })
        yield* File.setTimes(file, { accessed: time(step.offset), modified: time(step.length) })
        const { stx_atime, stx_mtime } = yield* File.stat(file)
        return [Number(stx_atime.tv_sec) * 1000, Number(stx_mtime.tv_sec) * 1000]
      }
      case "sync":
        return yield* step.seed % 2 === 0 ? File.sync(file) : File.dataSync(file)
      case "readAll":
        return yield* File.readAll(file)
      case "append":
        return yield* Effect.scoped(
          Effect.flatMap(File.open(path, { access: "write", append: true }), (end) => File.write(end, bytes))
        )
      default:
        return step.kind satisfies never
    }
  })

describe("a file and its twin", () => {
  it.live.prop(
    "give the same answers and have the same contents",
    [list(Step, 40)],
    ([steps]) =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const [path, twinPath] = [join(directory, "file"), join(directory, "twin")]
        const file = yield* File.open(path, { access: "readWrite", create: true, mode: 0o600 })
        const fd = yield* Effect.acquireRelease(
          Effect.sync(() => openSync(twinPath, "w+")),
          (fd) => Effect.sync(() => closeSync(fd))
        )
        const twin: Twin = { fd, path: twinPath, at: 0 }
        for (const step of steps) {
          assert.deepStrictEqual(yield* byFile(file, path, step), byNode(twin, step), step.kind)
          assert.strictEqual(yield* File.seek(file, File.Seek.current(0)), twin.at, step.kind)
        }
        assert.isTrue(readFileSync(path).equals(readFileSync(twinPath)))
        assert.isTrue(
          Buffer.concat(yield* Stream.runCollect(File.stream(file, { offset: 0, chunkSize: 777 }))).equals(
            readFileSync(twinPath)
          )
        )
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 60 } }
  )
})

// ---------------------------------------------------------------------------------------------------------------------

const names = ["a", "b", "c", "a/a", "a/b", "b/a", "a/a/c"] as const

const TreeStep = Schema.Struct({
  kind: Schema.Literals(["mkdir", "create", "unlink", "rmdir", "rename", "link", "symlink", "readlink", "exists"]),
  one: Schema.Literals(names),
  two: Schema.Literals(names)
})
type TreeStep = typeof TreeStep.Type

const treeByNode = (root: string, { kind, one, two }: TreeStep): unknown => {
  const [first, second] = [join(root, one), join(root, two)]
  switch (kind) {
    case "mkdir":
      return mkdirSync(first, 0o700)
    case "create":
      return closeSync(openSync(first, "w"))
    case "unlink":
      return unlinkSync(first)
    case "rmdir":
      return rmdirSync(first)
    case "rename":
      return renameSync(first, second)
    case "link":
      return linkSync(first, second)
    case "symlink":
      return symlinkSync(two, first)
    case "readlink":
      return readlinkSync(first)
    case "exists":
      return existsSync(first)
    default:
      return kind satisfies never
  }
}

const treeByFile = (root: File.File, { kind, one, two }: TreeStep) =>
  Effect.gen(function* () {
    switch (kind) {
      case "mkdir":
        return yield* File.mkdirAt(root, one, { mode: 0o700 })
      case "create":
        return yield* Effect.scoped(Effect.asVoid(File.createAt(root, one, { mode: 0o600 })))
      case "unlink":
        return yield* File.unlinkAt(root, one)
      case "rmdir":
        return yield* File.rmdirAt(root, one)
      case "rename":
        return yield* File.renameAt(root, one, root, two)
      case "link":
        return yield* File.linkAt(root, one, root, two)
      case "symlink":
        return yield* File.symlinkAt(two, root, one)
      case "readlink":
        return yield* File.readlinkAt(root, one)
      case "exists":
        // node:fs takes whatever cannot be looked at for missing.
        return yield* Effect.catch(File.existsAt(root, one), () => Effect.succeed(false))
      default:
        return kind satisfies never
    }
  })

describe("a tree and its twin", () => {
  it.live.prop(
    "give the same answers and the same errors, and end up alike",
    [list(TreeStep, 40)],
    ([steps]) =>
      Effect.gen(function* () {
        const [path, twin] = [yield* temporaryDirectory, yield* temporaryDirectory]
        const root = yield* File.open(path, { directory: true })
        for (const step of steps) {
          const ours = yield* Effect.exit(treeByFile(root, step))
          let theirs: unknown
          let code: unknown
          try {
            theirs = treeByNode(twin, step)
          } catch (thrown) {
            code = thrown instanceof Error && "code" in thrown ? thrown.code : thrown
          }
          const told = `${step.kind} ${step.one} ${step.two}`
          if (Exit.isSuccess(ours)) {
            assert.isUndefined(code, told)
            assert.deepStrictEqual(ours.value, theirs, told)
          } else {
            const [reason] = ours.cause.reasons
            const error = reason?._tag === "Fail" ? reason.error : undefined
            assert.strictEqual(error?._tag === "OtherErrno" ? error.code : error?._tag, code, told)
          }
        }
        const found = yield* Stream.runCollect(File.walkAt(root, "."))
        const expected = readdirSync(twin, { recursive: true, encoding: "utf8" }).filter((name) =>
          // Node's recursion follows links.
          name
            .split("/")
            .slice(0, -1)
            .every((_, index, all) => !lstatSync(join(twin, ...all.slice(0, index + 1))).isSymbolicLink())
        )
        assert.sameMembers(
          found.map(({ path }) => String(path)),
          expected
        )
      }).pipe(Effect.scoped),
    { arbitrary: { runs: 60 } }
  )
})
