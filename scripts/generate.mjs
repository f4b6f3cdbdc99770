// Writes every generated table of the project, or with `--check` tells whether what is committed is what would be
// written. The inputs are the kernel's headers and the manual pages of this machine:
//
//   apt-get install linux-libc-dev linux-libc-dev-arm64-cross linux-libc-dev-riscv64-cross \
//     linux-libc-dev-armhf-cross manpages-dev
//
// and the files in scripts/data/, which hold what a person had to judge or what the headers are too old to know.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { callErrors, errorUnions } from "./generate/call-errors.mjs"
import { callFunctions, callIndex, callTable } from "./generate/calls.mjs"
import { constants } from "./generate/constants.mjs"
import { errnos } from "./generate/errnos.mjs"
import { root } from "./generate/headers.mjs"
import { kvmIndex } from "./generate/kvm-index.mjs"
import { numbers } from "./generate/numbers.mjs"

const outputs = {
  "src/errors/errnos.ts": errnos(),
  "src/errors/calls.ts": callErrors(),
  "src/errors/unions.ts": errorUnions(),
  "src/internal/constants.ts": constants("src/internal/constants.ts")(),
  "src/internal/numbers.ts": numbers(),
  "src/internal/table.ts": callTable(),
  "src/kvm/constants.ts": constants("src/kvm/constants.ts")(),
  ...Object.fromEntries(
    ["devices", "filesystem", "input", "network", "terminal"].map((subject) => {
      const path = `src/ioctl/constants-${subject}.ts`
      return [path, constants(path)()]
    })
  ),
  "docs/calls.md": callIndex(),
  "docs/kvm.md": kvmIndex(),
  ...callFunctions()
}

let stale = 0
for (const [path, text] of Object.entries(outputs)) {
  const target = join(root, path)
  if (!process.argv.includes("--check")) {
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, text)
  } else if (readFileSync(target, "utf8") !== text) {
    console.error(`${path} is not what scripts/generate.mjs writes from this machine's headers and manual pages`)
    stale++
  }
}
process.exit(stale === 0 ? 0 : 1)
