/** The numbers of capabilities by their names, and back. */
import { type CapabilityName, capabilities } from "./capability-table.ts"

const isName = (name: string): name is CapabilityName => Object.hasOwn(capabilities, name)

/** All names, in the order of their numbers. */
export const names: ReadonlyArray<CapabilityName> = Object.keys(capabilities)
  .filter(isName)
  .toSorted((a, b) => capabilities[a].number - capabilities[b].number)

/** The number of a capability; a name that is none is a defect. */
export const numberOf = (capability: CapabilityName | number): number => {
  if (typeof capability === "number") return capability
  if (typeof capability === "string" && isName(capability)) return capabilities[capability].number
  throw new TypeError(`capability: expected a number or the name of a capability, got ${String(capability)}`)
}

const byNumber: ReadonlyMap<number, CapabilityName> = new Map(names.map((name) => [capabilities[name].number, name]))

/** The name of a capability, where it has one. */
export const nameOf = (capability: number): CapabilityName | undefined => byNumber.get(capability)
