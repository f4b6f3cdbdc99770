/** Whether tests of KVM can run here: the project asks as its users do. */
export { describeKvm } from "../../src/testing/vitest.ts"
