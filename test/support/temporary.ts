/** A temporary directory for as long as a scope is open. */

import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { Syscall } from "../../src/index.ts"

export const temporaryDirectory = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "effect-linux-"))),
  (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
)

/** A raw descriptor for as long as a scope is open: for tests of layer 1, which closes nothing by itself. */
export const closing = <E, R>(open: Effect.Effect<number, E, R>) =>
  Effect.acquireRelease(open, (fd) => Effect.ignore(Syscall.close(fd)))
