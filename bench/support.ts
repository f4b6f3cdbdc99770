/**
 * Measuring: candidates in turn within one run, the median of each, the longest stall of the event loop during ours. What
 * is compared and what is hoped for stands in the other files; how it is printed, in `table.ts`.
 */
import { mkdtempSync, rmSync, statfsSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { performance } from "node:perf_hooks"

export interface Settings {
  /** Smaller and shorter, to see that everything runs: the numbers then mean little. */
  readonly quick: boolean
  readonly rounds: number
  /** How long a candidate is to take in a round, in milliseconds, where it can be repeated at will. */
  readonly roundMillis: number
  /** Where files are made. */
  readonly directory: string
}

export const settingsOf = (quick: boolean): Settings => ({
  quick,
  rounds: quick ? 3 : 7,
  roundMillis: quick ? 5 : 100,
  directory: process.env["EFFECT_LINUX_BENCH_DIR"] ?? tmpdir()
})

/** What a candidate has measured by itself. */
export interface Timed {
  /** Of all times. */
  readonly nanos: number
  /** Whatever else is to be known of a round: medians of it are those of `<name of the candidate>: <name here>`. */
  readonly also?: Readonly<Record<string, number>>
}

export interface Candidate {
  readonly name: string
  /** Does the thing `times` times; returns nanoseconds, of all of them, where it measures by itself, or {@link Timed}. */
  readonly run: (times: number) => unknown
  /** How often a round does the thing; unless said, as often as fills the round's time. */
  readonly times?: number | undefined
  /** What is to be done before each round and is not part of the time. */
  readonly before?: (() => unknown) | undefined
}

export interface Comparison {
  readonly title: string
  /** The one whose stalls are measured. */
  readonly ours: Candidate
  readonly others: ReadonlyArray<Candidate>
  /** Rounds, where one takes long. */
  readonly rounds?: number | undefined
}

export interface Measured {
  /** Nanoseconds for one time, by the names of the candidates; and what else they have measured. */
  readonly medians: ReadonlyMap<string, number>
  readonly samples: ReadonlyMap<string, ReadonlyArray<number>>
  /** In milliseconds. */
  readonly stall: number
}

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

const isTimed = (value: unknown): value is Timed => typeof value === "object" && value !== null && "nanos" in value

const once = async ({ before, run }: Candidate, times: number): Promise<Timed> => {
  await before?.()
  const from = process.hrtime.bigint()
  const own = await run(times)
  const wall = Number(process.hrtime.bigint() - from)
  return isTimed(own) ? own : { nanos: typeof own === "number" ? own : wall }
}

/** Warms a candidate up, and finds how often it is to be done in a round. */
const calibrate = async (candidate: Candidate, roundMillis: number): Promise<number> => {
  if (candidate.times !== undefined) {
    await once(candidate, candidate.times)
    return candidate.times
  }
  const wanted = roundMillis * 1e6
  for (let times = 16; ; times *= 2) {
    const { nanos: took } = await once(candidate, times)
    // At a fifth of the time the compiler has seen enough of it, mostly: what follows is scaled from a second look.
    if (took > wanted / 5) {
      const { nanos: again } = await once(candidate, times)
      return Math.max(1, Math.round((times * wanted) / again))
    }
  }
}

/**
 * The longest time, in milliseconds, for which the event loop did not come round while `work` went on. Seen by a chain of
 * immediates, which also sees what is shorter than a timer's tick; as the loop then never sleeps, such a run is no measure
 * of speed.
 */
export const longestStall = async (work: () => unknown): Promise<number> => {
  let last = 0
  let longest = 0
  let watching = true
  const look = (): void => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }
  const watch = (): void => {
    look()
    if (watching) setImmediate(watch)
  }
  await new Promise((resolve) => setImmediate(resolve))
  last = performance.now()
  setImmediate(watch)
  await work()
  look()
  watching = false
  return longest
}

export const time = (nanos: number): string => {
  if (nanos < 10_000) return `${nanos.toFixed(0)} ns`
  if (nanos < 1_000_000) return `${(nanos / 1e3).toFixed(1)} µs`
  return `${(nanos / 1e6).toFixed(1)} ms`
}

/** Measures all candidates, in turn in each round, and prints what one time takes of each. */
export const compare = async (settings: Settings, comparison: Comparison): Promise<Measured> => {
  const { ours, others, title } = comparison
  const rounds = Math.min(settings.rounds, comparison.rounds ?? settings.rounds)
  const candidates: Array<{ candidate: Candidate; times: number }> = []
  for (const candidate of [ours, ...others]) {
    candidates.push({ candidate, times: await calibrate(candidate, settings.roundMillis) })
  }
  const samples = new Map<string, Array<number>>(candidates.map(({ candidate: { name } }) => [name, []]))
  const note = (name: string, value: number): void => {
    const values = samples.get(name) ?? []
    values.push(value)
    samples.set(name, values)
  }
  for (let round = 0; round < rounds; round++) {
    for (const { candidate, times } of candidates) {
      const { also = {}, nanos } = await once(candidate, times)
      note(candidate.name, nanos / times)
      for (const [name, value] of Object.entries(also)) note(`${candidate.name}: ${name}`, value)
    }
  }
  await ours.before?.()
  const stall = await longestStall(() => ours.run(candidates[0]?.times ?? 1))
  const medians = new Map([...samples].map(([name, values]) => [name, median(values)]))
  const [base = Number.NaN] = medians.values()
  console.log(`\n${title}`)
  for (const [name, value] of medians) {
    console.log(`  ${name.padEnd(52)} ${time(value).padStart(10)} ${(value / base).toFixed(2).padStart(8)} ×`)
  }
  return { medians, samples, stall }
}

const fileSystems = new Map([
  [0xef53, "ext4"],
  [0x01021994, "tmpfs"],
  [0x58465342, "xfs"],
  [0x9123683e, "btrfs"],
  [0x794c7630, "overlayfs"],
  [0x6969, "nfs"],
  [0x2fc12fc1, "zfs"],
  [0xf2f52010, "f2fs"]
])

export const fileSystemOf = (path: string): string => {
  const { type } = statfsSync(path)
  return fileSystems.get(type) ?? `type 0x${type.toString(16)}`
}

/** A directory for the time of `work`. */
export const withDirectory = async <A>(
  { directory }: Settings,
  work: (directory: string) => Promise<A>
): Promise<A> => {
  const own = mkdtempSync(join(directory, "effect-linux-bench-"))
  try {
    return await work(own)
  } finally {
    rmSync(own, { recursive: true, force: true })
  }
}
