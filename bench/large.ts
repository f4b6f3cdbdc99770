/** (g), (h): a file of 1 GiB: read at random around the page cache, many at a time; and from end to end through it. */
import { execFile } from "node:child_process"
import { closeSync, constants, createReadStream, fsyncSync, openSync, promises, writeSync } from "node:fs"
import { join } from "node:path"
import { promisify } from "node:util"
import { Effect, Stream } from "effect"
import { File, Mapping } from "effect-linux"
import { type Candidate, compare, fileSystemOf, type Settings, withDirectory } from "./support.ts"
import { type Outcome, row } from "./table.ts"

const MiB = 1 << 20

const sizeOf = ({ quick }: Settings): number => (quick ? 16 : 1024) * MiB

/** A file with something in each block: a hole is not read from the disk. */
const fill = (path: string, size: number): void => {
  const chunk = Buffer.alloc(4 * MiB, "effect-linux")
  const fd = openSync(path, "w")
  for (let done = 0; done < size; done += chunk.length) writeSync(fd, chunk)
  fsyncSync(fd)
  closeSync(fd)
}

const block = 4096
const depth = 64

/** The same places for all, as far apart as any. */
const places = (size: number): (() => number) => {
  const blocks = size / block
  let state = 1
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state % blocks) * block
  }
}

const direct_ = "File.pread, 64 fibers"
const handle_ = "FileHandle.read, 64 at a time"
const fio_ = "fio --ioengine=io_uring"

/** What fio does in a second, as nanoseconds for one operation. */
const fioCandidate = async (path: string, size: number, quick: boolean): Promise<Candidate | undefined> => {
  const run = promisify(execFile)
  const options = [
    "--name=bench",
    `--filename=${path}`,
    `--size=${size}`,
    "--readonly",
    "--ioengine=io_uring",
    "--direct=1",
    `--bs=${block}`,
    `--iodepth=${depth}`,
    "--rw=randread",
    "--norandommap",
    "--time_based",
    `--runtime=${quick ? "200ms" : "1s"}`,
    "--output-format=json"
  ]
  try {
    await run("fio", ["--version"])
  } catch {
    return undefined
  }
  return {
    name: fio_,
    times: 1,
    run: async () => {
      const { stdout } = await run("fio", options, { maxBuffer: 16 * MiB })
      // Some versions write notes before the JSON.
      const { jobs } = JSON.parse(stdout.slice(stdout.indexOf("{")))
      return 1e9 / jobs[0].read.iops
    }
  }
}

/** Random reads of 4 KiB with O_DIRECT, 64 at a time. */
export const direct = (settings: Settings): Promise<Outcome> =>
  withDirectory(settings, async (directory) => {
    const path = join(directory, "data")
    const size = sizeOf(settings)
    const times = settings.quick ? 1_024 : 16_384
    fill(path, size)
    const fileSystem = fileSystemOf(path)
    const handle = await promises.open(path, constants.O_RDONLY | constants.O_DIRECT).catch(() => undefined)
    if (handle === undefined) {
      return { rows: [], notes: [`O_DIRECT reads are left out: ${fileSystem} takes no O_DIRECT`] }
    }
    const fio = await fioCandidate(path, size, settings.quick)
    try {
      // Both read into memory that is aligned to pages, as O_DIRECT asks for: a mapping is.
      const measured = await Effect.gen(function* () {
        const { bytes } = yield* Mapping.anonymous({ length: depth * block })
        const buffers = Array.from({ length: depth }, (_, i) => bytes.subarray(i * block, (i + 1) * block))
        const ours: Candidate = {
          name: direct_,
          times,
          run: (times) =>
            Effect.gen(function* () {
              const file = yield* File.open(path, { direct: true })
              const next = places(size)
              yield* Effect.forEach(
                buffers,
                Effect.fnUntraced(function* (buffer) {
                  for (let i = 0; i < times / depth; i++) yield* File.pread(file, buffer, next())
                }),
                { concurrency: "unbounded", discard: true }
              )
            }).pipe(Effect.scoped, Effect.runPromise)
        }
        const theirs: Candidate = {
          name: handle_,
          times,
          run: async (times) => {
            const next = places(size)
            await Promise.all(
              buffers.map(async (buffer) => {
                for (let i = 0; i < times / depth; i++) await handle.read(buffer, 0, block, next())
              })
            )
          }
        }
        const title = `random reads of 4 KiB, O_DIRECT, ${depth} at a time, ${fileSystem}`
        const others = fio === undefined ? [theirs] : [theirs, fio]
        return yield* Effect.promise(() => compare(settings, { title, ours, others }))
      }).pipe(Effect.scoped, Effect.runPromise)
      const what = `O_DIRECT 4 KiB, depth ${depth}`
      const rows = [row("direct", measured, { what, ours: direct_, other: handle_, target: { faster: 3 } })]
      return fio === undefined
        ? { rows, measured: [measured], notes: ["fio is not installed: O_DIRECT is not compared with it"] }
        : {
            // 60 % of its operations a second.
            rows: [...rows, row("direct", measured, { what, ours: direct_, other: fio_, target: { atMost: 1 / 0.6 } })],
            measured: [measured]
          }
    } finally {
      await handle.close()
    }
  })

const node = (path: string, highWaterMark?: number): Promise<number> =>
  new Promise((resolve, reject) => {
    let total = 0
    createReadStream(path, highWaterMark === undefined ? {} : { highWaterMark })
      .on("data", (chunk) => {
        total += chunk.length
      })
      .on("end", () => resolve(total))
      .on("error", reject)
  })

const ours = (path: string, chunkSize?: number): Promise<number> =>
  Effect.gen(function* () {
    const file = yield* File.open(path)
    return yield* Stream.runFold(
      File.stream(file, chunkSize === undefined ? {} : { chunkSize }),
      () => 0,
      (total: number, chunk) => total + chunk.length
    )
  }).pipe(Effect.scoped, Effect.runPromise)

/** 1 GiB that the page cache has, from its first byte to its last. */
export const stream = (settings: Settings): Promise<Outcome> =>
  withDirectory(settings, async (directory) => {
    const path = join(directory, "data")
    const size = sizeOf(settings)
    fill(path, size)
    const whole = (by: () => Promise<number>) => async (times: number) => {
      for (let i = 0; i < times; i++) {
        const total = await by()
        if (total !== size) throw new Error(`${total} bytes came, and ${size} are there`)
      }
    }
    const outcomes: Array<Outcome> = []
    for (const chunk of [undefined, 256 * 1024]) {
      const label = chunk === undefined ? "default chunks" : `chunks of ${chunk / 1024} KiB`
      const measured = await compare(settings, {
        title: `sequential read of ${size / MiB} MiB, cached, ${label}, ${fileSystemOf(path)}`,
        rounds: 5,
        ours: { name: "File.stream", times: 1, run: whole(() => ours(path, chunk)) },
        others: [{ name: "fs.createReadStream", times: 1, run: whole(() => node(path, chunk)) }]
      })
      outcomes.push({
        rows: [
          row("stream", measured, {
            what: `stream of ${size / MiB} MiB, ${label}`,
            ours: "File.stream",
            other: "fs.createReadStream",
            target: { faster: 1.5 }
          })
        ],
        measured: [measured]
      })
    }
    return {
      rows: outcomes.flatMap(({ rows }) => rows),
      measured: outcomes.flatMap(({ measured = [] }) => measured)
    }
  })
