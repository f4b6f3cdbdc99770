// The table of system calls: what scripts/data/calls/*.json says of each call, completed by the numbers and the manual
// pages. From it come src/internal/table.ts (the table as data), src/syscall/generated/*.ts (the functions) and
// docs/calls.md (the index). How the JSON files are written is in scripts/data/calls/README.md.
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { banner, data, manualPage, pascalCase, root } from "./headers.mjs"
import { errorsOfCall } from "./manual-errors.mjs"
import { readNumbers } from "./numbers.mjs"

const supported = ["x86_64", "aarch64", "riscv64"]

/** One argument, from `name: kind(of) = default`; `-` for a name is an argument that no caller passes. */
const parseArgument = (call, text) => {
  const match = /^(\w+|-): ([a-z]+)(?:\((\w+)\))?(\?)?(?: = (.+))?$/.exec(text)
  if (match === null) throw new Error(`${call}: cannot read the argument "${text}"`)
  const [, name, kind, of, nullable, fallback] = match
  if (!(kind in kinds)) throw new Error(`${call}: no kind of argument is called "${kind}"`)
  return { name, kind, of, nullable: nullable !== undefined, fallback }
}

/** The kernel versions that syscalls(2) says the calls came with. */
const sinceByManual = new Map(
  (manualPage("syscalls") ?? "").split("\n").flatMap((line) => {
    const row = /^\\fB(\w+)\\fP\(2\)\t(\d[\d.]*)/.exec(line)
    return row === null ? [] : [[row[1], row[2]]]
  })
)

/** Every call of the three architectures, by name, in the order of the files. */
export const readCalls = () => {
  const numbers = Object.fromEntries(supported.map((architecture) => [architecture, readNumbers(architecture)]))
  const names = new Set(supported.flatMap((architecture) => [...numbers[architecture].keys()]))
  const calls = new Map()
  for (const file of readdirSync(join(root, "scripts/data/calls"))
    .filter((name) => name.endsWith(".json"))
    .sort()) {
    const subject = file.slice(0, -".json".length)
    for (const [name, entry] of Object.entries(data(`calls/${file}`).calls)) {
      const base = entry.of ?? name
      if (!names.has(base)) throw new Error(`${file}: no architecture has a call ${base}`)
      if (calls.has(name)) throw new Error(`${file}: ${name} stands twice`)
      calls.set(name, {
        ...entry,
        name,
        base,
        subject,
        args: (entry.args ?? []).map((text) => {
          const argument = parseArgument(name, text)
          return { ...argument, size: entry.sizes?.[argument.name] }
        }),
        since: entry.since ?? sinceByManual.get(base),
        numbers: Object.fromEntries(supported.map((architecture) => [architecture, numbers[architecture].get(base)]))
      })
    }
  }
  const missing = [...names].filter((name) => !calls.has(name))
  return { calls, missing }
}

// ---------------------------------------------------------------------------------------------------------------------
// kinds of arguments and results
// ---------------------------------------------------------------------------------------------------------------------

/** The buffer of an argument, with a check of the length that the entry's `sizes` say it must have. */
const sized = ({ name, size }) => (size === undefined ? name : `atLeast("${name}", ${name}, ${size})`)

const maybe = ({ name, nullable }, expression) => (nullable ? `${name} === null ? null : ${expression}` : expression)
const nullableType = ({ nullable }, type) => (nullable ? `${type} | null` : type)

/** A list of buffers and its length come from one look at the list: one expression, two words. */
const vectorWords = ({ name }) => [`...bufferVector("${name}", ${name})`, ""]

/**
 * For each kind: the type of the parameter (none where the caller passes nothing), the words that the kernel gets, and
 * what the kernel does with the memory of each.
 */
