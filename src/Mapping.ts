/**
 * Memory of the kernel shown to JavaScript: mappings held by a scope, of files (`File.mmap`) and of nothing.
 *
 * **Views.** The `ArrayBuffer` of a mapping is detached before the memory is unmapped, moved or made unwritable, so a view
 * that outlives it has length 0 and reads nothing; it does not crash. It cannot be transferred to another thread; memory
 * that `ArrayBuffer`'s own `transfer` has moved elsewhere reads as zeros when the scope has closed.
 *
 * **What kills a process.** The kernel answers an access to a page that it cannot supply with SIGBUS, and no JavaScript
 * runs after that. It happens where
 *
 * - a file was cut shorter after it was mapped, and the page lies past its new end. A private mapping is no better: the
 *   kernel takes back even the pages that were written to.
 * - a hole of a file is touched for which the file system has no room any more (`/dev/shm` and other tmpfs that are full),
 *   or a disk fails.
 *
 * The means against it, the strongest first:
 *
 * - {@link copyOf}: the contents, read into memory of their own
 * - `File.mmap(file, { sealed: true })`: maps only a memfd that nobody can shorten any more, and fails for others
 * - map only files that nobody else may shorten
 * - `File.allocate` before mapping, or `advise(mapping, "populateWrite")`, which says `EFAULT` where an access would kill:
 *   against what a full file system does
 *
 * **Sharing.** Workers and processes share memory by mapping the same memfd or file, each with `shared: true`; every one of
 * them sees at once what another writes, and `Atomics` work across them. `Futex` and `Mutex` wait for each other in it.
 * A worker has the descriptors of its process: it is told the number and takes it with `File.borrow`.
 *
 * Nothing here maps at an address that the caller chose: it would replace whatever of the runtime is there.
 *
 * @since 0.1.0
 */
export { type AnonymousOptions, anonymous, type HugePageSize, type Options } from "./file/mapping.ts"
export { copyOf } from "./file/mapping-copy.ts"
export * from "./file/mapping-operations.ts"
export { isMapping, type Mapping } from "./file/mapping-region.ts"
