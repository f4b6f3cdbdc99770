// Builds the native addon with node-gyp when the package is installed. A failure says what is missing and how to get it.
//
// `--force` builds again what is built already.
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, statSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = join(dirname(fileURLToPath(import.meta.url)), "..")

const fail = (lines) => {
  console.error(["", ...lines.map((line) => `effect-linux: ${line}`), ""].join("\n"))
  process.exit(1)
}

if (process.platform !== "linux") {
  fail([`this package speaks to the Linux kernel and cannot be built on ${process.platform}`])
}

const tools = [
  {
    name: "python3",
    commands: [process.env.npm_config_python, process.env.PYTHON, "python3", "python"],
    package: "python3"
  },
  { name: "make", commands: [process.env.MAKE, "make"], package: "make" },
  { name: "g++", commands: [process.env.CXX, "g++", "c++", "clang++"], package: "g++" }
]

const works = (command) => spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0

const missing = tools.filter((tool) => !tool.commands.some((command) => command && works(command)))
if (missing.length > 0) {
  const names = missing.map((tool) => tool.name)
  const packages = missing.map((tool) => tool.package)
  fail([
    `the native addon is built from source, and this machine lacks ${names.join(", ")}`,
    `  Debian, Ubuntu:  apt-get install ${packages.join(" ")}`,
    `  Fedora, RHEL:    dnf install ${packages.map((name) => (name === "g++" ? "gcc-c++" : name)).join(" ")}`,
    `  Alpine:          apk add ${packages.join(" ")}`,
    `  Arch:            pacman -S ${packages.map((name) => ({ "g++": "gcc", python3: "python" })[name] ?? name).join(" ")}`
  ])
}

const addon = join(root, "build/Release/effect_linux.node")

/** Whether the addon is there, loads on this machine, and is younger than what it is built from. */
const upToDate = () => {
  if (!existsSync(addon)) return false
  const built = statSync(addon).mtimeMs
  const sources = [
    join(root, "binding.gyp"),
    ...readdirSync(join(root, "native")).map((file) => join(root, "native", file))
  ]
  if (sources.some((file) => statSync(file).mtimeMs > built)) return false
  return spawnSync(process.execPath, ["-e", "require(process.argv[1])", addon], { stdio: "ignore" }).status === 0
}

if (!process.argv.includes("--force") && upToDate()) process.exit(0)

// Most installations of Node carry its headers beside it; with those at hand node-gyp need not download any.
const prefix = dirname(dirname(process.execPath))
const headers =
  process.env.npm_config_nodedir ?? (existsSync(join(prefix, "include/node/node_api.h")) ? prefix : undefined)

const nodeGyp = createRequire(import.meta.url).resolve("node-gyp/bin/node-gyp.js")
const result = spawnSync(
  process.execPath,
  [nodeGyp, "rebuild", ...(headers === undefined ? [] : [`--nodedir=${headers}`])],
  { cwd: root, encoding: "utf8" }
)
if (result.status !== 0) {
  console.error(result.stdout ?? "", result.stderr ?? "")
  fail([
    "the native addon did not build; the compiler's own words stand above",
    "  python3, make and a C++17 compiler are there; if Node's headers are not, and cannot be downloaded,",
    "  install them (Debian: apt-get install libnode-dev) and set npm_config_nodedir to where they are (/usr)"
  ])
}