const kinds = {
  fd: { type: () => "number", words: ({ name }) => [`descriptor("${name}", ${name})`] },
  int: { type: () => "number", words: ({ name }) => [`int("${name}", ${name})`] },
  long: { type: () => "number | bigint", words: ({ name }) => [`long("${name}", ${name})`] },
  path: {
    type: (argument) => nullableType(argument, "PathLike"),
    words: (argument) => [maybe(argument, `pathBytes("${argument.name}", ${argument.name})`)],
    direction: "in"
  },
  /** A buffer that the kernel reads, and its length. */
  in: {
    type: (argument) => nullableType(argument, "Buffer"),
    words: (argument) => [
      argument.name,
      maybe(argument, `bufferLength("${argument.name}", ${argument.name})`).replace("null :", "0 :")
    ],
    direction: "in"
  },
  /** A buffer that the kernel fills, and its length. */
  out: {
    type: (argument) => nullableType(argument, "Buffer"),
    words: (argument) => [
      argument.name,
      maybe(argument, `bufferLength("${argument.name}", ${argument.name})`).replace("null :", "0 :")
    ],
    direction: "outCount"
  },
  /** The same without the length, for calls that know it or take it elsewhere. */
  inmemory: { type: (a) => nullableType(a, "Buffer"), words: (argument) => [sized(argument)], direction: "in" },
  outmemory: { type: (a) => nullableType(a, "Buffer"), words: (argument) => [sized(argument)], direction: "out" },
  memory: { type: (a) => nullableType(a, "Buffer"), words: (argument) => [sized(argument)], direction: "unknown" },
  /** A list of buffers and their number. */
  iovin: {
    type: () => "ReadonlyArray<Buffer>",
    words: vectorWords,
    direction: "in"
  },
  iovout: {
    type: () => "ReadonlyArray<Buffer>",
    words: vectorWords,
    direction: "outCount"
  },
  iov: {
    type: () => "ReadonlyArray<Buffer>",
    words: vectorWords,
    direction: "unknown"
  },
  /** An address or memory, passed as it is. */
  address: {
    type: () => "number | bigint | Buffer | null",
    words: (argument) => [`word("${argument.name}", ${sized(argument)})`],
    direction: "unknown"
  },
  /** A place in a file, in memory of its own, or null for the file's own offset. */
  offset: {
    type: () => "number | bigint | null",
    words: ({ name }) => [`offsetMemory("${name}", ${name})`],
    direction: "unknown"
  },
  /** A structure that the kernel reads. */
  struct: {
    type: (argument) => nullableType(argument, `Abi.${argument.of}`),
    words: (argument) => [maybe(argument, `Abi.${argument.of}.encode(${argument.name})`)],
    direction: "in"
  },
  /** A structure that the kernel writes: a result, not a parameter. */
  result: { words: ({ of }) => [`new Uint8Array(Abi.${of}.size)`], direction: "out" },
  /** A structure that the kernel reads and writes: a parameter and a result. */
  update: {
    type: ({ of }) => `Abi.${of}`,
    words: ({ name, of }) => [`Abi.${of}.encode(${name})`],
    direction: "unknown"
  },
  size: { words: ({ of }) => [`Abi.${of}.size`] },
  zero: { words: () => ["0"] },
  null: { words: () => ["null"] },
  /** A literal or constant that the function always passes. */
  constant: { words: ({ of }) => [of] },
  /** Signal numbers, as a kernel signal set of 8 bytes. */
  sigset: {
    type: (argument) => nullableType(argument, "ReadonlyArray<number>"),
    words: (argument) => [maybe(argument, `signalSet("${argument.name}", ${argument.name})`)],
    direction: "in"
  },
  sigsetresult: { words: () => ["new Uint8Array(8)"], direction: "out" },
  /** A span of time. */
  duration: {
    type: (argument) => nullableType(argument, "Duration.Input | Abi.timespec"),
    words: (argument) => [maybe(argument, `Abi.timespec.encode(toTimespec("${argument.name}", ${argument.name}))`)],
    direction: "in"
  }
}

