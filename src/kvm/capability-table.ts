/** The capabilities of the kernel's KVM: their names, their numbers, and what the answers mean. */
import * as c from "./constants.ts"

/**
 * The name of a capability of the kernel's.
 *
 * @category capabilities
 * @since 0.1.0
 */
export type CapabilityName = Extract<keyof typeof c, `KVM_CAP_${string}`>

/**
 * What the answer to {@link checkExtension} means where it is not 0, which always says that the capability is missing.
 *
 * - `flag`: it is there
 * - `count`: how many there are, or may be
 * - `bytes`: a size
 * - `page`: the number of a page of the vCPU's mapping
 * - `bits`: a set, of which `bits` names the members
 * - `number`: see the summary
 *
 * @category capabilities
 * @since 0.1.0
 */
export interface Capability {
  readonly number: number
  /** What a kernel with it can do, mostly by the name of the function that needs it. */
  readonly summary: string
  readonly value: "flag" | "count" | "bytes" | "page" | "bits" | "number"
  /** What the bits are that this library knows of. */
  readonly bits?: { readonly [name: string]: number }
}

const of =
  (value: Exclude<Capability["value"], "bits">) =>
  (number: number, summary: string): Capability => ({ number, summary, value })

const flag = of("flag")
const count = of("count")
const bytes = of("bytes")
const page = of("page")
const number = of("number")
const bits = (number: number, summary: string, bits: NonNullable<Capability["bits"]>): Capability => ({
  number,
  summary,
  value: "bits",
  bits
})

/**
 * All capabilities by their names, with what each means.
 *
 * @example
 * ```ts
 * import { Kvm } from "effect-linux"
 *
 * Kvm.capabilities.KVM_CAP_NR_MEMSLOTS.value // "count"
 * ```
 *
 * @category capabilities
 * @since 0.1.0
 */
