/** What came of it: one line for each pair, what was hoped for, and whether it holds. */
import { writeFileSync } from "node:fs"
import { cpus, release } from "node:os"
import { fileSystemOf, type Measured, type Settings, time } from "./support.ts"

/**
 * What is hoped for: ours takes at most so many times the other's time; or is at least so many times faster; or takes at
 * most so many nanoseconds more.
 */
export type Target = { readonly atMost: number } | { readonly faster: number } | { readonly above: number }

export interface Row {
  readonly benchmark: string
  readonly what: string
  readonly ours: number
  readonly other: number
  readonly against: string
  /** The unit of `ours` and `other`. */
  readonly unit: "ns" | "bytes"
  readonly target: Target | undefined
  /** The ratio or the difference that the target speaks of. */
  readonly value: number
  readonly met: boolean | undefined
  /** The longest stall of the event loop during ours, in milliseconds; undefined where it was not looked at. */
  readonly stall: number | undefined
}

export interface Outcome {
  readonly rows: ReadonlyArray<Row>
  /** Numbers that are compared with nothing, and reasons why something was left out. */
  readonly notes?: ReadonlyArray<string>
  readonly measured?: ReadonlyArray<Measured>
}

const compared = (ours: number, other: number, target: Target | undefined): number =>
  target !== undefined && "above" in target
    ? ours - other
    : target !== undefined && "faster" in target
      ? other / ours
      : ours / other

const isMet = (value: number, target: Target): boolean =>
  "faster" in target ? value >= target.faster : value <= ("above" in target ? target.above : target.atMost)

/** A line of the table, of two candidates of a comparison. */
export const row = (
  benchmark: string,
  { medians, stall }: Measured,
  pair: {
    readonly what: string
    readonly ours: string
    readonly other: string
    /** What the table calls the other; its name unless said. */
    readonly against?: string
    readonly target?: Target
    readonly unit?: "ns" | "bytes"
  }
): Row => {
  const { against = pair.other, target, unit = "ns", what } = pair
  const ours = medians.get(pair.ours) ?? Number.NaN
  const other = medians.get(pair.other) ?? Number.NaN
  const value = compared(ours, other, target)
  return {
    benchmark,
    what,
    ours,
    other,
    against,
    unit,
    target,
    value,
    met: target === undefined ? undefined : isMet(value, target),
    stall: Number.isNaN(stall) ? undefined : stall
  }
}

const quantity = (value: number, unit: Row["unit"]): string => {
  if (unit === "bytes") return `${(value / 1024).toFixed(1)} KiB`
  return time(value)
}

const ratio = (value: number): string => value.toFixed(value >= 20 ? 0 : 2)

const cells = ({ against, met, other, ours, stall, target, unit, value, what }: Row): ReadonlyArray<string> => {
  const difference = target !== undefined && "above" in target
  const hoped =
    target === undefined
      ? "–"
      : "above" in target
        ? `≤ +${target.above} ns`
        : "faster" in target
          ? `≥ ${ratio(target.faster)} × faster`
          : `≤ ${ratio(target.atMost)} ×`
  const shown = difference
    ? `${value >= 0 ? "+" : ""}${value.toFixed(0)} ns`
    : `${ratio(value)} ×${target !== undefined && "faster" in target ? " faster" : ""}`
  return [
    what,
    quantity(ours, unit),
    against,
    quantity(other, unit),
    shown,
    hoped,
    met === undefined ? "" : met ? "met" : "NOT MET",
    stall === undefined ? "–" : `${stall.toFixed(1)} ms`
  ]
}

const header = ["what", "ours", "other", "", "ratio", "target", "", "longest stall"]
const toTheRight = new Set([1, 3, 4, 5, 7])

/** No stall of the loop is to be longer, in milliseconds. */
const longestAllowed = 10

export const print = (settings: Settings, outcomes: ReadonlyArray<Outcome>): void => {
  const rows = outcomes.flatMap(({ rows }) => rows)
  const lines = [header, ...rows.map(cells)]
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)))
  const rule = widths.map((width) => "─".repeat(width)).join("──")
  console.log(
    `\nNode ${process.versions.node}, Linux ${release()}, ${cpus()[0]?.model ?? "?"} × ${cpus().length}; ` +
      `files on ${fileSystemOf(settings.directory)} (${settings.directory})${settings.quick ? "; QUICK: of no meaning" : ""}`
  )
  console.log(rule)
  for (const [index, line] of lines.entries()) {
    const padded = line.map((cell, column) =>
      toTheRight.has(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0)
    )
    console.log(padded.join("  ").trimEnd())
    if (index === 0) console.log(rule)
  }
  console.log(rule)
  const judged = rows.filter(({ met }) => met !== undefined)
  const stalls = rows.flatMap(({ stall }) => stall ?? [])
  console.log(`targets met: ${judged.filter(({ met }) => met).length} of ${judged.length}`)
  if (stalls.length > 0) {
    const longest = Math.max(...stalls)
    const verdict = longest < longestAllowed ? "met" : "NOT MET"
    console.log(`longest stall of all: ${longest.toFixed(1)} ms (target: under ${longestAllowed} ms, ${verdict})`)
  }
  for (const note of outcomes.flatMap(({ notes = [] }) => notes)) console.log(`note: ${note}`)
}

export const write = (path: string, settings: Settings, outcomes: ReadonlyArray<Outcome>): void => {
  const all = {
    node: process.versions.node,
    kernel: release(),
    cpu: cpus()[0]?.model,
    cpus: cpus().length,
    fileSystem: fileSystemOf(settings.directory),
    settings,
    rows: outcomes.flatMap(({ rows }) => rows),
    notes: outcomes.flatMap(({ notes = [] }) => notes),
    samples: outcomes.flatMap(({ measured = [] }) => measured.map(({ samples }) => Object.fromEntries(samples)))
  }
  writeFileSync(path, `${JSON.stringify(all, undefined, 2)}\n`)
}