const results = {
  void: { type: "void", decode: "nothing" },
  number: { type: "number", decode: "number" },
  fd: { type: "number", decode: "number", abandoned: true },
  bigint: { type: "bigint", decode: "BigInt" }
}

// ---------------------------------------------------------------------------------------------------------------------
// functions
// ---------------------------------------------------------------------------------------------------------------------

const wayWords = {
  inline: "Does not block.",
  inlineFirst:
    "Can block: made on the JavaScript thread where the kernel can answer at once, else on another; interruptible.",
  offload: "Can block: made on another thread; interruptible."
}

const errorPages = (call) => call.pages ?? [call.page ?? call.base]

const wrap = (text, indent) => {
  const lines = []
  let line = ""
  for (const word of text.split(/\s+/)) {
    if (`${indent}${line} ${word}`.length > 118) {
      lines.push(indent + line)
      line = word
    } else line = line === "" ? word : `${line} ${word}`
  }
  if (line !== "") lines.push(indent + line)
  return lines
}

const documentation = (call) => {
  const parameters = call.args.filter(({ kind, name }) => name !== "-" && kinds[kind].type !== undefined)
  const only = supported.filter((architecture) => call.numbers[architecture] !== undefined)
  const notes = [
    call.blocks ?? wayWords[call.way],
    call.since === undefined || call.since === "1.0" ? "" : `Since Linux ${call.since}.`,
    only.length === supported.length ? "" : `Only on ${only.join(" and ")}; elsewhere it fails with \`ENOSYS\`.`,
    `Manual page: ${call.page ?? call.base}(2).`
  ]
    .filter((note) => note !== "")
    .join(" ")
  return [
    "/**",
    ...wrap(`\`${call.name}(${parameters.map(({ name }) => name).join(", ")})\`—${call.summary}`, " * "),
    ...(call.details === undefined ? [] : [" *", ...wrap(call.details, " * ")]),
    " *",
    ...wrap(notes, " * "),
    " *",
    ` * @category ${call.subject}`,
    " * @since 0.1.0",
    " */"
  ]
}

const directionBits = { unknown: 0, in: 1, out: 2, outCount: 3 }

const wordsOf = (call) =>
  call.args.flatMap((argument) => {
    const kind = kinds[argument.kind]
    return kind.words(argument).map((word, index) => ({
      word,
      argument,
      direction: index === 0 ? (kind.direction ?? "unknown") : "unknown"
    }))
  })

const resultOf = (call, words) => {
  const outputs = words
    .map(({ argument }, index) => ({ argument, index }))
    .filter(({ argument: { kind } }) => kind === "result" || kind === "update" || kind === "sigsetresult")
  if (call.result in results) {
    return results[call.result]
  }
  if (call.result === "struct" && outputs.length === 1) {
    const [{ argument, index }] = outputs
    return argument.kind === "sigsetresult"
      ? { type: "ReadonlyArray<number>", decode: `(_, args) => signalsOf(memoryAt(args, ${index}))` }
      : { type: `Abi.${argument.of}`, decode: `(_, args) => Abi.${argument.of}.decode(memoryAt(args, ${index}))` }
  }
  throw new Error(`${call.name}: no kind of result is called "${call.result}"`)
}

