/** All benchmarks: `npm run bench`, or some of them by name: `npm run bench -- errors`. */
import { errors } from "./errors.ts"
import { files } from "./files.ts"
import { trampoline } from "./trampoline.ts"

const all = { trampoline, errors, files }

const chosen = process.argv.slice(2)
for (const [name, run] of Object.entries(all)) {
  if (chosen.length === 0 || chosen.includes(name)) await run()
}
