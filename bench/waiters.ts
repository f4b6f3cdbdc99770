/** (i): ten thousand reads that wait: the memory of each, and the time to begin and to end it. */
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { type Measured, median, type Settings } from "./support.ts"
import { type Outcome, row } from "./table.ts"
import type { Waiting } from "./waiting.ts"

const program = fileURLToPath(new URL("./waiting.js", import.meta.url))

const measure = async (...args: ReadonlyArray<string>): Promise<Waiting> => {
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...args])
  return JSON.parse(stdout)
}

const ours = "File.read"
const other = "net.Socket"

const among = (samples: ReadonlyMap<string, ReadonlyArray<number>>, stall: number): Measured => ({
  medians: new Map([...samples].map(([name, values]) => [name, median(values)])),
  samples,
  stall
})

export const waiters = async (settings: Settings): Promise<Outcome> => {
  const count = settings.quick ? 100 : 10_000
  const effect: Array<Waiting> = []
  const node: Array<Waiting> = []
  for (let round = 0; round < Math.min(settings.rounds, 5); round++) {
    effect.push(await measure("effect", String(count)))
    node.push(await measure("node", String(count)))
  }
  const { stall = Number.NaN } = await measure("effect", String(count), "watch")
  const of = (field: "bytes" | "setUpNanos" | "endNanos", stall: number): Measured =>
    among(
      new Map([
        [ours, effect.map((one) => one[field])],
        [other, node.map((one) => one[field])]
      ]),
      stall
    )
  const bytes = of("bytes", Number.NaN)
  const setUp = of("setUpNanos", stall)
  const end = of("endNanos", stall)
  const pipes = effect[0]?.pipes ?? 0
  console.log(`\n${count} waiting reads on ${pipes} pipes, for each`)
  for (const [label, measured] of [
    ["bytes of memory", bytes],
    ["ns to set up", setUp],
    ["ns to end", end]
  ] as const) {
    for (const [name, value] of measured.medians) {
      console.log(`  ${`${name}, ${label}`.padEnd(52)} ${value.toFixed(0).padStart(10)}`)
    }
  }
  const pair = { ours, other }
  return {
    rows: [
      row("waiters", bytes, { ...pair, what: `${count} waiting reads, memory of each`, unit: "bytes" }),
      row("waiters", setUp, { ...pair, what: `${count} waiting reads, to set each up` }),
      row("waiters", end, { ...pair, what: `${count} waiting reads, to end each` })
    ],
    measured: [bytes, setUp, end],
    ...(pipes === count
      ? {}
      : { notes: [`the limit of open files allows ${pipes} pipes, so some of the ${count} readers share one`] })
  }
}
