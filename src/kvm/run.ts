/**
 * Running guests.
 */
import * as Effect from "effect/Effect"
import * as Exit_ from "effect/Exit"
import * as Scope from "effect/Scope"
import { codes } from "../errors/errnos.ts"
import * as File from "../File.ts"
import type * as Ioctl from "../Ioctl.ts"
import * as Syscall from "../Syscall.ts"
import { KVM_EXIT_MEMORY_FAULT, KVM_EXIT_UNKNOWN } from "./constants.ts"
import { decode, type Exit } from "./exit.ts"
import { KVM_RUN } from "./requests.ts"
import { refuse, stateOf, type Vcpu, type VcpuState } from "./vcpu.ts"

/**
 * What running a guest fails with.
 *
 * @category errors
 * @since 0.1.0
 */
export type RunError = Ioctl.RequestError<typeof KVM_RUN>

const closedMeanwhile = () => refuse(KVM_RUN.errors, codes.EBADF, "KVM_RUN: the vCPU was closed meanwhile")

const atRest = (state: VcpuState): Exit_.Exit<Exit, RunError> =>
  state.closed ? closedMeanwhile() : Exit_.succeed(decode(state))

/** What a request that failed means: to stop for a signal or a fault is an exit like others. */
const failed = <E extends { readonly errno: number }>(state: VcpuState, error: E): Exit_.Exit<Exit, E | RunError> => {
  if (state.closed) return closedMeanwhile()
  if (error.errno === codes.EINTR) return Exit_.succeed({ _tag: "Intr" })
  const faulted = error.errno === codes.EFAULT || error.errno === codes.EHWPOISON
  return faulted && state.reason === KVM_EXIT_MEMORY_FAULT ? atRest(state) : Exit_.fail(error)
}

/** Marks the vCPU as running for the time that `enter` takes, unless there is an exit that nobody has seen yet. */
const entering = <E extends { readonly errno: number }>(
  vcpu: Vcpu,
  enter: (state: VcpuState) => Effect.Effect<number, E>
): Effect.Effect<Exit, E | RunError> =>
  Effect.suspend((): Effect.Effect<Exit, E | RunError> => {
    const state = stateOf(vcpu)
    if (state.closed) return refuse(KVM_RUN.errors, codes.EBADF, "KVM_RUN: the vCPU is closed")
    if (state.running) return refuse(KVM_RUN.errors, codes.EBUSY, "KVM_RUN: the vCPU is running")
    if (state.kept) {
      state.kept = false
      return atRest(state)
    }
    state.running = true
    state.entries++
    state.immediateExit = 0
    // The reason is also input: by it the kernel completes the access that the guest stopped for. Only the one that is
    // believed although the call failed must not be an old one.
    if (state.reason === KVM_EXIT_MEMORY_FAULT) state.reason = KVM_EXIT_UNKNOWN
    return enter(state).pipe(
      Effect.onExit(() =>
        Effect.sync(() => {
          state.running = false
        })
      ),
      Effect.matchEffect({
        onFailure: (error) => failed(state, error),
        onSuccess: () => atRest(state)
      })
    )
  })

/** The vCPU's own thread, made when it is first needed and ended with the vCPU. */
const threadOf = (state: VcpuState): Effect.Effect<Syscall.Thread, Syscall.MakeThreadError> =>
  state.thread !== undefined
    ? Effect.succeed(state.thread)
    : Effect.map(Scope.provide(Syscall.makeThread, state.scope), (thread) => {
        state.thread = thread
        return thread
      })

/**
 * Runs the guest until it stops, on the vCPU's own thread: the event loop goes on meanwhile.
 *
 * Interrupting the fiber stops the guest at once, wherever it is, and running it again goes on from there. An exit that
 * came at the same moment is not lost: the next run gives it. Fails with `EBUSY` while another fiber runs it.
 *
 * Request `KVM_RUN`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Kvm } from "effect-linux"
 *
 * // runs until the guest halts, a second at most
 * const untilHalt = (vcpu: Kvm.Vcpu) =>
 *   Kvm.run(vcpu).pipe(
 *     Effect.repeat({ until: ({ _tag }) => _tag === "Hlt" }),
 *     Effect.timeout("1 second")
 *   )
 * ```
 *
 * @category running
 * @since 0.1.0
 */
export const run = (vcpu: Vcpu): Effect.Effect<Exit, RunError | Syscall.MakeThreadError> =>
  entering(vcpu, (state) =>
    Effect.flatMap(threadOf(state), (thread) =>
      File.ioctlOn(state.file, thread, KVM_RUN, {
        // For a guest that is not yet entered; one that is, the signal gets out.
        onInterrupt: () => {
          if (!state.closed) state.immediateExit = 1
        },
        onAbandoned: () => {
          state.kept = true
        }
      })
    )
  )

/**
 * Runs the guest until it stops, on the JavaScript thread: faster by two switches of threads, and nothing else happens
 * meanwhile. A guest that does not stop stops the program.
 *
 * **When to use**
 *
 * For guests that are known to stop soon, and for speed.
 *
 * Request `KVM_RUN`.
 *
 * @category running
 * @since 0.1.0
 */
export const runInline = (vcpu: Vcpu): Effect.Effect<Exit, RunError> =>
  entering(vcpu, ({ file }) => File.ioctl(file, KVM_RUN))
