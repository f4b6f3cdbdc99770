/** Measuring in pairs: every candidate in turn, several rounds, the median of each, printed as ratios to the first. */
import { monitorEventLoopDelay } from "node:perf_hooks"

export interface Candidate {
  readonly name: string
  /** Does the thing `times` times; returns nanoseconds where it measures by itself. */
  readonly run: (times: number) => unknown
}

const rounds = 7

const median = (values: ReadonlyArray<number>): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

const once = async ({ run }: Candidate, times: number): Promise<number> => {
  const before = process.hrtime.bigint()
  const own = await run(times)
  const wall = Number(process.hrtime.bigint() - before)
  return (typeof own === "number" ? own : wall) / times
}

/** Measures all candidates, in turn in each round, and prints nanoseconds an operation and ratios to the first. */
export const compare = async (
  title: string,
  times: number,
  candidates: ReadonlyArray<Candidate>
): Promise<ReadonlyMap<string, number>> => {
  for (const candidate of candidates) await once(candidate, Math.max(1, times >> 2)) // warm up
  const loop = monitorEventLoopDelay({ resolution: 1 })
  const samples = new Map(candidates.map(({ name }) => [name, [] as Array<number>]))
  loop.enable()
  for (let round = 0; round < rounds; round++) {
    for (const candidate of candidates) samples.get(candidate.name)?.push(await once(candidate, times))
  }
  loop.disable()
  const medians = new Map([...samples].map(([name, values]) => [name, median(values)]))
  const [base = Number.NaN] = medians.values()
  console.log(`\n${title}`)
  for (const [name, value] of medians) {
    console.log(`  ${name.padEnd(44)} ${value.toFixed(0).padStart(9)} ns  ${(value / base).toFixed(2).padStart(7)} x`)
  }
  return medians
}
