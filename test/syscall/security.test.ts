/** Calls of filters, access rules, keys, events and security modules, where they cannot bind this process for good. */

import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Abi, Syscall } from "../../src/index.ts"
import { closing } from "../support/temporary.ts"

/** Runs a program of its own, for what stays with a process until its end; returns what it printed. */
const child = (body: string): string => {
  const program = `
    import { Effect } from "effect"
    import { Abi, Syscall } from "effect-linux"
    await Effect.runPromise(Effect.scoped(Effect.gen(function* () { ${body} })))`
  const { status, stderr, stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    encoding: "utf8"
  })
  assert.strictEqual(status, 0, stderr)
  return stdout.trim()
}

const empty = { handled_access_fs: 0n, handled_access_net: 0n, scoped: 0n }

describe("Landlock", () => {
  it.effect("landlock_create_ruleset tells the version, or that it is off", () =>
    Effect.gen(function* () {
      const version = yield* Syscall.landlock_create_ruleset(null, Syscall.LANDLOCK_CREATE_RULESET_VERSION).pipe(
        Effect.catchTag(["EOPNOTSUPP", "OtherErrno"], () => Effect.succeed(1))
      )
      assert.isAtLeast(version, 1)
      const error = yield* Effect.flip(Syscall.landlock_create_ruleset(empty))
      assert.include(["OtherErrno", "EOPNOTSUPP", "ENOSYS", "ENOMSG"], error._tag)
    })
  )

  it.effect("landlock_add_rule refuses a rule of another type, before the kernel is asked", () =>
    Effect.gen(function* () {
      const rule = { allowed_access: 1n, port: 80n }
      const error = yield* Effect.flip(Syscall.landlock_add_rule(-1, Syscall.LANDLOCK_RULE_PATH_BENEATH, rule))
      assert.strictEqual(error._tag, "EINVAL")
      const beneath = { allowed_access: 1n, parent_fd: 0 }
      const bad = yield* Effect.flip(Syscall.landlock_add_rule(-1, Syscall.LANDLOCK_RULE_PATH_BENEATH, beneath))
      assert.include(["EBADF", "EOPNOTSUPP", "ENOSYS", "OtherErrno"], bad._tag)
    })
  )

  it("landlock_restrict_self takes the right to read away, but for what a rule allows", () => {
    const printed = child(`
      const READ = BigInt(Syscall.LANDLOCK_ACCESS_FS_READ_FILE)
      const attr = { handled_access_fs: READ, handled_access_net: 0n, scoped: 0n }
      const ruleset = yield* Syscall.landlock_create_ruleset(attr).pipe(
        Effect.catchTag(["EOPNOTSUPP", "ENOSYS"], () => Effect.succeed(undefined)))
      if (ruleset === undefined) return console.log("off")
      const parent_fd = yield* Syscall.openat(Syscall.AT_FDCWD, "/proc", Syscall.O_PATH)
      yield* Syscall.landlock_add_rule(ruleset, Syscall.LANDLOCK_RULE_PATH_BENEATH, { allowed_access: READ, parent_fd })
      yield* Syscall.prctl(Syscall.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
      yield* Syscall.landlock_restrict_self(ruleset)
      const open = (path) => Syscall.call(Syscall.nr.openat, Syscall.AT_FDCWD, new TextEncoder().encode(path + "\\0"), 0)
      yield* open("/proc/version")
      console.log((yield* Effect.flip(open("/etc/hostname")))._tag)`)
    assert.include(["EACCES", "off"], printed)
  })
})