const functionOf = (call) => {
  const words = wordsOf(call)
  const { abandoned, decode, type } = resultOf(call, words)
  const parameters = call.args
    .filter(({ kind, name }) => name !== "-" && kinds[kind].type !== undefined)
    .map((argument) => {
      const of = kinds[argument.kind].type(argument)
      return argument.fallback === undefined
        ? `${argument.name}: ${of}`
        : `${argument.name}: ${of} = ${argument.fallback}`
    })
  const bits = words.reduce((sum, { direction }, index) => sum | (directionBits[direction] << (2 * index)), 0)
  const subject =
    call.args.find(({ kind, name }) => kind === "path" && name !== "-") ??
    call.args.find(({ kind, name }) => kind === "fd" && name !== "-")
  const subjectText =
    subject === undefined
      ? ""
      : subject.kind === "path"
        ? `{ path: ${subject.nullable ? `${subject.name} ?? undefined` : subject.name} }`
        : `{ fd${subject.name === "fd" ? "" : `: ${subject.name}`} }`
  const number =
    call.numbers.x86_64 !== undefined && call.numbers.aarch64 !== undefined && call.numbers.riscv64 !== undefined
      ? `nr.${call.base}`
      : `nr.${call.base} ?? absent`
  const errors = call.infallible === true ? `infallible("${call.name}")` : `errors.${call.name}`
  const errorType = call.infallible === true ? "never" : `errors.${pascalCase(call.name)}Error`
  const effect = `Effect.Effect<${type}${errorType === "never" ? "" : `, ${errorType}`}>`
  const list = words
    .map(({ word }) => word)
    .filter((word) => word !== "")
    .join(", ")
  const body =
    call.way === "inline" && !/args/.test(decode)
      ? `inline(${errors}, (call) => call(${[number, list].filter((part) => part !== "").join(", ")}), ${decode}${
          subjectText === "" ? "" : `, ${subjectText}`
        })`
      : `run({
    errors: ${errors},
    nr: ${number},
    prepare: () => [${list}],
    decode: ${decode},
    options: ${
      call.way === "inline"
        ? "onThisThread"
        : `{ ${[
            call.way === "inlineFirst" ? "inlineFirst: true" : "",
            bits === 0 ? "" : `directions: ${bits}`,
            abandoned ? "onAbandoned: closeAbandoned" : ""
          ]
            .filter((part) => part !== "")
            .join(", ")} }`
    }${subjectText === "" ? "" : `,\n    subject: ${subjectText}`}
  })`
  // A call without parameters is a value.
  return parameters.length === 0
    ? `export const ${call.name}: ${effect} = ${body}`
    : `export const ${call.name} = (${parameters.join(", ")}): ${effect} =>\n  ${body}`
}

/** Where the names that generated functions use come from, in the order of the import lines. */
const sources = [
  [
    "../../internal/arguments.ts",
    ["type Buffer", "bufferLength", "descriptor", "int", "long", "type PathLike", "pathBytes", "word"]
  ],
  ["../../internal/invoke.ts", ["inline", "onThisThread", "run"]],
  [
    "../convert.ts",
    [
      "atLeast",
      "bufferVector",
      "memoryAt",
      "nothing",
      "number",
      "offsetMemory",
      "prctlSize",
      "signalSet",
      "signalsOf",
      "toTimespec"
    ]
  ],
  ["../policy.ts", ["absent", "closeAbandoned", "infallible"]],
  ["../raw.ts", ["nr"]]
]

