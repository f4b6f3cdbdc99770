/** Watching files: inotify, and fanotify as far as the process is allowed. */
import * as Fs from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { Abi, Syscall } from "../../src/index.ts"
import * as paths from "../../src/syscall/generated/paths.ts"
import { fanotifyEvents, inotifyEvents } from "../../src/syscall/paths-events.ts"
import { directory, held } from "../support/fds.ts"

const { AT_FDCWD } = Syscall
const decoder = new TextDecoder()

const failure = <A, E extends { readonly _tag: string }>(self: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(self), ({ _tag }) => _tag)

const scoped = <A, E>(body: Effect.Effect<A, E, Scope.Scope>) => Effect.scoped(body)

const inotify = held(paths.inotify_init1(Syscall.IN_CLOEXEC | Syscall.IN_NONBLOCK))

const readEvents = (fd: number) =>
  Effect.gen(function* () {
    const buffer = new Uint8Array(4096)
    const length = yield* Syscall.read(fd, buffer)
    return inotifyEvents(buffer, length)
  })

describe("inotify", () => {
  it.live("inotify_init1 makes a queue, inotify_add_watch fills it, inotify_rm_watch ends a watch", () =>
    scoped(
      Effect.gen(function* () {
        const path = yield* directory
        const fd = yield* inotify
        const watch = yield* paths.inotify_add_watch(
          fd,
          path,
          Syscall.IN_CREATE | Syscall.IN_MOVE | Syscall.IN_DELETE | Syscall.IN_CLOSE_WRITE
        )
        Fs.writeFileSync(join(path, "a"), "")
        Fs.renameSync(join(path, "a"), join(path, "a rather longer name, zażółć"))
        Fs.mkdirSync(join(path, "sub"))
        const events = yield* readEvents(fd)
        assert.deepStrictEqual(
          events.map(({ mask, name, wd }) => [wd, mask, decoder.decode(name)]),
          [
            [watch, Syscall.IN_CREATE, "a"],
            [watch, Syscall.IN_CLOSE_WRITE, "a"],
            [watch, Syscall.IN_MOVED_FROM, "a"],
            [watch, Syscall.IN_MOVED_TO, "a rather longer name, zażółć"],
            [watch, Syscall.IN_CREATE | Syscall.IN_ISDIR, "sub"]
          ]
        )
        assert.isAbove(events[2]?.cookie ?? 0, 0)
        assert.strictEqual(events[2]?.cookie, events[3]?.cookie)

        yield* paths.inotify_rm_watch(fd, watch)
        assert.deepStrictEqual(
          (yield* readEvents(fd)).map(({ mask, name }) => [mask, name.length]),
          [[Syscall.IN_IGNORED, 0]]
        )
        assert.strictEqual(yield* failure(paths.inotify_rm_watch(fd, watch)), "EINVAL")
        assert.strictEqual(yield* failure(readEvents(fd)), "EAGAIN")
      })
    )
  )

  it.live("inotify_add_watch knows a watched file again, and refuses what it cannot watch", () =>
    scoped(
      Effect.gen(function* () {
        const path = yield* directory
        const fd = yield* inotify
        const watch = yield* paths.inotify_add_watch(fd, path, Syscall.IN_ALL_EVENTS)
        assert.strictEqual(yield* paths.inotify_add_watch(fd, path, Syscall.IN_OPEN), watch)
        assert.strictEqual(
          yield* failure(paths.inotify_add_watch(fd, path, Syscall.IN_OPEN | Syscall.IN_MASK_CREATE)),
          "EEXIST"
        )
        assert.strictEqual(yield* failure(paths.inotify_add_watch(fd, join(path, "nope"), Syscall.IN_OPEN)), "ENOENT")
        assert.strictEqual(yield* failure(paths.inotify_add_watch(fd, path, 0)), "EINVAL")
        assert.strictEqual(yield* failure(paths.inotify_add_watch(-1, path, Syscall.IN_OPEN)), "EBADF")
        assert.strictEqual(yield* failure(paths.inotify_init1(1)), "EINVAL")
      })
    )
  )

  it.live.skipIf(Syscall.nr.inotify_init === undefined)("inotify_init makes a queue without close-on-exec", () =>
    scoped(
      Effect.gen(function* () {
        const fd = yield* held(paths.inotify_init)
        assert.strictEqual(yield* Syscall.fcntl(fd, Syscall.F_GETFD), 0)
      })
    )
  )

  it("inotifyEvents gives nothing for what is no whole event", () => {
    const event = new Uint8Array(Abi.inotify_event.size + 16)
    Abi.inotify_event.encode({ wd: 1, mask: 2, cookie: 3, len: 16 }, event)
    event.set(new TextEncoder().encode("name"), Abi.inotify_event.size)
    assert.deepStrictEqual(inotifyEvents(event), [
      { wd: 1, mask: 2, cookie: 3, len: 16, name: new TextEncoder().encode("name") }
    ])
    assert.deepStrictEqual(inotifyEvents(event, event.length - 1), [])
    assert.deepStrictEqual(inotifyEvents(event, 3), [])
  })
})