describe("filters", () => {
  it.effect("seccomp tells which actions there are, and refuses unknown operations", () =>
    Effect.gen(function* () {
      const action = Uint32Array.of(Syscall.SECCOMP_RET_ALLOW)
      yield* Syscall.seccomp(Syscall.SECCOMP_GET_ACTION_AVAIL, 0, action)
      assert.strictEqual((yield* Effect.flip(Syscall.seccomp(99, 0, null)))._tag, "EINVAL")
    })
  )

  it("seccomp makes a call fail as a filter says", () => {
    // Load the number of the call; if it is getppid answer EPERM, else allow.
    const printed = child(`
      const filter = new Uint8Array(4 * Abi.sock_filter.size)
      const RET = 0x06, LOAD = 0x20, EQUAL = 0x15
      const program = [
        { code: LOAD, jt: 0, jf: 0, k: 0 },
        { code: EQUAL, jt: 0, jf: 1, k: Syscall.nr.getppid },
        { code: RET, jt: 0, jf: 0, k: Syscall.SECCOMP_RET_ERRNO | 1 },
        { code: RET, jt: 0, jf: 0, k: Syscall.SECCOMP_RET_ALLOW }
      ]
      program.forEach((instruction, at) => Abi.sock_filter.encode(instruction, filter, at * Abi.sock_filter.size))
      const fprog = Abi.sock_fprog.encode({ len: program.length, filter: Syscall.addressOf(filter) })
      yield* Syscall.prctl(Syscall.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
      yield* Syscall.seccomp(Syscall.SECCOMP_SET_MODE_FILTER, 0, fprog)
      console.log((yield* Effect.flip(Syscall.call(Syscall.nr.getppid)))._tag, filter.length)`)
    assert.strictEqual(printed, "EPERM 32")
  })

  it.effect("bpf makes a map, or is refused", () =>
    Effect.gen(function* () {
      // An array of one entry of 4 bytes: map_type, key_size, value_size, max_entries.
      const attr = Uint32Array.of(2, 4, 4, 1)
      const exit = yield* Effect.exit(Syscall.bpf(Syscall.BPF_MAP_CREATE, attr))
      if (exit._tag === "Success") yield* Syscall.close(exit.value)
      const error = yield* Effect.flip(Syscall.bpf(9999, attr))
      assert.include(["EINVAL", "EPERM", "OtherErrno"], error._tag)
    })
  )
})

describe("keys", () => {
  it.effect("add_key, request_key and keyctl keep a key, find it, and read it", () =>
    Effect.gen(function* () {
      const bytes = (text: string) => new TextEncoder().encode(text)
      const keyring = Syscall.KEY_SPEC_THREAD_KEYRING
      const serial = yield* Syscall.add_key("user", "effect-linux:test", bytes("secret"), keyring).pipe(
        Effect.catchTag("OtherErrno", () => Effect.succeed(undefined))
      )
      if (serial === undefined) return // a kernel without keys
      assert.strictEqual(yield* Syscall.request_key("user", "effect-linux:test", null, 0), serial)
      const buffer = new Uint8Array(16)
      const length = yield* Syscall.keyctl(Syscall.KEYCTL_READ, serial, buffer, buffer.length)
      assert.strictEqual(new TextDecoder().decode(buffer.subarray(0, length)), "secret")
      yield* Syscall.keyctl(Syscall.KEYCTL_UNLINK, serial, keyring)
      assert.strictEqual((yield* Effect.flip(Syscall.request_key("user", "effect-linux:none", null, 0)))._tag, "ENOKEY")
    })
  )
})

describe("events and modules", () => {
  it.live("perf_event_open counts, or says that there is nothing to count with", () =>
    Effect.gen(function* () {
      const zero = Abi.perf_event_attr.decode(new Uint8Array(Abi.perf_event_attr.size))
      // A software event: the time that the task ran.
      const attr = { ...zero, type: 1, size: Abi.perf_event_attr.size, config: 1n }
      const opened = yield* Effect.exit(closing(Syscall.perf_event_open(attr, 0, -1, -1)))
      if (opened._tag === "Success") {
        const count = new BigUint64Array(1)
        assert.strictEqual(yield* Syscall.read(opened.value, count), 8)
        assert.isTrue((count[0] ?? 0n) > 0n)
      }
      const error = yield* Effect.flip(Syscall.perf_event_open({ ...attr, type: 0xffff }, 0, -1, -1))
      assert.include(["ENOENT", "EACCES", "EPERM", "ENOSYS", "OtherErrno"], error._tag)
    })
  )

  it.effect("lsm_list_modules lists modules; lsm_get_self_attr and lsm_set_self_attr take attributes of theirs", () =>
    Effect.gen(function* () {
      const modules = yield* Syscall.lsm_list_modules.pipe(Effect.catchTag("ENOSYS", () => Effect.succeed(undefined)))
      if (modules === undefined) return // before Linux 6.8
      assert.include([...modules], BigInt(Syscall.LSM_ID_CAPABILITY))
      const contexts = yield* Syscall.lsm_get_self_attr(Syscall.LSM_ATTR_CURRENT).pipe(
        Effect.catchTag("EOPNOTSUPP", () => Effect.succeed([]))
      )
      for (const { id, ctx, ctx_len } of contexts) {
        assert.include([...modules], id)
        assert.strictEqual(ctx.length, Number(ctx_len))
      }
      const context = Abi.lsm_ctx.encode({ id: 9999n, flags: 0n, len: BigInt(Abi.lsm_ctx.size), ctx_len: 0n })
      const error = yield* Effect.flip(Syscall.lsm_set_self_attr(Syscall.LSM_ATTR_CURRENT, context))
      assert.include(["EOPNOTSUPP", "EINVAL"], error._tag)
    })
  )
})
