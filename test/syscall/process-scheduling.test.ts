/** Priorities, policies, processors, limits and usage, against the real kernel. */
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { getPriority } from "node:os"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Syscall } from "../../src/index.ts"
import * as Generated from "../../src/syscall/generated/process.ts"
import * as Running from "../../src/syscall/process-running.ts"
import * as Scheduling from "../../src/syscall/process-scheduling.ts"

/** A process that waits for its end, to be changed at will. */
const child = Effect.acquireRelease(
  Effect.callback<{ readonly pid: number; readonly kill: () => void }>((resume) => {
    const started = spawn("cat", { stdio: ["pipe", "ignore", "inherit"] })
    started.on("spawn", () => resume(Effect.succeed({ pid: started.pid ?? 0, kill: () => started.kill("SIGKILL") })))
  }),
  ({ kill }) => Effect.sync(kill)
)

const nobody = 0x3fff_ffff

const tagOf = <A, E extends { readonly _tag: string }>(self: Effect.Effect<A, E>) =>
  Effect.map(Effect.flip(self), ({ _tag }) => _tag)

describe("priorities", () => {
  it.live("getpriority and setpriority have the nice value", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Scheduling.getpriority(Syscall.PRIO_PROCESS, 0), getPriority())
      const { pid } = yield* child
      yield* Generated.setpriority(Syscall.PRIO_PROCESS, pid, 7)
      assert.strictEqual(getPriority(pid), 7)
      assert.strictEqual(yield* Scheduling.getpriority(Syscall.PRIO_PROCESS, pid), 7)
      yield* Generated.setpriority(Syscall.PRIO_PROCESS, pid, 1000)
      assert.strictEqual(yield* Scheduling.getpriority(Syscall.PRIO_PROCESS, pid), 19)
    })
  )

  it.effect("getpriority and setpriority fail with EINVAL and ESRCH", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* tagOf(Scheduling.getpriority(9, 0)), "EINVAL")
      assert.strictEqual(yield* tagOf(Scheduling.getpriority(Syscall.PRIO_PROCESS, nobody)), "ESRCH")
      assert.strictEqual(yield* tagOf(Generated.setpriority(9, 0, 0)), "EINVAL")
      assert.strictEqual(yield* tagOf(Generated.setpriority(Syscall.PRIO_PROCESS, nobody, 0)), "ESRCH")
    })
  )

  it.live("ioprio_get and ioprio_set have class and level", () =>
    Effect.gen(function* () {
      const { pid } = yield* child
      const priority = (Syscall.IOPRIO_CLASS_BE << Syscall.IOPRIO_CLASS_SHIFT) | 6
      yield* Generated.ioprio_set(Syscall.IOPRIO_WHO_PROCESS, pid, priority)
      assert.strictEqual(yield* Generated.ioprio_get(Syscall.IOPRIO_WHO_PROCESS, pid), priority)
      assert.strictEqual(yield* tagOf(Generated.ioprio_set(Syscall.IOPRIO_WHO_PROCESS, pid, 6 << 13)), "EINVAL")
      assert.strictEqual(yield* tagOf(Generated.ioprio_get(Syscall.IOPRIO_WHO_PROCESS, nobody)), "ESRCH")
    })
  )
})

