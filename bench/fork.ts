/**
 * (k): forking a machine from a snapshot of 128 MiB, beside making an empty one, and beside a program in C that does the
 * same requests.
 */
import { execFileSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { Effect, Exit, Layer, Scope } from "effect"
import { Kvm } from "effect-linux"
import { compare, type Settings, withDirectory } from "./support.ts"
import { type Outcome, row } from "./table.ts"

const MiB = 1 << 20

/** The guest of the snapshot: `hlt`, at the beginning of memory that has something in every page. */
const hlt = 0xf4

/**
 * What a C program does that makes machines: `empty` ones of one vCPU, or `fork`s with `size` bytes that are private to them
 * of a file in memory, and the registers of a vCPU. Prints the nanoseconds for one.
 */
const source = `
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static void check(int ok, const char *what) {
  if (!ok) {
    perror(what);
    exit(1);
  }
}

static struct { struct kvm_msrs head; struct kvm_msr_entry entries[256]; } msrs;
static struct { struct kvm_msr_list head; __u32 indices[256]; } list;

int main(int argc, char **argv) {
  int forks = strcmp(argv[1], "fork") == 0;
  long times = atol(argv[2]);
  size_t size = (size_t)atol(argv[3]);
  int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  check(kvm >= 0, "/dev/kvm");
  int page_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  int file = memfd_create("snapshot", MFD_CLOEXEC);
  check(ftruncate(file, size) == 0, "ftruncate");
  char *contents = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  check(contents != MAP_FAILED, "mmap");
  if (forks) memset(contents, 0xf4, size);
  munmap(contents, size);

  struct kvm_regs regs;
  struct kvm_sregs sregs;
  struct kvm_xsave xsave;
  struct kvm_xcrs xcrs;
  struct kvm_debugregs debugregs;
  struct kvm_vcpu_events events;
  struct kvm_mp_state mp_state;
  struct kvm_clock_data clock_data;
  int saved = 0;

  struct timespec from, to;
  clock_gettime(CLOCK_MONOTONIC, &from);
  for (long i = 0; i < times; i++) {
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);
    check(vm >= 0, "KVM_CREATE_VM");
    void *memory = 0;
    if (forks) {
      memory = mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file, 0);
      check(memory != MAP_FAILED, "mmap");
      struct kvm_userspace_memory_region region = {0, 0, 0, size, (unsigned long)memory};
      check(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) == 0, "KVM_SET_USER_MEMORY_REGION");
    }
    int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    check(vcpu >= 0, "KVM_CREATE_VCPU");
    void *page = mmap(0, page_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    check(page != MAP_FAILED, "mmap");
    if (forks) {
      if (!saved) {
        saved = 1;
        check(ioctl(vcpu, KVM_GET_REGS, &regs) == 0, "KVM_GET_REGS");
        check(ioctl(vcpu, KVM_GET_SREGS, &sregs) == 0, "KVM_GET_SREGS");
        check(ioctl(vcpu, KVM_GET_XSAVE, &xsave) == 0, "KVM_GET_XSAVE");
        check(ioctl(vcpu, KVM_GET_XCRS, &xcrs) == 0, "KVM_GET_XCRS");
        check(ioctl(vcpu, KVM_GET_DEBUGREGS, &debugregs) == 0, "KVM_GET_DEBUGREGS");
        check(ioctl(vcpu, KVM_GET_VCPU_EVENTS, &events) == 0, "KVM_GET_VCPU_EVENTS");
        check(ioctl(vcpu, KVM_GET_MP_STATE, &mp_state) == 0, "KVM_GET_MP_STATE");
        check(ioctl(vm, KVM_GET_CLOCK, &clock_data) == 0, "KVM_GET_CLOCK");
        clock_data.flags = 0;
        list.head.nmsrs = 256;
        check(ioctl(kvm, KVM_GET_MSR_INDEX_LIST, &list) == 0, "KVM_GET_MSR_INDEX_LIST");
        msrs.head.nmsrs = list.head.nmsrs;
        for (unsigned n = 0; n < list.head.nmsrs; n++) msrs.entries[n].index = list.indices[n];
        msrs.head.nmsrs = ioctl(vcpu, KVM_GET_MSRS, &msrs);
      }
      check(ioctl(vcpu, KVM_SET_SREGS, &sregs) == 0, "KVM_SET_SREGS");
      check(ioctl(vcpu, KVM_SET_MSRS, &msrs) >= 0, "KVM_SET_MSRS");
      check(ioctl(vcpu, KVM_SET_XCRS, &xcrs) == 0, "KVM_SET_XCRS");
      check(ioctl(vcpu, KVM_SET_XSAVE, &xsave) == 0, "KVM_SET_XSAVE");
      check(ioctl(vcpu, KVM_SET_DEBUGREGS, &debugregs) == 0, "KVM_SET_DEBUGREGS");
      check(ioctl(vcpu, KVM_SET_REGS, &regs) == 0, "KVM_SET_REGS");
      check(ioctl(vcpu, KVM_SET_MP_STATE, &mp_state) == 0, "KVM_SET_MP_STATE");
      check(ioctl(vcpu, KVM_SET_VCPU_EVENTS, &events) == 0, "KVM_SET_VCPU_EVENTS");
      check(ioctl(vm, KVM_SET_CLOCK, &clock_data) == 0, "KVM_SET_CLOCK");
    }
    munmap(page, page_size);
    close(vcpu);
    if (memory != 0) munmap(memory, size);
    close(vm);
  }
  clock_gettime(CLOCK_MONOTONIC, &to);
  printf("%.0f\\n", ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / times);
  return 0;
}
`

/** The program, compiled; undefined where there is no compiler. */
const compiled = (directory: string): string | undefined => {
  const path = join(directory, "fork")
  try {
    writeFileSync(`${path}.c`, source)
    execFileSync("gcc", ["-O2", "-o", path, `${path}.c`], { stdio: ["ignore", "ignore", "inherit"] })
    return path
  } catch {
    return undefined
  }
}

const names = {
  fork: "Kvm.fork and its scope's end",
  empty: "an empty machine of one vCPU, made and dropped",
  forkC: "a program in C, fork",
  emptyC: "a program in C, empty machine"
}

const emptyMachine = Effect.gen(function* () {
  const vm = yield* Kvm.createVm()
  yield* Kvm.createVcpu(vm, 0)
}).pipe(Effect.scoped)

export const fork = (settings: Settings): Promise<Outcome> =>
  withDirectory(settings, async (directory) => {
    const size = (settings.quick ? 16 : 128) * MiB
    const scope = Scope.makeUnsafe()
    try {
      const kvm = await Effect.runPromise(Layer.buildWithScope(Kvm.layer, scope))
      const provided = <A, E>(effect: Effect.Effect<A, E, Kvm.Kvm | Scope.Scope>): Promise<A> =>
        Effect.runPromise(effect.pipe(Scope.provide(scope), Effect.provide(kvm)))
      const snapshot = await provided(
        Effect.gen(function* () {
          const vm = yield* Kvm.createVm()
          const memory = yield* Kvm.addMemory(vm, { slot: 0, guestAddress: 0, size })
          memory.bytes.fill(hlt)
          yield* Kvm.createVcpu(vm, 0)
          return yield* Kvm.snapshot(vm)
        })
      )
      const repeated = (effect: Effect.Effect<unknown, unknown, Kvm.Kvm>) => (times: number) =>
        provided(
          Effect.gen(function* () {
            for (let i = 0; i < times; i++) yield* effect
          })
        )
      const path = compiled(directory)
      const inC = (what: "fork" | "empty") => (times: number) =>
        path === undefined
          ? Number.NaN
          : Number(execFileSync(path, [what, String(times), String(size)], { encoding: "utf8" })) * times
      const measured = await compare(settings, {
        title: `a machine forked from a snapshot of ${size / MiB} MiB`,
        ours: { name: names.fork, run: repeated(Effect.scoped(Kvm.fork(snapshot))) },
        others: [
          { name: names.empty, run: repeated(emptyMachine) },
          ...(path === undefined
            ? []
            : [
                { name: names.forkC, run: inC("fork") },
                { name: names.emptyC, run: inC("empty") }
              ])
        ]
      })
      const what = `fork of ${size / MiB} MiB`
      return {
        rows: [
          row("fork", measured, { what, ours: names.fork, other: names.empty, target: { atMost: 5 } }),
          ...(path === undefined ? [] : [row("fork", measured, { what, ours: names.fork, other: names.forkC })])
        ],
        notes: path === undefined ? ["fork: there is no gcc, so nothing in C stands beside it"] : [],
        measured: [measured]
      }
    } finally {
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  })
