/**
 * The bits of RFLAGS, EFER and of page tables' entries, by the manuals' names; bigints, as they are.
 */

/**
 * Carry.
 *
 * @category bits
 * @since 0.1.0
 */
export const RFLAGS_CF = 0x1n

/**
 * Always set.
 *
 * @category bits
 * @since 0.1.0
 */
export const RFLAGS_FIXED = 0x2n

/**
 * Parity.
 *
 * @category bits
 * @since 0.1.0
 */
export const RFLAGS_PF = 0x4n

/**
 * Auxiliary carry.
 *
 * @category bits
 * @since 0.1.0
 */
export const RFLAGS_AF = 0x10n

/**
 * Zero.
 *
 * @category bits
 * @since 0.1.0
 */
export const RFLAGS_ZF = 0x40n

/**
 * Sign.
 *
 * @category bits
 * @since 0.1.0
 */
export const RFLAGS_SF = 0x80n

/**
 * A trap after each instruction.
 *
 * @category bits
 * @since 0.1.0
 */
export const RFLAGS_TF = 0x100n

/**
 * Interrupts are taken.
 *
 * @category bits
 * @since 0.1.0
 */
export const RFLAGS_IF = 0x200n

/**
 * String instructions go down.
 *
 * @category bits
 * @since 0.1.0
 */
export const RFLAGS_DF = 0x400n

/**
 * Overflow.
 *
 * @category bits
 * @since 0.1.0
 */
export const RFLAGS_OF = 0x800n

/**
 * The ring that may use ports and `cli`: two bits.
 *
 * @category bits
 * @since 0.1.0
 */
export const RFLAGS_IOPL = 0x3000n

/**
 * Nested task.
 *
 * @category bits
 * @since 0.1.0
 */
export const RFLAGS_NT = 0x4000n

/**
 * The next instruction breakpoint is passed over.
 *
 * @category bits
 * @since 0.1.0
 */
export const RFLAGS_RF = 0x10000n

/**
 * Virtual-8086 mode.
 *
 * @category bits
 * @since 0.1.0
 */
export const RFLAGS_VM = 0x20000n

/**
 * Alignment is checked in ring 3; SMAP is lifted.
 *
 * @category bits
 * @since 0.1.0
 */
export const RFLAGS_AC = 0x40000n

/**
 * Virtual interrupt flag.
 *
 * @category bits
 * @since 0.1.0
 */
export const RFLAGS_VIF = 0x80000n

/**
 * A virtual interrupt waits.
 *
 * @category bits
 * @since 0.1.0
 */
export const RFLAGS_VIP = 0x100000n

/**
 * `cpuid` exists.
 *
 * @category bits
 * @since 0.1.0
 */
export const RFLAGS_ID = 0x200000n

/**
 * `syscall` and `sysret`.
 *
 * @category bits
 * @since 0.1.0
 */
export const EFER_SCE = 0x1n

/**
 * Long mode, once paging is on.
 *
 * @category bits
 * @since 0.1.0
 */
export const EFER_LME = 0x100n

/**
 * Long mode is on: set exactly when LME and CR0.PG are.
 *
 * @category bits
 * @since 0.1.0
 */
export const EFER_LMA = 0x400n

/**
 * Pages that cannot be executed.
 *
 * @category bits
 * @since 0.1.0
 */
export const EFER_NX = 0x800n

/**
 * SVM (AMD).
 *
 * @category bits
 * @since 0.1.0
 */
export const EFER_SVME = 0x1000n

/**
 * Segment limits in long mode (AMD).
 *
 * @category bits
 * @since 0.1.0
 */
export const EFER_LMSLE = 0x2000n

/**
 * `fxsave` without the SSE registers (AMD).
 *
 * @category bits
 * @since 0.1.0
 */
export const EFER_FFXSR = 0x4000n

/**
 * Translation cache extension (AMD).
 *
 * @category bits
 * @since 0.1.0
 */
export const EFER_TCE = 0x8000n

/**
 * `mcommit` (AMD).
 *
 * @category bits
 * @since 0.1.0
 */
export const EFER_MCOMMIT = 0x20000n

/**
 * `wbinvd` can be interrupted (AMD).
 *
 * @category bits
 * @since 0.1.0
 */
export const EFER_INTWB = 0x40000n

/**
 * Upper bits of addresses are ignored (AMD).
 *
 * @category bits
 * @since 0.1.0
 */
export const EFER_UAIE = 0x100000n

/**
 * Automatic IBRS (AMD).
 *
 * @category bits
 * @since 0.1.0
 */
export const EFER_AUTOIBRS = 0x200000n

/**
 * Of a page table's entry: there is a page or table.
 *
 * @category bits
 * @since 0.1.0
 */
export const PTE_PRESENT = 0x1n

/**
 * Of a page table's entry: it can be written.
 *
 * @category bits
 * @since 0.1.0
 */
export const PTE_WRITABLE = 0x2n

/**
 * Of a page table's entry: ring 3 has access.
 *
 * @category bits
 * @since 0.1.0
 */
export const PTE_USER = 0x4n

/**
 * Of a page table's entry: write-through.
 *
 * @category bits
 * @since 0.1.0
 */
export const PTE_WRITE_THROUGH = 0x8n

/**
 * Of a page table's entry: not cached.
 *
 * @category bits
 * @since 0.1.0
 */
export const PTE_CACHE_DISABLE = 0x10n

/**
 * Of a page table's entry: it was used: set by the processor.
 *
 * @category bits
 * @since 0.1.0
 */
export const PTE_ACCESSED = 0x20n

/**
 * Of a page table's entry: it was written: set by the processor.
 *
 * @category bits
 * @since 0.1.0
 */
export const PTE_DIRTY = 0x40n

/**
 * Of a page table's entry: a large page rather than a table.
 *
 * @category bits
 * @since 0.1.0
 */
export const PTE_PAGE_SIZE = 0x80n

/**
 * Of a page table's entry: it stays in the TLB when CR3 changes, with CR4.PGE.
 *
 * @category bits
 * @since 0.1.0
 */
export const PTE_GLOBAL = 0x100n

/**
 * Of a page table's entry: it cannot be executed, with EFER.NX.
 *
 * @category bits
 * @since 0.1.0
 */
export const PTE_NX = 0x8000000000000000n
