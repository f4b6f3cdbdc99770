/**
 * The bits of CR0 and CR4, by the manuals' names; bigints, as the registers are.
 */

/**
 * Protected mode.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR0_PE = 0x1n

/**
 * `wait` heeds CR0.TS.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR0_MP = 0x2n

/**
 * No x87: its instructions fault.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR0_EM = 0x4n

/**
 * The task was switched: x87 and SSE instructions fault.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR0_TS = 0x8n

/**
 * There is an x87: always set.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR0_ET = 0x10n

/**
 * x87 errors are exceptions.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR0_NE = 0x20n

/**
 * Write protection holds in rings 0 to 2 too.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR0_WP = 0x10000n

/**
 * RFLAGS.AC takes effect.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR0_AM = 0x40000n

/**
 * Not write-through.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR0_NW = 0x20000000n

/**
 * Caches are off.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR0_CD = 0x40000000n

/**
 * Paging.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR0_PG = 0x80000000n

/**
 * Virtual-8086 mode has an interrupt flag of its own.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_VME = 0x1n

/**
 * The same for ring 3 of protected mode.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_PVI = 0x2n

/**
 * `rdtsc` needs ring 0.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_TSD = 0x4n

/**
 * Debug registers can watch I/O.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_DE = 0x8n

/**
 * Pages of 4 MiB in 32-bit paging.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_PSE = 0x10n

/**
 * Page tables of 64-bit entries; long mode needs it.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_PAE = 0x20n

/**
 * Machine checks are reported.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_MCE = 0x40n

/**
 * Global pages.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_PGE = 0x80n

/**
 * `rdpmc` in every ring.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_PCE = 0x100n

/**
 * SSE, with `fxsave` and `fxrstor`.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_OSFXSR = 0x200n

/**
 * SSE errors are exceptions of their own.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_OSXMMEXCPT = 0x400n

/**
 * `sgdt`, `sidt`, `sldt`, `smsw`, `str` need ring 0.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_UMIP = 0x800n

/**
 * Page tables of five levels in long mode.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_LA57 = 0x1000n

/**
 * VMX.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_VMXE = 0x2000n

/**
 * SMX.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_SMXE = 0x4000n

/**
 * `rdfsbase` and its like.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_FSGSBASE = 0x10000n

/**
 * Process-context identifiers; only in long mode.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_PCIDE = 0x20000n

/**
 * `xsave`, and XCR0.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_OSXSAVE = 0x40000n

/**
 * Key Locker.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_KL = 0x80000n

/**
 * Ring 0 executes no user pages.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_SMEP = 0x100000n

/**
 * Ring 0 reads and writes no user pages, unless RFLAGS.AC.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_SMAP = 0x200000n

/**
 * Protection keys of user pages.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_PKE = 0x400000n

/**
 * Shadow stacks and branch tracking; needs CR0.WP.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_CET = 0x800000n

/**
 * Protection keys of supervisor pages.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_PKS = 0x1000000n

/**
 * User interrupts.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_UINTR = 0x2000000n

/**
 * Upper bits of supervisor addresses are ignored.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_LAM_SUP = 0x10000000n

/**
 * Flexible return and event delivery.
 *
 * @category bits
 * @since 0.1.0
 */
export const CR4_FRED = 0x100000000n
