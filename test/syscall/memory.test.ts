/** Calls on the address space: each against the real kernel, on mappings made for the purpose. */

import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Syscall } from "../../src/index.ts"
import * as memory from "../../src/syscall/generated/memory.ts"
import { closing, temporaryDirectory } from "../support/temporary.ts"

const page = 4096
const anonymous = Syscall.MAP_PRIVATE | Syscall.MAP_ANONYMOUS
const readWrite = Syscall.PROT_READ | Syscall.PROT_WRITE

/** Pages for as long as the scope is open. */
const pages = (count: number, protection = readWrite, flags = anonymous, fd = -1) =>
  Effect.acquireRelease(Syscall.mmap(0, count * page, protection, flags, fd), (address) =>
    Effect.ignore(Syscall.munmap(address, count * page))
  )

/** The line of /proc/self/maps or a field of /proc/self/smaps for the mapping at an address. */
const mapsLine = (address: bigint) =>
  readFileSync("/proc/self/maps", "utf8")
    .split("\n")
    .find((line) => line.startsWith(address.toString(16)))

describe("mappings", () => {
  it.live("mremap grows a mapping, perhaps elsewhere", () =>
    Effect.gen(function* () {
      const address = yield* Syscall.mmap(0, page, readWrite, anonymous, -1)
      const moved = yield* memory.mremap(address, page, 4 * page, Syscall.MREMAP_MAYMOVE)
      assert.isDefined(mapsLine(moved))
      yield* Syscall.munmap(moved, 4 * page)
      assert.strictEqual((yield* Effect.flip(memory.mremap(1, page, page)))._tag, "EINVAL")
    })
  )

  it.live("mprotect takes the right to write away", () =>
    Effect.gen(function* () {
      const address = yield* pages(1)
      yield* memory.mprotect(address, page, Syscall.PROT_READ)
      assert.include(mapsLine(address), "r--p")
      assert.strictEqual((yield* Effect.flip(memory.mprotect(address + 1n, page, 0)))._tag, "EINVAL")
    })
  )

  it.live("pkey_alloc, pkey_mprotect and pkey_free work, or say that the processor has no keys", () =>
    Effect.gen(function* () {
      const address = yield* pages(1)
      // Key -1 is none: plain mprotect.
      yield* memory.pkey_mprotect(address, page, Syscall.PROT_READ, -1)
      assert.include(mapsLine(address), "r--p")
      const key = yield* memory
        .pkey_alloc()
        .pipe(Effect.catchTag(["ENOSPC", "EINVAL"], () => Effect.succeed(undefined)))
      if (key === undefined) {
        assert.strictEqual((yield* Effect.flip(memory.pkey_free(5)))._tag, "EINVAL")
      } else {
        yield* memory.pkey_free(key)
      }
    })
  )

  it.live("msync writes a shared mapping to its file", () =>
    Effect.gen(function* () {
      const path = join(yield* temporaryDirectory, "file")
      writeFileSync(path, "x".repeat(page))
      const fd = yield* closing(Syscall.openat(Syscall.AT_FDCWD, path, Syscall.O_RDWR))
      const address = yield* pages(1, readWrite, Syscall.MAP_SHARED, fd)
      yield* memory.msync(address, page, Syscall.MS_SYNC)
      assert.strictEqual((yield* Effect.flip(memory.msync(address, page, 99)))._tag, "EINVAL")
    })
  )

  it.live("mincore tells which pages are in memory", () =>
    Effect.gen(function* () {
      const address = yield* pages(2, readWrite, anonymous | Syscall.MAP_POPULATE)
      const residency = new Uint8Array(2)
      yield* memory.mincore(address, 2 * page, residency)
      assert.deepStrictEqual(
        [...residency].map((byte) => byte & 1),
        [1, 1]
      )
      assert.strictEqual((yield* Effect.flip(memory.mincore(address + 1n, page, residency)))._tag, "EINVAL")
    })
  )

  it.live("madvise throws contents away", () =>
    Effect.gen(function* () {
      const address = yield* pages(1, readWrite, anonymous | Syscall.MAP_POPULATE)
      yield* memory.madvise(address, page, Syscall.MADV_DONTNEED)
      const residency = new Uint8Array(1)
      yield* memory.mincore(address, page, residency)
      assert.strictEqual(residency[0], 0)
      assert.strictEqual((yield* Effect.flip(memory.madvise(address, page, 9999)))._tag, "EINVAL")
    })
  )

  it.live("mseal forbids to unmap, where the kernel has it", () =>
    Effect.gen(function* () {
      // Sealed for good: one page stays mapped until the process ends.
      const address = yield* Syscall.mmap(0, page, readWrite, anonymous, -1)
      const sealed = yield* memory.mseal(address, page).pipe(
        Effect.as(true),
        Effect.catchTag("OtherErrno", ({ code }) => Effect.succeed(code !== "ENOSYS"))
      )
      const unmapped = yield* Effect.exit(Syscall.munmap(address, page))
      assert.strictEqual(unmapped._tag, sealed ? "Failure" : "Success")
    })
  )

  it.live("remap_file_pages refuses what is no shared mapping", () =>
    Effect.gen(function* () {
      const address = yield* pages(1)
      assert.strictEqual((yield* Effect.flip(memory.remap_file_pages(address, page, 0, 0)))._tag, "EINVAL")
    })
  )

  it.live("map_shadow_stack maps one, or says that there is no such thing here", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(memory.map_shadow_stack(0, page))
      if (exit._tag === "Success") yield* Syscall.munmap(exit.value, page)
      else {
        const error = yield* Effect.flip(memory.map_shadow_stack(0, page))
        assert.include(["EOPNOTSUPP", "OtherErrno", "EINVAL"], error._tag)
      }
    })
  )
})

