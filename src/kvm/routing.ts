/** Where interrupts go: routes by the number, GSI, that a source of interrupts is known by. */
import * as Data from "effect/Data"
import type * as Struct from "../Struct.ts"
import * as constants from "./constants.ts"
import type { kvm_irq_routing_entry } from "./structs.ts"

/**
 * Where the interrupts of one number, `gsi`, go.
 *
 * - `Irqchip`: to a pin of an interrupt controller in the kernel, `KVM_IRQCHIP_*`
 * - `Msi`: to vCPUs as a message; `devid` where the architecture needs the device (`KVM_CAP_MSI_DEVID`)
 * - `S390Adapter`: to an adapter of s390
 * - `HvSint`: to a synthetic interrupt source of Hyper-V
 * - `XenEvtchn`: to an event channel of Xen, of `KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL` priority
 *
 * Several routes may have one number: its interrupts go to all of them. Numbers are below what `KVM_CAP_IRQ_ROUTING`
 * says.
 *
 * @category interrupts
 * @since 0.1.0
 */
export type GsiRoute =
  | { readonly _tag: "Irqchip"; readonly gsi: number; readonly irqchip: number; readonly pin: number }
  | {
      readonly _tag: "Msi"
      readonly gsi: number
      readonly address_lo: number
      readonly address_hi: number
      readonly data: number
      readonly devid?: number | undefined
    }
  | {
      readonly _tag: "S390Adapter"
      readonly gsi: number
      readonly ind_addr: bigint
      readonly summary_addr: bigint
      readonly ind_offset: bigint
      readonly summary_offset: number
      readonly adapter_id: number
    }
  | { readonly _tag: "HvSint"; readonly gsi: number; readonly vcpu: number; readonly sint: number }
  | {
      readonly _tag: "XenEvtchn"
      readonly gsi: number
      readonly port: number
      readonly vcpu: number
      readonly priority: number
    }

/**
 * Constructors of routes, with `GsiRoute.$is` and `GsiRoute.$match`.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const GsiRoute: Data.TaggedEnum.Constructor<GsiRoute> = Data.taggedEnum<GsiRoute>()

type Entry = Struct.Encoded<typeof kvm_irq_routing_entry>

/** A route as the kernel has it. */
export const entryOf = (route: GsiRoute): Entry => {
  const { gsi } = route
  switch (route._tag) {
    case "Irqchip":
      return { gsi, type: constants.KVM_IRQ_ROUTING_IRQCHIP, flags: 0, u: { irqchip: route } }
    case "Msi": {
      const { devid } = route
      return {
        gsi,
        type: constants.KVM_IRQ_ROUTING_MSI,
        flags: devid === undefined ? 0 : constants.KVM_MSI_VALID_DEVID,
        u: { msi: { ...route, devid: devid ?? 0 } }
      }
    }
    case "S390Adapter":
      return { gsi, type: constants.KVM_IRQ_ROUTING_S390_ADAPTER, flags: 0, u: { adapter: route } }
    case "HvSint":
      return { gsi, type: constants.KVM_IRQ_ROUTING_HV_SINT, flags: 0, u: { hv_sint: route } }
    case "XenEvtchn": {
      // The constant for two levels is -1 in 32 bits.
      const xen_evtchn = { ...route, priority: route.priority >>> 0 }
      return { gsi, type: constants.KVM_IRQ_ROUTING_XEN_EVTCHN, flags: 0, u: { xen_evtchn } }
    }
    default:
      throw new TypeError(`routes: expected a GsiRoute, got ${String(route)}`)
  }
}

/**
 * The routes that a machine of x86_64 with `createIrqChip` has from the start: the first 16 numbers go to a pin of the
 * 8259 controllers and of the I/O APIC, the next 8 to the I/O APIC. Setting routes replaces all of them, so whoever adds
 * a message's begins with these.
 *
 * @category interrupts
 * @since 0.1.0
 */
export const defaultGsiRouting: ReadonlyArray<GsiRoute> = Array.from(
  { length: constants.KVM_IOAPIC_NUM_PINS },
  (_, gsi): ReadonlyArray<GsiRoute> => {
    const ioapic: GsiRoute = { _tag: "Irqchip", gsi, irqchip: constants.KVM_IRQCHIP_IOAPIC, pin: gsi }
    if (gsi >= 16) return [ioapic]
    const irqchip = gsi < 8 ? constants.KVM_IRQCHIP_PIC_MASTER : constants.KVM_IRQCHIP_PIC_SLAVE
    return [{ _tag: "Irqchip", gsi, irqchip, pin: gsi % 8 }, ioapic]
  }
).flat()
