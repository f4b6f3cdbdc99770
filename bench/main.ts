/**
 * All benchmarks: `npm run bench`, or some of them by name: `npm run bench -- pread stat`.
 *
 * `--quick` makes them short and small; `--json FILE` writes the numbers; `--list` says what there is.
 */
import { parseArgs } from "node:util"
import { copy } from "./copy.ts"
import { errors } from "./errors.ts"
import { open, pread, stat } from "./files.ts"
import { fork } from "./fork.ts"
import { kvm } from "./kvm.ts"
import { direct, stream } from "./large.ts"
import { memory } from "./memory.ts"
import { sockets } from "./sockets.ts"
import { type Settings, settingsOf } from "./support.ts"
import { type Outcome, print, write } from "./table.ts"
import { trampoline } from "./trampoline.ts"
import { waiters } from "./waiters.ts"
import { walk } from "./walk.ts"

const all: Readonly<Record<string, (settings: Settings) => Promise<Outcome>>> = {
  trampoline,
  pread,
  open,
  stat,
  walk,
  direct,
  stream,
  copy,
  sockets,
  waiters,
  errors,
  kvm,
  memory,
  fork
}

const { positionals: chosen, values } = parseArgs({
  allowPositionals: true,
  options: { quick: { type: "boolean", default: false }, json: { type: "string" }, list: { type: "boolean" } }
})

const main = async (): Promise<void> => {
  const unknown = chosen.filter((name) => !(name in all))
  if (values.list || unknown.length > 0) {
    for (const name of unknown) console.log(`there is no benchmark ${name}`)
    console.log(`benchmarks: ${Object.keys(all).join(" ")}`)
    return
  }
  const settings = settingsOf(values.quick)
  const outcomes: Array<Outcome> = []
  for (const [name, run] of Object.entries(all)) {
    if (chosen.length > 0 && !chosen.includes(name)) continue
    try {
      outcomes.push(await run(settings))
    } catch (cause) {
      console.error(cause)
      outcomes.push({ rows: [], notes: [`${name} failed: ${cause}`] })
    }
  }
  print(settings, outcomes)
  if (values.json !== undefined) write(values.json, settings, outcomes)
}

await main()
