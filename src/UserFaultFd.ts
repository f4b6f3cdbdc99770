/**
 * Page faults served by the program: `userfaultfd`. Memory that is registered has no pages of its own; whoever touches it
 * waits until this program says what is in it.
 *
 * JavaScript's own thread must never be the one that touches: it would wait for itself, and the process would stand still
 * for good. Registered memory is for calls on other threads, for other processes and for guests of `Kvm`.
 *
 * @since 0.1.0
 */
export * from "./file/userfault-events.ts"
export * from "./file/userfault-requests.ts"
