/**
 * Memory of the kernel shown to JavaScript: a mapping held by a scope.
 *
 * The `ArrayBuffer` of a mapping is detached before the memory is unmapped, so a view that outlives the scope has length
 * 0 and reads nothing; it does not crash. It cannot be transferred to another thread; memory that `ArrayBuffer`'s own
 * `transfer` has moved elsewhere reads as zeros then.
 *
 * A file that is cut shorter while it is mapped leaves pages without a file behind them, and touching such a page kills
 * the process (SIGBUS). Map only what nobody else shortens, or a private copy.
 *
 * @since 0.1.0
 */

export { anonymous, type Mapping, type Options } from "./file/mapping.ts"