describe("scheduling", () => {
  it.live("sched_setscheduler, sched_getscheduler, sched_setparam and sched_getparam have policy and priority", () =>
    Effect.gen(function* () {
      const { pid } = yield* child
      assert.strictEqual(yield* Generated.sched_getscheduler(pid), Syscall.SCHED_NORMAL)
      yield* Generated.sched_setscheduler(pid, Syscall.SCHED_BATCH | Syscall.SCHED_RESET_ON_FORK, { sched_priority: 0 })
      assert.strictEqual(yield* Generated.sched_getscheduler(pid), Syscall.SCHED_BATCH | Syscall.SCHED_RESET_ON_FORK)
      yield* Generated.sched_setparam(pid, { sched_priority: 0 })
      assert.deepStrictEqual(yield* Generated.sched_getparam(pid), { sched_priority: 0 })
      const high = { sched_priority: 1 }
      assert.strictEqual(yield* tagOf(Generated.sched_setscheduler(pid, Syscall.SCHED_BATCH, high)), "EINVAL")
      assert.strictEqual(yield* tagOf(Generated.sched_setparam(pid, high)), "EINVAL")
      assert.strictEqual(yield* tagOf(Generated.sched_getscheduler(nobody)), "ESRCH")
      assert.strictEqual(yield* tagOf(Generated.sched_getparam(-1)), "EINVAL")
    })
  )

  it.live("sched_setattr and sched_getattr have all of it", () =>
    Effect.gen(function* () {
      const { pid } = yield* child
      const before = yield* Generated.sched_getattr(pid)
      assert.containsSubset(before, { sched_policy: Syscall.SCHED_NORMAL, sched_priority: 0 })
      assert.isAtLeast(before.size, Syscall.SCHED_ATTR_SIZE_VER0)
      yield* Scheduling.sched_setattr(pid, { ...before, sched_policy: Syscall.SCHED_BATCH, sched_nice: 9 })
      assert.containsSubset(yield* Generated.sched_getattr(pid), { sched_policy: Syscall.SCHED_BATCH, sched_nice: 9 })
      assert.strictEqual(getPriority(pid), 9)
      assert.strictEqual(yield* tagOf(Scheduling.sched_setattr(pid, before, 1)), "EINVAL")
      assert.strictEqual(yield* tagOf(Scheduling.sched_setattr(nobody, before)), "ESRCH")
      const error = yield* Effect.flip(Scheduling.sched_setattr(pid, { ...before, sched_nice: 2 ** 31 }))
      assert.include(error.message, "sched_attr.sched_nice")
    })
  )

  it.effect("sched_get_priority_max and sched_get_priority_min have the range of a policy", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* Generated.sched_get_priority_max(Syscall.SCHED_FIFO), 99)
      assert.strictEqual(yield* Generated.sched_get_priority_min(Syscall.SCHED_FIFO), 1)
      assert.strictEqual(yield* Generated.sched_get_priority_max(Syscall.SCHED_IDLE), 0)
      assert.strictEqual(yield* tagOf(Generated.sched_get_priority_max(99)), "EINVAL")
      assert.strictEqual(yield* tagOf(Generated.sched_get_priority_min(-1)), "EINVAL")
    })
  )

  it.effect("sched_rr_get_interval tells a slice and sched_yield gives way", () =>
    Effect.gen(function* () {
      const { tv_nsec, tv_sec } = yield* Generated.sched_rr_get_interval(0)
      assert.isTrue(tv_sec === 0n && tv_nsec >= 0n && tv_nsec < 1_000_000_000n)
      assert.strictEqual(yield* tagOf(Generated.sched_rr_get_interval(nobody)), "ESRCH")
      assert.isUndefined(yield* Generated.sched_yield)
    })
  )

  it.live("sched_getaffinity, sched_setaffinity and getcpu have processors by number", () =>
    Effect.gen(function* () {
      const shown = (pid: number | "thread-self"): ReadonlyArray<number> => {
        const list = /^Cpus_allowed_list:\t(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? ""
        return list.split(",").flatMap((range) => {
          const [from = 0, to = from] = range.split("-").map(Number)
          return Array.from({ length: to - from + 1 }, (_, index) => from + index)
        })
      }
      const own = yield* Scheduling.sched_getaffinity(0)
      assert.deepStrictEqual(own, shown("thread-self"))
      assert.include(own, (yield* Scheduling.getcpu).cpu)
      assert.strictEqual((yield* Scheduling.getcpu).node >= 0, true)
      const { pid } = yield* child
      const last = own.at(-1) ?? 0
      yield* Scheduling.sched_setaffinity(pid, [last, 8191])
      assert.deepStrictEqual(shown(pid), [last])
      assert.deepStrictEqual(yield* Scheduling.sched_getaffinity(pid), [last])
      yield* Scheduling.sched_setaffinity(pid, own)
      assert.deepStrictEqual(shown(pid), own)
      assert.strictEqual(yield* tagOf(Scheduling.sched_setaffinity(pid, [])), "EINVAL")
      const error = yield* Effect.flip(Scheduling.sched_setaffinity(pid, [8192]))
      assert.include(error.message, "8192 is no processor number")
      assert.strictEqual(yield* tagOf(Scheduling.sched_getaffinity(nobody)), "ESRCH")
    })
  )
})