export const capabilities: { readonly [Name in CapabilityName]: Capability } = {
  KVM_CAP_IRQCHIP: flag(c.KVM_CAP_IRQCHIP, "interrupt controllers in the kernel: createIrqChip"),
  KVM_CAP_HLT: flag(c.KVM_CAP_HLT, "a guest's hlt is an exit"),
  KVM_CAP_MMU_SHADOW_CACHE_CONTROL: flag(
    c.KVM_CAP_MMU_SHADOW_CACHE_CONTROL,
    "the pages of shadow page tables can be limited: setNrMmuPages"
  ),
  KVM_CAP_USER_MEMORY: flag(c.KVM_CAP_USER_MEMORY, "guest memory is the host program's: setUserMemoryRegion"),
  KVM_CAP_SET_TSS_ADDR: flag(c.KVM_CAP_SET_TSS_ADDR, "setTssAddress"),
  KVM_CAP_VAPIC: flag(
    c.KVM_CAP_VAPIC,
    "the guest's task priority can be shared with the host: setVapicAddr, tprAccessReporting"
  ),
  KVM_CAP_EXT_CPUID: flag(c.KVM_CAP_EXT_CPUID, "CPUID by leaf and sub-leaf: getSupportedCpuid, setCpuid2"),
  KVM_CAP_CLOCKSOURCE: flag(c.KVM_CAP_CLOCKSOURCE, "a clock for guests: kvmclock"),
  KVM_CAP_NR_VCPUS: count(c.KVM_CAP_NR_VCPUS, "how many vCPUs a machine should have at most"),
  KVM_CAP_NR_MEMSLOTS: count(
    c.KVM_CAP_NR_MEMSLOTS,
    "how many slots of memory a machine may have, in each address space"
  ),
  KVM_CAP_PIT: flag(c.KVM_CAP_PIT, "a timer in the kernel, of the oldest form: createPit"),
  KVM_CAP_NOP_IO_DELAY: flag(c.KVM_CAP_NOP_IO_DELAY, "port 0x80 may be used for delays"),
  KVM_CAP_PV_MMU: flag(c.KVM_CAP_PV_MMU, "page tables by hypercall; 0 since 2.6.33 or so"),
  KVM_CAP_MP_STATE: flag(c.KVM_CAP_MP_STATE, "whether a vCPU runs, halts or waits to be started: getMpState"),
  KVM_CAP_COALESCED_MMIO: page(
    c.KVM_CAP_COALESCED_MMIO,
    "writes to addresses can be collected; the ring is at this page of a vCPU's mapping: registerCoalescedMmio"
  ),
  KVM_CAP_SYNC_MMU: flag(c.KVM_CAP_SYNC_MMU, "host memory of a guest may be changed and swapped at any time"),
  KVM_CAP_IOMMU: flag(c.KVM_CAP_IOMMU, "devices behind an IOMMU can be given to guests, in the way before VFIO"),
  KVM_CAP_DESTROY_MEMORY_REGION_WORKS: flag(c.KVM_CAP_DESTROY_MEMORY_REGION_WORKS, "slots of memory can be deleted"),
  KVM_CAP_USER_NMI: flag(c.KVM_CAP_USER_NMI, "nmi"),
  KVM_CAP_SET_GUEST_DEBUG: flag(c.KVM_CAP_SET_GUEST_DEBUG, "setGuestDebug"),
  KVM_CAP_REINJECT_CONTROL: flag(c.KVM_CAP_REINJECT_CONTROL, "missed ticks can be left out: reinjectControl"),
  KVM_CAP_IRQ_ROUTING: count(c.KVM_CAP_IRQ_ROUTING, "setGsiRouting; numbers of interrupts are below this"),
  KVM_CAP_IRQ_INJECT_STATUS: flag(c.KVM_CAP_IRQ_INJECT_STATUS, "setIrqLineStatus"),
  KVM_CAP_ASSIGN_DEV_IRQ: flag(c.KVM_CAP_ASSIGN_DEV_IRQ, "interrupts of devices given in the way before VFIO"),
  KVM_CAP_JOIN_MEMORY_REGIONS_WORKS: flag(
    c.KVM_CAP_JOIN_MEMORY_REGIONS_WORKS,
    "memory of one slot can become part of another"
  ),
  KVM_CAP_MCE: count(c.KVM_CAP_MCE, "machine checks; how many banks of registers there are: setupMce"),
  KVM_CAP_IRQFD: flag(c.KVM_CAP_IRQFD, "registerIrqfd"),
  KVM_CAP_PIT2: flag(c.KVM_CAP_PIT2, "a timer in the kernel: createPit2"),
  KVM_CAP_SET_BOOT_CPU_ID: flag(c.KVM_CAP_SET_BOOT_CPU_ID, "setBootCpuId"),
  KVM_CAP_PIT_STATE2: flag(c.KVM_CAP_PIT_STATE2, "getPit2"),
  KVM_CAP_IOEVENTFD: flag(c.KVM_CAP_IOEVENTFD, "registerIoevent"),
  KVM_CAP_SET_IDENTITY_MAP_ADDR: flag(c.KVM_CAP_SET_IDENTITY_MAP_ADDR, "setIdentityMapAddress"),
  KVM_CAP_XEN_HVM: bits(c.KVM_CAP_XEN_HVM, "machines like Xen's", {
    KVM_XEN_HVM_CONFIG_HYPERCALL_MSR: c.KVM_XEN_HVM_CONFIG_HYPERCALL_MSR,
    KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL: c.KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL,
    KVM_XEN_HVM_CONFIG_SHARED_INFO: c.KVM_XEN_HVM_CONFIG_SHARED_INFO,
    KVM_XEN_HVM_CONFIG_RUNSTATE: c.KVM_XEN_HVM_CONFIG_RUNSTATE,
    KVM_XEN_HVM_CONFIG_EVTCHN_2LEVEL: c.KVM_XEN_HVM_CONFIG_EVTCHN_2LEVEL,
    KVM_XEN_HVM_CONFIG_EVTCHN_SEND: c.KVM_XEN_HVM_CONFIG_EVTCHN_SEND
  }),
  KVM_CAP_ADJUST_CLOCK: bits(c.KVM_CAP_ADJUST_CLOCK, "getClock, setClock; the flags that there can be", {
    KVM_CLOCK_TSC_STABLE: c.KVM_CLOCK_TSC_STABLE,
    KVM_CLOCK_REALTIME: c.KVM_CLOCK_REALTIME,
    KVM_CLOCK_HOST_TSC: c.KVM_CLOCK_HOST_TSC
  }),
  KVM_CAP_INTERNAL_ERROR_DATA: flag(c.KVM_CAP_INTERNAL_ERROR_DATA, "internal errors come with data"),
  KVM_CAP_VCPU_EVENTS: flag(c.KVM_CAP_VCPU_EVENTS, "getVcpuEvents"),
  KVM_CAP_S390_PSW: flag(c.KVM_CAP_S390_PSW, "s390: the program status word is shared"),
  KVM_CAP_PPC_SEGSTATE: flag(c.KVM_CAP_PPC_SEGSTATE, "powerpc: segment registers are among the special ones"),
  KVM_CAP_HYPERV: flag(c.KVM_CAP_HYPERV, "hypercalls and registers of Hyper-V's"),
  KVM_CAP_HYPERV_VAPIC: flag(c.KVM_CAP_HYPERV_VAPIC, "Hyper-V's shared interrupt controller page"),
  KVM_CAP_HYPERV_SPIN: flag(c.KVM_CAP_HYPERV_SPIN, "Hyper-V's notification of long spins"),
  KVM_CAP_PCI_SEGMENT: flag(c.KVM_CAP_PCI_SEGMENT, "PCI segments of devices given in the way before VFIO"),
  KVM_CAP_PPC_PAIRED_SINGLES: flag(c.KVM_CAP_PPC_PAIRED_SINGLES, "powerpc: paired single instructions"),
  KVM_CAP_INTR_SHADOW: flag(c.KVM_CAP_INTR_SHADOW, "interrupt shadows are among the events: getVcpuEvents"),
  KVM_CAP_DEBUGREGS: flag(c.KVM_CAP_DEBUGREGS, "getDebugRegs"),
  KVM_CAP_X86_ROBUST_SINGLESTEP: flag(
    c.KVM_CAP_X86_ROBUST_SINGLESTEP,
    "single steps by the host and the guest's own do not disturb each other"
  ),
  KVM_CAP_PPC_OSI: flag(c.KVM_CAP_PPC_OSI, "powerpc: hypercalls of Open Firmware's interface are exits"),
  KVM_CAP_PPC_UNSET_IRQ: flag(c.KVM_CAP_PPC_UNSET_IRQ, "powerpc: an interrupt can be taken back"),
  KVM_CAP_ENABLE_CAP: flag(c.KVM_CAP_ENABLE_CAP, "enableCap of a vCPU"),
  KVM_CAP_XSAVE: flag(c.KVM_CAP_XSAVE, "getXsave"),
  KVM_CAP_XCRS: flag(c.KVM_CAP_XCRS, "getXcrs"),
  KVM_CAP_PPC_GET_PVINFO: flag(c.KVM_CAP_PPC_GET_PVINFO, "powerpc: what paravirtual guests need to know"),
  KVM_CAP_PPC_IRQ_LEVEL: flag(c.KVM_CAP_PPC_IRQ_LEVEL, "powerpc: interrupts of levels"),
  KVM_CAP_ASYNC_PF: flag(
    c.KVM_CAP_ASYNC_PF,
    "pages that the host must fetch are waited for by the guest's processes, not the guest"
  ),
  KVM_CAP_TSC_CONTROL: flag(
    c.KVM_CAP_TSC_CONTROL,
    "the frequency of a guest's time stamp counter can differ from the host's: setTscKhz"
  ),
  KVM_CAP_GET_TSC_KHZ: flag(c.KVM_CAP_GET_TSC_KHZ, "getTscKhz"),
  KVM_CAP_PPC_BOOKE_SREGS: flag(c.KVM_CAP_PPC_BOOKE_SREGS, "powerpc: special registers of embedded ones"),
  KVM_CAP_SPAPR_TCE: flag(c.KVM_CAP_SPAPR_TCE, "powerpc: tables of the IOMMU that guests see"),
  KVM_CAP_PPC_SMT: count(c.KVM_CAP_PPC_SMT, "powerpc: threads of a core"),
  KVM_CAP_PPC_RMA: number(c.KVM_CAP_PPC_RMA, "powerpc: real mode areas; 2 where they are needed"),
  KVM_CAP_MAX_VCPUS: count(c.KVM_CAP_MAX_VCPUS, "how many vCPUs a machine may have"),
  KVM_CAP_PPC_HIOR: flag(c.KVM_CAP_PPC_HIOR, "powerpc: the interrupt offset can be set"),
  KVM_CAP_PPC_PAPR: flag(c.KVM_CAP_PPC_PAPR, "powerpc: guests of the PAPR kind"),
  KVM_CAP_SW_TLB: flag(c.KVM_CAP_SW_TLB, "powerpc: the TLB is shared"),
  KVM_CAP_ONE_REG: flag(c.KVM_CAP_ONE_REG, "getOneReg, setOneReg"),
  KVM_CAP_S390_GMAP: flag(c.KVM_CAP_S390_GMAP, "s390: guest address spaces apart from the host's"),
  KVM_CAP_TSC_DEADLINE_TIMER: flag(
    c.KVM_CAP_TSC_DEADLINE_TIMER,
    "the timer of the local APIC can have a deadline of the time stamp counter"
  ),
  KVM_CAP_S390_UCONTROL: flag(c.KVM_CAP_S390_UCONTROL, "s390: machines that the host program controls itself"),
  KVM_CAP_SYNC_REGS: bits(c.KVM_CAP_SYNC_REGS, "registers that the run page can hold: syncRegs", {
    KVM_SYNC_X86_REGS: c.KVM_SYNC_X86_REGS,
    KVM_SYNC_X86_SREGS: c.KVM_SYNC_X86_SREGS,
    KVM_SYNC_X86_EVENTS: c.KVM_SYNC_X86_EVENTS
  }),
  KVM_CAP_PCI_2_3: flag(c.KVM_CAP_PCI_2_3, "interrupts of PCI 2.3 devices given in the way before VFIO"),
  KVM_CAP_KVMCLOCK_CTRL: flag(c.KVM_CAP_KVMCLOCK_CTRL, "kvmclockCtrl"),
  KVM_CAP_SIGNAL_MSI: flag(c.KVM_CAP_SIGNAL_MSI, "signalMsi"),
  KVM_CAP_PPC_GET_SMMU_INFO: flag(c.KVM_CAP_PPC_GET_SMMU_INFO, "powerpc: sizes of segments and pages"),
  KVM_CAP_S390_COW: flag(c.KVM_CAP_S390_COW, "s390: memory is copied when written"),
  KVM_CAP_PPC_ALLOC_HTAB: flag(c.KVM_CAP_PPC_ALLOC_HTAB, "powerpc: the size of the hash table can be set"),
  KVM_CAP_READONLY_MEM: flag(c.KVM_CAP_READONLY_MEM, "memory that guests cannot write: KVM_MEM_READONLY"),
  KVM_CAP_IRQFD_RESAMPLE: flag(c.KVM_CAP_IRQFD_RESAMPLE, "registerIrqfdWithResample"),
  KVM_CAP_PPC_BOOKE_WATCHDOG: flag(c.KVM_CAP_PPC_BOOKE_WATCHDOG, "powerpc: a watchdog"),
  KVM_CAP_PPC_HTAB_FD: flag(c.KVM_CAP_PPC_HTAB_FD, "powerpc: a descriptor of the hash table"),
  KVM_CAP_S390_CSS_SUPPORT: flag(c.KVM_CAP_S390_CSS_SUPPORT, "s390: channel devices by the host program"),
  KVM_CAP_PPC_EPR: flag(c.KVM_CAP_PPC_EPR, "powerpc: the external proxy"),
  KVM_CAP_ARM_PSCI: flag(c.KVM_CAP_ARM_PSCI, "arm: power states by firmware calls of version 0.1"),
  KVM_CAP_ARM_SET_DEVICE_ADDR: flag(
    c.KVM_CAP_ARM_SET_DEVICE_ADDR,
    "arm: addresses of devices in the kernel can be set"
  ),
  KVM_CAP_DEVICE_CTRL: flag(c.KVM_CAP_DEVICE_CTRL, "devices in the kernel: createDevice"),
  KVM_CAP_IRQ_MPIC: flag(c.KVM_CAP_IRQ_MPIC, "powerpc: an MPIC interrupt controller"),
  KVM_CAP_PPC_RTAS: flag(c.KVM_CAP_PPC_RTAS, "powerpc: run-time services in the kernel"),
  KVM_CAP_IRQ_XICS: flag(c.KVM_CAP_IRQ_XICS, "powerpc: a XICS interrupt controller"),
  KVM_CAP_ARM_EL1_32BIT: flag(c.KVM_CAP_ARM_EL1_32BIT, "arm: vCPUs of 32 bits"),
  KVM_CAP_SPAPR_MULTITCE: flag(c.KVM_CAP_SPAPR_MULTITCE, "powerpc: many IOMMU entries by one hypercall"),
  KVM_CAP_EXT_EMUL_CPUID: flag(c.KVM_CAP_EXT_EMUL_CPUID, "CPUID features that are emulated: getEmulatedCpuid"),
  KVM_CAP_HYPERV_TIME: flag(c.KVM_CAP_HYPERV_TIME, "Hyper-V's clocks"),
  KVM_CAP_IOAPIC_POLARITY_IGNORED: flag(
    c.KVM_CAP_IOAPIC_POLARITY_IGNORED,
    "the polarity of I/O APIC pins means nothing"
  ),
  KVM_CAP_ENABLE_CAP_VM: flag(c.KVM_CAP_ENABLE_CAP_VM, "enableCap of a machine"),
  KVM_CAP_S390_IRQCHIP: flag(c.KVM_CAP_S390_IRQCHIP, "s390: interrupts by adapters' routes"),
  KVM_CAP_IOEVENTFD_NO_LENGTH: flag(
    c.KVM_CAP_IOEVENTFD_NO_LENGTH,
    "eventfds for writes of any length, at addresses of memory"
  ),
  KVM_CAP_VM_ATTRIBUTES: flag(c.KVM_CAP_VM_ATTRIBUTES, "attributes of machines: getDeviceAttr"),
  KVM_CAP_ARM_PSCI_0_2: flag(c.KVM_CAP_ARM_PSCI_0_2, "arm: power states by firmware calls of version 0.2"),
  KVM_CAP_PPC_FIXUP_HCALL: flag(c.KVM_CAP_PPC_FIXUP_HCALL, "powerpc: hypercalls of guests of the other byte order"),
  KVM_CAP_PPC_ENABLE_HCALL: flag(c.KVM_CAP_PPC_ENABLE_HCALL, "powerpc: hypercalls can be enabled one by one"),
  KVM_CAP_CHECK_EXTENSION_VM: flag(c.KVM_CAP_CHECK_EXTENSION_VM, "capabilities can be asked of a machine"),
  KVM_CAP_S390_USER_SIGP: flag(c.KVM_CAP_S390_USER_SIGP, "s390: signals between processors by the host program"),
  KVM_CAP_S390_VECTOR_REGISTERS: flag(c.KVM_CAP_S390_VECTOR_REGISTERS, "s390: vector registers"),
  KVM_CAP_S390_MEM_OP: bytes(
    c.KVM_CAP_S390_MEM_OP,
    "s390: logical reads and writes of guest memory, of at most this many bytes"
  ),
  KVM_CAP_S390_USER_STSI: flag(c.KVM_CAP_S390_USER_STSI, "s390: the description of the system by the host program"),
  KVM_CAP_S390_SKEYS: flag(c.KVM_CAP_S390_SKEYS, "s390: storage keys"),
  KVM_CAP_MIPS_FPU: flag(c.KVM_CAP_MIPS_FPU, "mips: a floating point unit"),
  KVM_CAP_MIPS_MSA: flag(c.KVM_CAP_MIPS_MSA, "mips: vectors"),
  KVM_CAP_S390_INJECT_IRQ: flag(c.KVM_CAP_S390_INJECT_IRQ, "s390: any interrupt can be injected"),
  KVM_CAP_S390_IRQ_STATE: flag(c.KVM_CAP_S390_IRQ_STATE, "s390: pending interrupts"),
  KVM_CAP_PPC_HWRNG: flag(c.KVM_CAP_PPC_HWRNG, "powerpc: random numbers by hypercall"),
  KVM_CAP_DISABLE_QUIRKS: flag(
    c.KVM_CAP_DISABLE_QUIRKS,
    "disableQuirks in its older form, which does not tell which there are"
  ),
  KVM_CAP_X86_SMM: flag(c.KVM_CAP_X86_SMM, "system management mode: smi"),
  KVM_CAP_MULTI_ADDRESS_SPACE: count(
    c.KVM_CAP_MULTI_ADDRESS_SPACE,
    "how many address spaces a machine has: 2 with system management mode"
  ),
  KVM_CAP_GUEST_DEBUG_HW_BPS: count(c.KVM_CAP_GUEST_DEBUG_HW_BPS, "arm: hardware breakpoints for the host"),
  KVM_CAP_GUEST_DEBUG_HW_WPS: count(c.KVM_CAP_GUEST_DEBUG_HW_WPS, "arm: hardware watchpoints for the host"),
  KVM_CAP_SPLIT_IRQCHIP: flag(c.KVM_CAP_SPLIT_IRQCHIP, "local APICs without the other controllers: enableSplitIrqchip"),
  KVM_CAP_IOEVENTFD_ANY_LENGTH: flag(c.KVM_CAP_IOEVENTFD_ANY_LENGTH, "eventfds for writes of any length"),
  KVM_CAP_HYPERV_SYNIC: flag(c.KVM_CAP_HYPERV_SYNIC, "Hyper-V's synthetic interrupt controller"),
  KVM_CAP_S390_RI: flag(c.KVM_CAP_S390_RI, "s390: run-time instrumentation"),
  KVM_CAP_SPAPR_TCE_64: flag(c.KVM_CAP_SPAPR_TCE_64, "powerpc: IOMMU tables with windows of 64 bits"),
  KVM_CAP_ARM_PMU_V3: flag(c.KVM_CAP_ARM_PMU_V3, "arm: performance counters"),
  KVM_CAP_VCPU_ATTRIBUTES: flag(c.KVM_CAP_VCPU_ATTRIBUTES, "attributes of vCPUs: getDeviceAttr"),
  KVM_CAP_MAX_VCPU_ID: count(c.KVM_CAP_MAX_VCPU_ID, "identifiers of vCPUs are below this"),
  KVM_CAP_X2APIC_API: bits(c.KVM_CAP_X2APIC_API, "enableX2apicApi", {
    KVM_X2APIC_API_USE_32BIT_IDS: c.KVM_X2APIC_API_USE_32BIT_IDS,
    KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK: c.KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK,
    KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST: c.KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST,
    KVM_X2APIC_DISABLE_SUPPRESS_EOI_BROADCAST: c.KVM_X2APIC_DISABLE_SUPPRESS_EOI_BROADCAST
  }),
  KVM_CAP_S390_USER_INSTR0: flag(
    c.KVM_CAP_S390_USER_INSTR0,
    "s390: instruction 0 for breakpoints of the host program's"
  ),
  KVM_CAP_MSI_DEVID: flag(c.KVM_CAP_MSI_DEVID, "messages must name their device: devid"),
  KVM_CAP_PPC_HTM: flag(c.KVM_CAP_PPC_HTM, "powerpc: transactional memory"),
  KVM_CAP_SPAPR_RESIZE_HPT: flag(c.KVM_CAP_SPAPR_RESIZE_HPT, "powerpc: the hash table can be resized"),
  KVM_CAP_PPC_MMU_RADIX: flag(c.KVM_CAP_PPC_MMU_RADIX, "powerpc: radix page tables"),
  KVM_CAP_PPC_MMU_HASH_V3: flag(c.KVM_CAP_PPC_MMU_HASH_V3, "powerpc: hash tables of version 3"),
  KVM_CAP_IMMEDIATE_EXIT: flag(c.KVM_CAP_IMMEDIATE_EXIT, "a run can be called off before it begins"),
  KVM_CAP_MIPS_VZ: number(c.KVM_CAP_MIPS_VZ, "mips: hardware virtualisation, of which kind"),
  KVM_CAP_MIPS_TE: flag(c.KVM_CAP_MIPS_TE, "mips: trap and emulate"),
  KVM_CAP_MIPS_64BIT: number(c.KVM_CAP_MIPS_64BIT, "mips: width of registers and addresses"),
  KVM_CAP_S390_GS: flag(c.KVM_CAP_S390_GS, "s390: guarded storage"),
  KVM_CAP_S390_AIS: flag(c.KVM_CAP_S390_AIS, "s390: adapter interrupt suppression"),
  KVM_CAP_SPAPR_TCE_VFIO: flag(c.KVM_CAP_SPAPR_TCE_VFIO, "powerpc: IOMMU tables of VFIO"),
  KVM_CAP_X86_DISABLE_EXITS: bits(c.KVM_CAP_X86_DISABLE_EXITS, "instructions that need not be exits: disableExits", {
    KVM_X86_DISABLE_EXITS_MWAIT: c.KVM_X86_DISABLE_EXITS_MWAIT,
    KVM_X86_DISABLE_EXITS_HLT: c.KVM_X86_DISABLE_EXITS_HLT,
    KVM_X86_DISABLE_EXITS_PAUSE: c.KVM_X86_DISABLE_EXITS_PAUSE,
    KVM_X86_DISABLE_EXITS_CSTATE: c.KVM_X86_DISABLE_EXITS_CSTATE,
    KVM_X86_DISABLE_EXITS_APERFMPERF: c.KVM_X86_DISABLE_EXITS_APERFMPERF
  }),
  KVM_CAP_ARM_USER_IRQ: number(
    c.KVM_CAP_ARM_USER_IRQ,
    "arm: timers and counters interrupt a host program's controller; the version"
  ),
  KVM_CAP_S390_CMMA_MIGRATION: flag(c.KVM_CAP_S390_CMMA_MIGRATION, "s390: states of pages can be moved"),
  KVM_CAP_PPC_FWNMI: flag(c.KVM_CAP_PPC_FWNMI, "powerpc: machine checks go to the guest's firmware"),
  KVM_CAP_PPC_SMT_POSSIBLE: number(
    c.KVM_CAP_PPC_SMT_POSSIBLE,
    "powerpc: threads of a core that there can be, a bit for each number"
  ),
  KVM_CAP_HYPERV_SYNIC2: flag(
    c.KVM_CAP_HYPERV_SYNIC2,
    "Hyper-V's synthetic interrupt controller without automatic ends"
  ),
  KVM_CAP_HYPERV_VP_INDEX: flag(c.KVM_CAP_HYPERV_VP_INDEX, "the index of Hyper-V's vCPUs can be set"),
  KVM_CAP_S390_AIS_MIGRATION: flag(c.KVM_CAP_S390_AIS_MIGRATION, "s390: adapter interrupt suppression can be moved"),
  KVM_CAP_PPC_GET_CPU_CHAR: flag(c.KVM_CAP_PPC_GET_CPU_CHAR, "powerpc: the processor's weaknesses"),
  KVM_CAP_S390_BPB: flag(c.KVM_CAP_S390_BPB, "s390: branch prediction blocking"),
  KVM_CAP_GET_MSR_FEATURES: flag(c.KVM_CAP_GET_MSR_FEATURES, "registers that tell features: getMsrFeatureIndexList"),
  KVM_CAP_HYPERV_EVENTFD: flag(c.KVM_CAP_HYPERV_EVENTFD, "eventfds for Hyper-V's signals"),
  KVM_CAP_HYPERV_TLBFLUSH: flag(c.KVM_CAP_HYPERV_TLBFLUSH, "Hyper-V's flushes of other vCPUs' TLBs"),
  KVM_CAP_S390_HPAGE_1M: flag(c.KVM_CAP_S390_HPAGE_1M, "s390: pages of 1 MiB"),
  KVM_CAP_NESTED_STATE: bytes(
    c.KVM_CAP_NESTED_STATE,
    "the state of guests' guests, of at most this many bytes: getNestedState"
  ),
  KVM_CAP_ARM_INJECT_SERROR_ESR: flag(c.KVM_CAP_ARM_INJECT_SERROR_ESR, "arm: system errors with a syndrome"),
  KVM_CAP_MSR_PLATFORM_INFO: flag(c.KVM_CAP_MSR_PLATFORM_INFO, "the register of platform information can be hidden"),
  KVM_CAP_PPC_NESTED_HV: flag(c.KVM_CAP_PPC_NESTED_HV, "powerpc: guests' guests"),
  KVM_CAP_HYPERV_SEND_IPI: flag(c.KVM_CAP_HYPERV_SEND_IPI, "Hyper-V's interrupts between processors"),
  KVM_CAP_COALESCED_PIO: flag(c.KVM_CAP_COALESCED_PIO, "writes to ports can be collected: registerCoalescedMmio"),
  KVM_CAP_HYPERV_ENLIGHTENED_VMCS: number(
    c.KVM_CAP_HYPERV_ENLIGHTENED_VMCS,
    "Hyper-V's form of guests' guests; the version"
  ),
  KVM_CAP_EXCEPTION_PAYLOAD: flag(
    c.KVM_CAP_EXCEPTION_PAYLOAD,
    "pending exceptions come with their payload: getVcpuEvents"
  ),
  KVM_CAP_ARM_VM_IPA_SIZE: number(
    c.KVM_CAP_ARM_VM_IPA_SIZE,
    "arm: the widest guest addresses, in bits: createVmWithType"
  ),
  KVM_CAP_MANUAL_DIRTY_LOG_PROTECT: flag(
    c.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT,
    "an older form of KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 that did not work"
  ),
  KVM_CAP_HYPERV_CPUID: flag(c.KVM_CAP_HYPERV_CPUID, "CPUID of Hyper-V's: getSupportedHvCpuid"),
  KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2: bits(c.KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, "enableManualDirtyLogProtect", {
    KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE: c.KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE,
    KVM_DIRTY_LOG_INITIALLY_SET: c.KVM_DIRTY_LOG_INITIALLY_SET
  }),
  KVM_CAP_PPC_IRQ_XIVE: flag(c.KVM_CAP_PPC_IRQ_XIVE, "powerpc: a XIVE interrupt controller"),
  KVM_CAP_ARM_SVE: flag(c.KVM_CAP_ARM_SVE, "arm: scalable vectors"),
  KVM_CAP_ARM_PTRAUTH_ADDRESS: flag(c.KVM_CAP_ARM_PTRAUTH_ADDRESS, "arm: authenticated addresses"),
  KVM_CAP_ARM_PTRAUTH_GENERIC: flag(c.KVM_CAP_ARM_PTRAUTH_GENERIC, "arm: authenticated data"),
  KVM_CAP_PMU_EVENT_FILTER: flag(c.KVM_CAP_PMU_EVENT_FILTER, "setPmuEventFilter"),
  KVM_CAP_ARM_IRQ_LINE_LAYOUT_2: flag(c.KVM_CAP_ARM_IRQ_LINE_LAYOUT_2, "arm: interrupts of more than 256 vCPUs"),
  KVM_CAP_HYPERV_DIRECT_TLBFLUSH: flag(
    c.KVM_CAP_HYPERV_DIRECT_TLBFLUSH,
    "flushes of TLBs by a guest's guest go to Hyper-V"
  ),
  KVM_CAP_PPC_GUEST_DEBUG_SSTEP: flag(c.KVM_CAP_PPC_GUEST_DEBUG_SSTEP, "powerpc: single steps"),
  KVM_CAP_ARM_NISV_TO_USER: flag(c.KVM_CAP_ARM_NISV_TO_USER, "arm: accesses without a syndrome are exits"),
  KVM_CAP_ARM_INJECT_EXT_DABT: flag(c.KVM_CAP_ARM_INJECT_EXT_DABT, "arm: external data aborts can be injected"),
  KVM_CAP_S390_VCPU_RESETS: flag(c.KVM_CAP_S390_VCPU_RESETS, "s390: resets of all kinds"),
  KVM_CAP_S390_PROTECTED: flag(c.KVM_CAP_S390_PROTECTED, "s390: protected machines"),
  KVM_CAP_PPC_SECURE_GUEST: flag(c.KVM_CAP_PPC_SECURE_GUEST, "powerpc: protected machines"),
  KVM_CAP_HALT_POLL: flag(c.KVM_CAP_HALT_POLL, "setHaltPoll"),
  KVM_CAP_ASYNC_PF_INT: flag(c.KVM_CAP_ASYNC_PF_INT, "pages that came are told by an interrupt"),
  KVM_CAP_LAST_CPU: flag(c.KVM_CAP_LAST_CPU, "the host's processor, where entering a guest failed"),
  KVM_CAP_SMALLER_MAXPHYADDR: flag(c.KVM_CAP_SMALLER_MAXPHYADDR, "guest addresses may be narrower than the host's"),
  KVM_CAP_S390_DIAG318: flag(c.KVM_CAP_S390_DIAG318, "s390: the guest tells what it runs"),
  KVM_CAP_STEAL_TIME: flag(c.KVM_CAP_STEAL_TIME, "guests see the time that they did not get"),
  KVM_CAP_X86_USER_SPACE_MSR: flag(c.KVM_CAP_X86_USER_SPACE_MSR, "registers can be exits: enableMsrExits"),
  KVM_CAP_X86_MSR_FILTER: flag(c.KVM_CAP_X86_MSR_FILTER, "setMsrFilter"),
  KVM_CAP_ENFORCE_PV_FEATURE_CPUID: flag(
    c.KVM_CAP_ENFORCE_PV_FEATURE_CPUID,
    "guests can be kept to the paravirtual features that CPUID names"
  ),
  KVM_CAP_SYS_HYPERV_CPUID: flag(c.KVM_CAP_SYS_HYPERV_CPUID, "CPUID of Hyper-V's can be asked of the system"),
  KVM_CAP_DIRTY_LOG_RING: bytes(c.KVM_CAP_DIRTY_LOG_RING, "rings of written pages, of at most this many bytes"),
  KVM_CAP_X86_BUS_LOCK_EXIT: bits(c.KVM_CAP_X86_BUS_LOCK_EXIT, "setBusLockExits", {
    KVM_BUS_LOCK_DETECTION_OFF: c.KVM_BUS_LOCK_DETECTION_OFF,
    KVM_BUS_LOCK_DETECTION_EXIT: c.KVM_BUS_LOCK_DETECTION_EXIT
  }),
  KVM_CAP_PPC_DAWR1: flag(c.KVM_CAP_PPC_DAWR1, "powerpc: a second watchpoint"),
  KVM_CAP_SET_GUEST_DEBUG2: bits(c.KVM_CAP_SET_GUEST_DEBUG2, "setGuestDebug; what it takes", {
    KVM_GUESTDBG_ENABLE: c.KVM_GUESTDBG_ENABLE,
    KVM_GUESTDBG_SINGLESTEP: c.KVM_GUESTDBG_SINGLESTEP,
    KVM_GUESTDBG_USE_SW_BP: c.KVM_GUESTDBG_USE_SW_BP,
    KVM_GUESTDBG_USE_HW_BP: c.KVM_GUESTDBG_USE_HW_BP,
    KVM_GUESTDBG_INJECT_DB: c.KVM_GUESTDBG_INJECT_DB,
    KVM_GUESTDBG_INJECT_BP: c.KVM_GUESTDBG_INJECT_BP,
    KVM_GUESTDBG_BLOCKIRQ: c.KVM_GUESTDBG_BLOCKIRQ
  }),
  KVM_CAP_SGX_ATTRIBUTE: flag(c.KVM_CAP_SGX_ATTRIBUTE, "enclaves with privileged attributes"),
  KVM_CAP_VM_COPY_ENC_CONTEXT_FROM: flag(
    c.KVM_CAP_VM_COPY_ENC_CONTEXT_FROM,
    "a machine can share the encryption of another"
  ),
  KVM_CAP_PTP_KVM: flag(c.KVM_CAP_PTP_KVM, "arm: the host's clock by hypercall"),
  KVM_CAP_HYPERV_ENFORCE_CPUID: flag(
    c.KVM_CAP_HYPERV_ENFORCE_CPUID,
    "guests can be kept to the features of Hyper-V's that CPUID names"
  ),
  KVM_CAP_SREGS2: flag(c.KVM_CAP_SREGS2, "getSregs2"),
  KVM_CAP_EXIT_HYPERCALL: bits(
    c.KVM_CAP_EXIT_HYPERCALL,
    "hypercalls that can be exits, a bit for each number: enableHypercallExits",
    { KVM_HC_MAP_GPA_RANGE: 1 << c.KVM_HC_MAP_GPA_RANGE }
  ),
  KVM_CAP_PPC_RPT_INVALIDATE: flag(c.KVM_CAP_PPC_RPT_INVALIDATE, "powerpc: invalidations by hypercall"),
  KVM_CAP_BINARY_STATS_FD: flag(c.KVM_CAP_BINARY_STATS_FD, "getStatsFd"),
  KVM_CAP_EXIT_ON_EMULATION_FAILURE: flag(c.KVM_CAP_EXIT_ON_EMULATION_FAILURE, "setExitOnEmulationFailure"),
  KVM_CAP_ARM_MTE: flag(c.KVM_CAP_ARM_MTE, "arm: tagged memory"),
  KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM: flag(
    c.KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM,
    "a machine can take over the encryption of another"
  ),
  KVM_CAP_VM_GPA_BITS: number(c.KVM_CAP_VM_GPA_BITS, "how wide guest addresses are, in bits"),
  KVM_CAP_XSAVE2: bytes(c.KVM_CAP_XSAVE2, "getXsave2; the size of the state"),
  KVM_CAP_SYS_ATTRIBUTES: flag(c.KVM_CAP_SYS_ATTRIBUTES, "attributes of the system: getDeviceAttr"),
  KVM_CAP_PPC_AIL_MODE_3: flag(c.KVM_CAP_PPC_AIL_MODE_3, "powerpc: interrupts with address translation on"),
  KVM_CAP_S390_MEM_OP_EXTENSION: number(
    c.KVM_CAP_S390_MEM_OP_EXTENSION,
    "s390: reads and writes of guest memory by other ways, a bit for each"
  ),
  KVM_CAP_PMU_CAPABILITY: bits(c.KVM_CAP_PMU_CAPABILITY, "disablePmu", { KVM_PMU_CAP_DISABLE: c.KVM_PMU_CAP_DISABLE }),
  KVM_CAP_DISABLE_QUIRKS2: bits(c.KVM_CAP_DISABLE_QUIRKS2, "habits that can be taken: disableQuirks", {
    KVM_X86_QUIRK_LINT0_REENABLED: c.KVM_X86_QUIRK_LINT0_REENABLED,
    KVM_X86_QUIRK_CD_NW_CLEARED: c.KVM_X86_QUIRK_CD_NW_CLEARED,
    KVM_X86_QUIRK_LAPIC_MMIO_HOLE: c.KVM_X86_QUIRK_LAPIC_MMIO_HOLE,
    KVM_X86_QUIRK_OUT_7E_INC_RIP: c.KVM_X86_QUIRK_OUT_7E_INC_RIP,
    KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT: c.KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT,
    KVM_X86_QUIRK_FIX_HYPERCALL_INSN: c.KVM_X86_QUIRK_FIX_HYPERCALL_INSN,
    KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS: c.KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS,
    KVM_X86_QUIRK_SLOT_ZAP_ALL: c.KVM_X86_QUIRK_SLOT_ZAP_ALL,
    KVM_X86_QUIRK_STUFF_FEATURE_MSRS: c.KVM_X86_QUIRK_STUFF_FEATURE_MSRS,
    KVM_X86_QUIRK_IGNORE_GUEST_PAT: c.KVM_X86_QUIRK_IGNORE_GUEST_PAT
  }),
  KVM_CAP_VM_TSC_CONTROL: flag(
    c.KVM_CAP_VM_TSC_CONTROL,
    "the frequency of the time stamp counter can be set of a machine: setTscKhz"
  ),
  KVM_CAP_SYSTEM_EVENT_DATA: flag(c.KVM_CAP_SYSTEM_EVENT_DATA, "system events come with data"),
  KVM_CAP_ARM_SYSTEM_SUSPEND: flag(c.KVM_CAP_ARM_SYSTEM_SUSPEND, "arm: the guest's suspending is an exit"),
  KVM_CAP_S390_PROTECTED_DUMP: flag(c.KVM_CAP_S390_PROTECTED_DUMP, "s390: protected machines can be dumped"),
  KVM_CAP_X86_TRIPLE_FAULT_EVENT: flag(
    c.KVM_CAP_X86_TRIPLE_FAULT_EVENT,
    "a pending triple fault is among the events: getVcpuEvents"
  ),
  KVM_CAP_X86_NOTIFY_VMEXIT: flag(c.KVM_CAP_X86_NOTIFY_VMEXIT, "enableNotifyVmexit"),
  KVM_CAP_VM_DISABLE_NX_HUGE_PAGES: flag(c.KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, "large pages may be executable"),
  KVM_CAP_S390_ZPCI_OP: flag(c.KVM_CAP_S390_ZPCI_OP, "s390: PCI devices interrupt guests"),
  KVM_CAP_S390_CPU_TOPOLOGY: flag(c.KVM_CAP_S390_CPU_TOPOLOGY, "s390: guests see the topology"),
  KVM_CAP_DIRTY_LOG_RING_ACQ_REL: bytes(
    c.KVM_CAP_DIRTY_LOG_RING_ACQ_REL,
    "rings of written pages whose entries are ordered, of at most this many bytes"
  ),
  KVM_CAP_S390_PROTECTED_ASYNC_DISABLE: flag(
    c.KVM_CAP_S390_PROTECTED_ASYNC_DISABLE,
    "s390: protected machines can end in the background"
  ),
  KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP: flag(
    c.KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP,
    "rings of written pages beside the log"
  ),
  KVM_CAP_PMU_EVENT_MASKED_EVENTS: flag(
    c.KVM_CAP_PMU_EVENT_MASKED_EVENTS,
    "filters of masked events: setPmuEventFilter"
  ),
  KVM_CAP_COUNTER_OFFSET: flag(c.KVM_CAP_COUNTER_OFFSET, "arm: counters can be offset"),
  KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE: bytes(
    c.KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE,
    "arm: large pages can be split early, in pieces of this many bytes"
  ),
  KVM_CAP_ARM_SUPPORTED_BLOCK_SIZES: number(
    c.KVM_CAP_ARM_SUPPORTED_BLOCK_SIZES,
    "arm: sizes of such pieces, a bit for each"
  ),
  KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES: number(
    c.KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES,
    "arm: ranges of feature registers whose writable bits can be asked for"
  ),
  KVM_CAP_USER_MEMORY2: flag(c.KVM_CAP_USER_MEMORY2, "setUserMemoryRegion2"),
  KVM_CAP_MEMORY_FAULT_INFO: flag(c.KVM_CAP_MEMORY_FAULT_INFO, "memory faults are exits"),
  KVM_CAP_MEMORY_ATTRIBUTES: bits(c.KVM_CAP_MEMORY_ATTRIBUTES, "setMemoryAttributes", {
    KVM_MEMORY_ATTRIBUTE_PRIVATE: c.KVM_MEMORY_ATTRIBUTE_PRIVATE
  }),
  KVM_CAP_GUEST_MEMFD: flag(c.KVM_CAP_GUEST_MEMFD, "createGuestMemfd"),
  KVM_CAP_VM_TYPES: bits(c.KVM_CAP_VM_TYPES, "types of machines, a bit for each number: createVmWithType", {
    KVM_X86_DEFAULT_VM: 1 << c.KVM_X86_DEFAULT_VM,
    KVM_X86_SW_PROTECTED_VM: 1 << c.KVM_X86_SW_PROTECTED_VM,
    KVM_X86_SEV_VM: 1 << c.KVM_X86_SEV_VM,
    KVM_X86_SEV_ES_VM: 1 << c.KVM_X86_SEV_ES_VM,
    KVM_X86_SNP_VM: 1 << c.KVM_X86_SNP_VM,
    KVM_X86_TDX_VM: 1 << c.KVM_X86_TDX_VM
  }),
  KVM_CAP_PRE_FAULT_MEMORY: flag(c.KVM_CAP_PRE_FAULT_MEMORY, "preFaultMemory"),
  KVM_CAP_X86_APIC_BUS_CYCLES_NS: number(c.KVM_CAP_X86_APIC_BUS_CYCLES_NS, "setApicBusCycles; nanoseconds of a cycle"),
  KVM_CAP_X86_GUEST_MODE: flag(c.KVM_CAP_X86_GUEST_MODE, "the run page tells whether the guest's guest runs"),
  KVM_CAP_ARM_WRITABLE_IMP_ID_REGS: flag(
    c.KVM_CAP_ARM_WRITABLE_IMP_ID_REGS,
    "arm: registers that identify the processor can be written"
  ),
  KVM_CAP_ARM_EL2: flag(c.KVM_CAP_ARM_EL2, "arm: guests' guests"),
  KVM_CAP_ARM_EL2_E2H0: flag(c.KVM_CAP_ARM_EL2_E2H0, "arm: guests' guests by the older way"),
  KVM_CAP_RISCV_MP_STATE_RESET: flag(c.KVM_CAP_RISCV_MP_STATE_RESET, "riscv: a vCPU can be reset"),
  KVM_CAP_ARM_CACHEABLE_PFNMAP_SUPPORTED: flag(
    c.KVM_CAP_ARM_CACHEABLE_PFNMAP_SUPPORTED,
    "arm: memory of devices may be cached"
  ),
  KVM_CAP_GUEST_MEMFD_FLAGS: bits(c.KVM_CAP_GUEST_MEMFD_FLAGS, "flags of createGuestMemfd", {
    GUEST_MEMFD_FLAG_MMAP: 1,
    GUEST_MEMFD_FLAG_INIT_SHARED: 2
  })
}
