/** A file system in user space whose daemon stalls on command, for tests of what a server that does not answer holds up. */

import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmdirSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"

// The least that /dev/fuse needs for one directory with one file `file` of 64 KiB. Nothing is cached: every question comes
// here. Stopping the process (SIGSTOP) is the stall.
const daemon = String.raw`
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
at = sys.argv[1]
fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
options = b"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % fuse
if libc.mount(b"stall", at.encode(), b"fuse.stall", 0, options) != 0:
    print("cannot mount:", os.strerror(ctypes.get_errno()), flush=True)
    sys.exit(1)
print("mounted", flush=True)
SIZE = 65536
def attributes(node):
    directory = node == 1
    return struct.pack("<QQQQQQIIIIIIIIII", node, 0 if directory else SIZE, 0, 0, 0, 0, 0, 0, 0,
        0o40755 if directory else 0o100644, 2 if directory else 1, 0, 0, 0, 4096, 0)
def entry(node, name):
    name = name.encode()
    head = struct.pack("<QQII", node, node, len(name), 4) + name
    return head + b"\0" * (-len(head) % 8)
while True:
    try:
        request = os.read(fuse, 1 << 20 | 4096)
    except OSError as error:
        if error.errno == 4: continue
        break
    length, operation, unique, node = struct.unpack_from("<IIQQ", request)
    body = request[40:]
    error, reply = 0, b""
    if operation == 26:
        reply = struct.pack("<IIIIHHIIHHII24x", 7, 31, 65536, 0, 12, 10, 65536, 1, 0, 0, 0, 0)
    elif operation == 1:
        if body.rstrip(b"\0") == b"file": reply = struct.pack("<QQQQII", 2, 0, 0, 0, 0, 0) + attributes(2)
        else: error = -2
    elif operation in (3, 4): reply = struct.pack("<QII", 0, 0, 0) + attributes(node)
    elif operation in (14, 27): reply = struct.pack("<QII", 1, 0, 0)
    elif operation == 15:
        offset, size = struct.unpack_from("<QI", body, 8)
        reply = b"x" * max(0, min(size, SIZE - offset))
    elif operation == 16: reply = struct.pack("<II", struct.unpack_from("<I", body, 16)[0], 0)
    elif operation == 17: reply = struct.pack("<QQQQQIIII24x", 1000, 500, 500, 10, 10, 4096, 255, 4096, 0)
    elif operation == 28:
        if struct.unpack_from("<Q", body, 8)[0] == 0: reply = entry(2, "file")
    elif operation in (18, 25, 29, 30, 20): pass
    elif operation in (2, 36, 42): continue
    else: error = -38
    try: os.write(fuse, struct.pack("<IiQ", 16 + len(reply), error, unique) + reply)
    except OSError: pass
`

/** The mounted file system. */
export interface Stalling {
  readonly path: string
  /** The daemon answers nothing any more until it is told to go on. */
  readonly stop: () => void
  readonly go: () => void
}

/** Why there can be no such file system here; undefined where there can. */
export const whyNoFuse = (): string | undefined =>
  process.getuid?.() !== 0 ? "mounting needs root" : existsSync("/dev/fuse") ? undefined : "there is no /dev/fuse"

const started = (child: ChildProcess): Promise<string> =>
  new Promise((resolve) => {
    let text = ""
    child.stdout?.on("data", (chunk) => {
      text += String(chunk)
      if (text.includes("\n")) resolve(text)
    })
    child.on("error", (error) => resolve(String(error)))
    child.on("exit", () => resolve(text))
  })

/** The connection's number, as /sys/fs/fuse/connections has it: the minor number of the mount's device. */
const connectionOf = (path: string): string | undefined =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .find((fields) => fields[4] === path)?.[2]
    ?.split(":")[1]

/** Ends what still waits for the daemon, should there be anything. */
const abort = (connection: string | undefined) => {
  try {
    if (connection !== undefined) writeFileSync(`/sys/fs/fuse/connections/${connection}/abort`, "1")
  } catch {
    // It has gone already.
  }
}

/** Mounts it for as long as a scope is open. Killing the daemon ends every request, so nothing can hang for good. */
export const stalling = Effect.acquireRelease(
  Effect.promise(async () => {
    const path = mkdtempSync(join(tmpdir(), "effect-linux-fuse-"))
    const child = spawn("python3", ["-c", daemon, path], { stdio: ["ignore", "pipe", "inherit"] })
    const said = await started(child)
    const files: Stalling = {
      path,
      stop: () => child.kill("SIGSTOP"),
      go: () => child.kill("SIGCONT")
    }
    return { ...files, child, connection: connectionOf(path), mounted: said.startsWith("mounted"), said }
  }),
  ({ child, connection, path }) =>
    Effect.promise(async () => {
      const gone = child.exitCode !== null || child.signalCode !== null
      const exit = gone ? undefined : new Promise((resolve) => child.on("exit", resolve))
      child.kill("SIGKILL")
      await exit
      abort(connection)
      // Lazily, by another process: nothing here may wait for it.
      await new Promise((resolve) => spawn("umount", ["-l", path], { stdio: "ignore" }).on("close", resolve))
      try {
        rmdirSync(path)
      } catch {
        // Left in the temporary directory.
      }
    })
)