describe("locking", () => {
  it.live("mlock, mlock2 and munlock keep pages in memory and let them go", () =>
    Effect.gen(function* () {
      const address = yield* pages(1)
      yield* memory.mlock(address, page)
      yield* memory.munlock(address, page)
      yield* memory.mlock2(address, page, Syscall.MLOCK_ONFAULT)
      yield* memory.munlock(address, page)
      assert.strictEqual((yield* Effect.flip(memory.mlock2(address, page, 1 << 20)))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(memory.mlock(0, page)))._tag, "ENOMEM")
    })
  )

  it.live("mlockall refuses unknown flags; munlockall always succeeds", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(memory.mlockall(1 << 20)))._tag, "EINVAL")
      yield* memory.munlockall
    })
  )
})

describe("the data segment and NUMA", () => {
  it.live("brk tells where the data segment ends", () =>
    Effect.gen(function* () {
      const end = yield* memory.brk(0)
      assert.isTrue(end > 0n)
      // An end before the start is not possible: the answer is where it is.
      assert.strictEqual(yield* memory.brk(1), end)
    })
  )

  it.live("mbind, set_mempolicy, get_mempolicy and set_mempolicy_home_node set and tell policies", () =>
    Effect.gen(function* () {
      const address = yield* pages(1)
      yield* memory.mbind(address, page, Syscall.MPOL_DEFAULT, null, 0)
      yield* memory.set_mempolicy(Syscall.MPOL_DEFAULT, null, 0)
      const mode = new Int32Array([-1])
      yield* memory.get_mempolicy(mode, null, 0, 0, 0)
      assert.strictEqual(mode[0], Syscall.MPOL_DEFAULT)
      assert.strictEqual((yield* Effect.flip(memory.set_mempolicy(99, null, 0)))._tag, "EINVAL")
      assert.strictEqual((yield* Effect.flip(memory.mbind(address + 1n, page, 0, null, 0)))._tag, "EINVAL")
      const homeless = yield* Effect.flip(memory.set_mempolicy_home_node(address, page, 9999))
      assert.include(["EINVAL", "ENOSYS", "EOPNOTSUPP"], homeless._tag)
    })
  )

  it.live("migrate_pages and move_pages take nodes", () =>
    Effect.gen(function* () {
      const node0 = new BigUint64Array([1n])
      assert.strictEqual(yield* memory.migrate_pages(0, 64, node0, node0), 0)
      assert.strictEqual((yield* Effect.flip(memory.migrate_pages(-5, 64, node0, node0)))._tag, "ESRCH")
      const address = yield* pages(1, readWrite, anonymous | Syscall.MAP_POPULATE)
      const status = new Int32Array([-1])
      yield* memory.move_pages(0, 1, new BigUint64Array([address]), null, status, 0)
      assert.strictEqual(status[0], 0)
    })
  )
})

describe("descriptors of memory", () => {
  it.live("memfd_secret makes a file that only its owner reads, or says that it is off", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(memory.memfd_secret())
      if (exit._tag === "Success") yield* Syscall.close(exit.value)
      assert.strictEqual(
        (yield* Effect.flip(memory.memfd_secret(0x7000)))._tag,
        exit._tag === "Success" ? "EINVAL" : "ENOSYS"
      )
    })
  )

  it.live("userfaultfd makes a descriptor", () =>
    Effect.gen(function* () {
      yield* closing(memory.userfaultfd(Syscall.O_CLOEXEC | Syscall.UFFD_USER_MODE_ONLY))
      assert.strictEqual((yield* Effect.flip(memory.userfaultfd(0x70)))._tag, "EINVAL")
    })
  )

  it.live("process_madvise and process_mrelease want a descriptor of a process", () =>
    Effect.gen(function* () {
      const ranges = new BigUint64Array([0n, 0n])
      const advised = yield* Effect.flip(memory.process_madvise(-1, ranges, 1, Syscall.MADV_COLD))
      assert.strictEqual(advised._tag, "EBADF")
      assert.strictEqual((yield* Effect.flip(memory.process_mrelease(-1)))._tag, "EBADF")
    })
  )
})
