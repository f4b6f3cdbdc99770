/**
 * Layer 2: file descriptors held by a `Scope`.
 *
 * A `File` is closed when its scope closes, exactly once, however the scope ends; from then on every operation on it
 * fails with `EBADF` without asking the kernel, which may have given the number to somebody else. What waits in the
 * kernel for a file that is closed is called back first, and fails with `EBADF`.
 *
 * An operation that may wait never holds up the event loop, and can be interrupted.
 *
 * **Paths.** `name(path)` takes a path from the working directory, `nameAt(directory, path)` one that starts at an open
 * directory. Where `name` works on an open file (`stat`, `chmod`, `chown`, `setTimes`), `nameAt(File.cwd, path)` takes a
 * path. A path that is absolute starts at the root either way.
 *
 * @since 0.1.0
 */
export * from "./file/attributes.ts"
export * from "./file/copying.ts"
export * from "./file/device.ts"
export {
  type Entry,
  type EntryType,
  entries,
  type LinkOptions,
  link,
  linkAt,
  type ModeOptions,
  mkdir,
  mkdirAt,
  mkfifo,
  mkfifoAt,
  mknod,
  mknodAt,
  type NodeOptions,
  type RenameOptions,
  readlink,
  readlinkAt,
  rename,
  renameAt,
  rmdir,
  rmdirAt,
  symlink,
  symlinkAt,
  unlink,
  unlinkAt
} from "./file/directories.ts"
export * from "./file/locking.ts"
export * from "./file/metadata.ts"
export { cwd, type File, isFile } from "./file/model.ts"
export * from "./file/opening.ts"
export * from "./file/space.ts"
export * from "./file/streaming.ts"
export * from "./file/transfer.ts"
export * from "./file/walking.ts"