/** A queue of fanotify, or the errno that the process gets instead: without privilege, or from a kernel without it. */
const fanotify = (flags: number) =>
  Effect.runSync(
    paths.fanotify_init(flags | Syscall.FAN_CLOEXEC | Syscall.FAN_NONBLOCK, Syscall.O_RDONLY).pipe(
      // Such a queue is closed elsewhere, which this has no time for.
      Effect.map((fd) => {
        Fs.closeSync(fd)
        return undefined
      }),
      Effect.catch((error) => Effect.succeed(error.message))
    )
  )

describe("fanotify", () => {
  it.live("fanotify_init refuses flags that it does not know, and fanotify_mark what is no queue", () =>
    Effect.gen(function* () {
      assert.include(["EINVAL", "EPERM", "ENOSYS"], yield* failure(paths.fanotify_init(0x40000000)))
      assert.include(
        ["EBADF", "ENOSYS"],
        yield* failure(paths.fanotify_mark(-1, Syscall.FAN_MARK_ADD, Syscall.FAN_OPEN, AT_FDCWD, "/"))
      )
    })
  )

  const byName = fanotify(Syscall.FAN_REPORT_DFID_NAME | Syscall.FAN_REPORT_FID)
  const skipped = (reason: string | undefined) => (reason === undefined ? "" : ` (skipped: ${reason})`)

  it.live.skipIf(byName !== undefined)(
    `fanotify_init and fanotify_mark report names in a marked directory${skipped(byName)}`,
    () =>
      scoped(
        Effect.gen(function* () {
          const path = yield* directory
          const fd = yield* held(
            paths.fanotify_init(
              Syscall.FAN_REPORT_DFID_NAME | Syscall.FAN_REPORT_FID | Syscall.FAN_CLOEXEC | Syscall.FAN_NONBLOCK
            )
          )
          const events = Syscall.FAN_CREATE | Syscall.FAN_DELETE
          yield* paths.fanotify_mark(fd, Syscall.FAN_MARK_ADD, events, AT_FDCWD, path)
          Fs.writeFileSync(join(path, "new"), "")
          const buffer = new Uint8Array(4096)
          const read = fanotifyEvents(buffer, yield* Syscall.read(fd, buffer))
          assert.strictEqual(read.length, 1)
          const event = read[0]
          assert.strictEqual(event?.vers, Syscall.FANOTIFY_METADATA_VERSION)
          assert.strictEqual(event?.mask, BigInt(Syscall.FAN_CREATE))
          assert.strictEqual(event?.fd, Syscall.FAN_NOFD)
          const record = event?.information.find(({ _tag }) => _tag === "File")
          assert.isTrue(record?._tag === "File")
          if (record?._tag !== "File") return
          assert.strictEqual(decoder.decode(record.name), "new")
          assert.isAbove(record.handle.f_handle.length, 0)
          const { f_fsid } = yield* paths.statfs(path)
          assert.deepStrictEqual(record.fsid, f_fsid)

          const dir = yield* held(Syscall.openat(AT_FDCWD, path, Syscall.O_RDONLY | Syscall.O_CLOEXEC))
          yield* paths.fanotify_mark(fd, Syscall.FAN_MARK_REMOVE, events, dir, null)
          assert.strictEqual(
            yield* failure(paths.fanotify_mark(fd, Syscall.FAN_MARK_REMOVE, events, dir, null)),
            "ENOENT"
          )
        })
      )
  )

  const withFds = fanotify(Syscall.FAN_CLASS_CONTENT | Syscall.FAN_REPORT_PIDFD)
  it.live.skipIf(withFds !== undefined)(
    `fanotify_mark asks for permission, and fanotify_response grants it${skipped(withFds)}`,
    () =>
      scoped(
        Effect.gen(function* () {
          const path = yield* directory
          const file = join(path, "guarded")
          Fs.writeFileSync(file, "contents")
          const fd = yield* held(
            paths.fanotify_init(
              Syscall.FAN_CLASS_CONTENT | Syscall.FAN_REPORT_PIDFD | Syscall.FAN_CLOEXEC,
              Syscall.O_RDONLY | Syscall.O_CLOEXEC
            )
          )
          yield* paths.fanotify_mark(fd, Syscall.FAN_MARK_ADD, Syscall.FAN_OPEN_PERM, AT_FDCWD, file)
          const answer = (response: number) =>
            Effect.gen(function* () {
              const buffer = new Uint8Array(4096)
              const [event] = fanotifyEvents(buffer, yield* Syscall.read(fd, buffer))
              if (event === undefined) return yield* Effect.die("no event")
              assert.strictEqual(event.mask, BigInt(Syscall.FAN_OPEN_PERM))
              assert.strictEqual(event.pid, process.pid)
              assert.strictEqual(Fs.readlinkSync(`/proc/self/fd/${event.fd}`), Fs.realpathSync(file))
              const [record] = event.information
              assert.strictEqual(record?._tag, "Process")
              if (record?._tag === "Process" && record.pidfd >= 0) yield* Syscall.close(record.pidfd)
              yield* Syscall.write(fd, Abi.fanotify_response.encode({ fd: event.fd, response }))
              yield* Syscall.close(event.fd)
            })
          // The open waits on another thread until it is answered.
          const opening = Syscall.openat(AT_FDCWD, file, Syscall.O_RDONLY | Syscall.O_CLOEXEC)
          const [opened] = yield* Effect.all([held(opening), answer(Syscall.FAN_ALLOW)], { concurrency: 2 })
          assert.isAtLeast(opened, 0)
          const [refused] = yield* Effect.all([failure(opening), answer(Syscall.FAN_DENY)], { concurrency: 2 })
          assert.strictEqual(refused, "EPERM")
          yield* paths.fanotify_mark(fd, Syscall.FAN_MARK_FLUSH, 0, AT_FDCWD, null)
        })
      )
  )

  it("fanotifyEvents decodes every kind of record", () => {
    const header = (info_type: number, len: number) => ({ info_type, len })
    const records = [
      Abi.fanotify_event_info_pidfd.encode({ hdr: header(Syscall.FAN_EVENT_INFO_TYPE_PIDFD, 8), pidfd: 7 }),
      Abi.fanotify_event_info_error.encode({
        hdr: header(Syscall.FAN_EVENT_INFO_TYPE_ERROR, 12),
        error: 5,
        error_count: 2
      }),
      Abi.fanotify_event_info_range.encode({
        hdr: header(Syscall.FAN_EVENT_INFO_TYPE_RANGE, 24),
        offset: 4096n,
        count: 10n
      }),
      Abi.fanotify_event_info_mnt.encode({ hdr: header(Syscall.FAN_EVENT_INFO_TYPE_MNT, 16), mnt_id: 99n }),
      Uint8Array.of(200, 0, 5, 0, 42)
    ]
    const length = records.reduce((sum, record) => sum + record.length, Abi.fanotify_event_metadata.size)
    const event = new Uint8Array(length + 3)
    Abi.fanotify_event_metadata.encode(
      { event_len: length, vers: 3, metadata_len: Abi.fanotify_event_metadata.size, mask: 1n, fd: -1, pid: 1 },
      event
    )
    let at = Abi.fanotify_event_metadata.size
    for (const record of records) {
      event.set(record, at)
      at += record.length
    }
    assert.deepStrictEqual(
      fanotifyEvents(event).map(({ information }) => information),
      [
        [
          { _tag: "Process", info_type: 4, pidfd: 7 },
          { _tag: "Error", info_type: 5, error: 5, error_count: 2 },
          { _tag: "Range", info_type: 6, offset: 4096n, count: 10n },
          { _tag: "Mount", info_type: 7, mnt_id: 99n },
          { _tag: "Other", info_type: 200, bytes: Uint8Array.of(42) }
        ]
      ]
    )
    assert.deepStrictEqual(fanotifyEvents(new Uint8Array(100)), [])
  })
})