const imports = (body) => {
  // Strings and comments name parameters and calls, which may be called like a helper.
  const code = body.replace(/\/\*\*[\s\S]*?\*\//g, "").replace(/"[^"]*"/g, '""')
  // A member of something else is another thing; what is spread is not.
  const uses = (name) => new RegExp(`(?<!\\w)(?<!(?<!\\.\\.)\\.)${name}(?![\\w]|\\??:)`).test(code)
  return [
    ...(uses("Duration") ? [`import type * as Duration from "effect/Duration"`] : []),
    `import type * as Effect from "effect/Effect"`,
    ...(uses("Abi") ? [`import * as Abi from "../../Abi.ts"`] : []),
    ...(uses("errors") ? [`import * as errors from "../../errors/calls.ts"`] : []),
    ...sources.flatMap(([path, names]) => {
      const used = names.filter((name) => uses(name.replace("type ", "")))
      return used.length === 0 ? [] : [`import { ${used.join(", ")} } from "${path}"`]
    })
  ]
}

/** src/syscall/generated/SUBJECT.ts for each subject that has calls of generated functions. */
export const callFunctions = () => {
  const { calls } = readCalls()
  const bySubject = new Map()
  for (const call of calls.values()) {
    if (call.raw !== undefined || call.custom === true) continue
    bySubject.set(call.subject, [...(bySubject.get(call.subject) ?? []), call])
  }
  return Object.fromEntries(
    [...bySubject].map(([subject, list]) => {
      const body = list.flatMap((call) => [...documentation(call), functionOf(call), ""]).join("\n")
      const head = [banner(`scripts/data/calls/${subject}.json`), ...imports(body), "", ""].join("\n")
      return [`src/syscall/generated/${subject}.ts`, head + body]
    })
  )
}

/** What the errors of a call are read from. */
export const errorSources = () => {
  const { calls } = readCalls()
  return [...calls.values()]
    .filter((call) => call.infallible !== true && call.raw === undefined)
    .map((call) => [call.name, { pages: call.noPage === true ? [] : errorPages(call), add: call.errors ?? [] }])
}

// ---------------------------------------------------------------------------------------------------------------------
// the table as data, and the index
// ---------------------------------------------------------------------------------------------------------------------

const memoryKinds = { in: "in", out: "out", outCount: "out", unknown: "inout" }

export const callTable = () => {
  const { calls } = readCalls()
  const rows = [...calls.values()].map((call) => {
    const words = call.args.length === 0 ? [] : wordsOf(call)
    const entry = {
      numbers: call.numbers,
      args: words.map(({ argument, direction }, index) => ({
        name:
          argument.name === "-"
            ? argument.kind
            : index > 0 && words[index - 1].argument === argument
              ? `${argument.name}_length`
              : argument.name,
        kind: index > 0 && words[index - 1].argument === argument ? "long" : argument.kind,
        ...(kinds[argument.kind].direction === undefined || (index > 0 && words[index - 1].argument === argument)
          ? {}
          : { direction: memoryKinds[direction] })
      })),
      result: call.result ?? "number",
      way: call.way ?? "inline",
      ...(call.since === undefined ? {} : { since: call.since }),
      subject: call.subject,
      errors:
        call.infallible === true || (call.raw !== undefined && call.noPage === true)
          ? []
          : errorsOfCall(call.name, { pages: call.noPage === true ? [] : errorPages(call), add: call.errors ?? [] }),
      ...(call.raw === undefined ? {} : { raw: call.raw }),
      ...(call.of === undefined ? {} : { of: call.of })
    }
    return `  ${call.name}: ${JSON.stringify(entry)}`
  })
  return [
    banner("scripts/data/calls/*.json, the kernel's headers and the manual pages"),
    `import type { CallDescription } from "./tableTypes.ts"`,
    "",
    "/** The names of all calls that x86_64, aarch64 or riscv64 have, and of their forms that have a name of their own. */",
    "export type CallName =",
    ...[...calls.keys()].map((name) => `  | "${name}"`),
    "",
    "export const table: { readonly [Name in CallName]: CallDescription } = {",
    rows.join(",\n"),
    "}",
    ""
  ].join("\n")
}

export const callIndex = () => {
  const { calls } = readCalls()
  const rows = [...calls.values()]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((call) => {
      const errors =
        call.infallible === true
          ? "none"
          : call.raw !== undefined && call.noPage === true
            ? ""
            : errorsOfCall(call.name, {
                pages: call.noPage === true ? [] : errorPages(call),
                add: call.errors ?? []
              }).join(" ")
      const numbers = supported.map((architecture) => call.numbers[architecture] ?? "–").join(" | ")
      const function_ = call.raw === undefined ? `\`Syscall.${call.name}\`` : `raw only: ${call.raw}`
      return `| \`${call.name}\` | ${numbers} | ${call.subject} | ${function_} | ${call.raw === undefined ? call.way : ""} | ${call.since ?? ""} | ${errors} |`
    })
  return [
    "<!-- Generated by scripts/generate.mjs from the table of calls. Do not edit. -->",
    "",
    "# Index of system calls",
    "",
    `Every system call that Linux 6.18 has on x86_64, aarch64 or riscv64: ${calls.size} names. A call that is raw only is made with \`Syscall.call(Syscall.nr.…)\`, by who knows what he does.`,
    "",
    "The way: *inline* is made on the JavaScript thread and does not wait; *inlineFirst* is first asked not to wait, there, and made on another thread if it would; *offload* is made on another thread. Whatever is made on another thread can be interrupted.",
    "",
    "How a call that runs *inlineFirst* is asked not to wait:",
    "",
    "| call | asked with |",
    "| --- | --- |",
    "| `read` `readv` `pread64` `preadv` | `preadv2` with `RWF_NOWAIT` (at offset -1 for the first two); where that is not supported, and the file is in memory (tmpfs, memfd), the call itself |",
    "| `write` `writev` `pwrite64` `pwritev` | `pwritev2` with `RWF_NOWAIT`, in the same way; what a pipe or socket does not take at once is written when it is ready again |",
    "| `recvfrom` `sendto` | the same with `MSG_DONTWAIT` |",
    "| `accept` `accept4` | only of a socket that is non-blocking |",
    "| `getrandom` | the same with `GRND_NONBLOCK` |",
    "| `flock` | the same with `LOCK_NB`, on a disk or in memory |",
    "| `sendmsg` `recvmsg` `sendmmsg` `recvmmsg` | the same with `MSG_DONTWAIT` |",
    "| `poll` `epoll_wait` `epoll_pwait` | the same with a timeout of 0 |",
    "| `stat` `lstat` `fstat` `newfstatat` `statx` `statfs` `fstatfs` | the path is walked by `openat2` with `O_PATH` and `RESOLVE_CACHED`; what it leads to is told if its file system is one in memory, or one of a disk, whose cached metadata does not wait |",
    "| `access` `faccessat` `faccessat2` | likewise; where the file may have an access control list that is on a disk, only whether it exists |",
    "| `readlink` `readlinkat` | likewise; in memory, and on ext4 what is shorter than 60 bytes |",
    "| `open` `openat` `openat2` `creat` | likewise for an existing regular file or directory, then by `openat2` with `RESOLVE_CACHED` and `O_NONBLOCK`; with `O_CREAT` or `O_TRUNC` in memory only |",
    "| `unlink` `rmdir` `mkdir` `rename` `link` `symlink` and their `at` forms | in memory only: the directory is found as above |",
    "| `getdents64` `fsync` `fdatasync` `ftruncate` `fallocate` `fchmod` `fchown` | in memory only |",
    "| `close` | where it cannot wait: pipes, sockets that do not linger, event descriptors, what is only read on a disk and has a name, what is in memory |",
    "",
    "Which file system it is `statx` with `AT_STATX_DONT_SYNC` and `statmount` tell (before Linux 6.8 `/proc/self/mountinfo`): it is never asked itself, so FUSE, NFS and their like are always left to another thread. While one is mounted that may ask its server even so (NFS, 9P, CIFS, OCFS2 …), only absolute paths that stay on the root file system are walked. What no program can see, and what therefore stays able to hold up the JavaScript thread: a listener of `fanotify` that is asked for permission; memory that was swapped out; an access time that a read or an access control list that an open has to fetch from the disk; a file system on top of another (overlayfs) whose lower one is a server's; `ioctl`, whose requests nobody knows all.",
    "",
    "Transfers of more than 1 MiB, and of more than 256 KiB of random numbers, go to another thread, at once or with what is left of them. After an `EAGAIN`, `fcntl(F_GETFL)` tells whether the descriptor is non-blocking, and that the answer. `fcntl` itself is made on another thread with `F_SETLKW` and `F_OFD_SETLKW`, `mmap` with `MAP_POPULATE` and `MAP_LOCKED`.",
    "",
    "The kernel version is that of syscalls(2), 1.0 for what was always there.",
    "",
    "| call | x86_64 | aarch64 | riscv64 | subject | function | way | since | errors |",
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ...rows,
    ""
  ].join("\n")
}
