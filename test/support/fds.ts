/** Descriptors and files for tests of layer 1, released by the test's scope. */

import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { Syscall } from "../../src/index.ts"

const closing = <E, R>(open: Effect.Effect<number, E, R>) =>
  Effect.acquireRelease(open, (fd) => Effect.ignore(Syscall.close(fd)))

/** A file in memory. */
export const memfd = closing(Syscall.memfd_create("effect-linux-test", Syscall.MFD_CLOEXEC))

/** A pipe with both ends. */
export const pipe = Effect.acquireRelease(Syscall.pipe2(Syscall.O_CLOEXEC), ([reader, writer]) =>
  Effect.andThen(Effect.ignore(Syscall.close(reader)), Effect.ignore(Syscall.close(writer)))
)

/** A counter. */
export const eventfd = (initial: number, flags = 0) => closing(Syscall.eventfd2(initial, Syscall.EFD_CLOEXEC | flags))

/** An empty directory. */
export const directory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-linux-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** A descriptor that some effect opens. */
export const held = closing

export { asleepIn } from "./underway.ts"