describe("limits and usage", () => {
  it.effect("getrlimit tells what /proc does, and setrlimit takes it back", () =>
    Effect.gen(function* () {
      const limit = yield* Generated.getrlimit(Syscall.RLIMIT_NOFILE)
      const line = /^Max open files\s+(\d+)\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))
      assert.deepStrictEqual(limit, { rlim_cur: BigInt(line?.[1] ?? 0), rlim_max: BigInt(line?.[2] ?? 0) })
      yield* Generated.setrlimit(Syscall.RLIMIT_NOFILE, limit)
      assert.deepStrictEqual(yield* Generated.getrlimit(Syscall.RLIMIT_NOFILE), limit)
      const cpu = yield* Generated.getrlimit(Syscall.RLIMIT_CPU)
      assert.isTrue(cpu.rlim_cur <= Syscall.RLIM_INFINITY)
      assert.strictEqual(yield* tagOf(Generated.getrlimit(999)), "EINVAL")
      const inverted = { rlim_cur: 2n, rlim_max: 1n }
      assert.strictEqual(yield* tagOf(Generated.setrlimit(Syscall.RLIMIT_CORE, inverted)), "EINVAL")
    })
  )

  it.live("prlimit64 changes the limits of another process and returns the old ones", () =>
    Effect.gen(function* () {
      const { pid } = yield* child
      const own = yield* Generated.prlimit64(0, Syscall.RLIMIT_NOFILE)
      assert.deepStrictEqual(own, yield* Generated.getrlimit(Syscall.RLIMIT_NOFILE))
      const before = yield* Generated.prlimit64(pid, Syscall.RLIMIT_NOFILE, { rlim_cur: 17n, rlim_max: 23n })
      assert.strictEqual(before.rlim_max, own.rlim_max)
      assert.match(readFileSync(`/proc/${pid}/limits`, "utf8"), /^Max open files\s+17\s+23\b/m)
      assert.deepStrictEqual(yield* Generated.prlimit64(pid, Syscall.RLIMIT_NOFILE), { rlim_cur: 17n, rlim_max: 23n })
      assert.strictEqual(yield* tagOf(Generated.prlimit64(nobody, Syscall.RLIMIT_NOFILE)), "ESRCH")
    })
  )

  it.effect("getrusage and times tell what Node does", () =>
    Effect.gen(function* () {
      const before = process.resourceUsage()
      const usage = yield* Generated.getrusage(Syscall.RUSAGE_SELF)
      const { ticks, tms } = yield* Running.times
      const after = process.resourceUsage()
      const micros = Number(usage.ru_utime.tv_sec) * 1e6 + Number(usage.ru_utime.tv_usec)
      assert.isTrue(before.userCPUTime <= micros && micros <= after.userCPUTime)
      assert.isTrue(before.maxRSS <= Number(usage.ru_maxrss) && Number(usage.ru_maxrss) <= after.maxRSS)
      assert.isAtLeast(Number(usage.ru_minflt), before.minorPageFault)
      assert.approximately(Number(tms.tms_utime), micros / 1e4, 5)
      assert.isAbove(ticks, 0)
      assert.isTrue((yield* Generated.getrusage(Syscall.RUSAGE_THREAD)).ru_utime.tv_sec <= usage.ru_utime.tv_sec)
      assert.strictEqual(yield* tagOf(Generated.getrusage(99)), "EINVAL")
    })
  )
})
