// Which kind of file system is behind a descriptor, and what that says of calls on it: found without asking the file
// system, which may be on a server that does not answer. Nothing here knows of JavaScript.
#ifndef EFFECT_LINUX_FILESYSTEM_H_
#define EFFECT_LINUX_FILESYSTEM_H_

#include <linux/stat.h>

#include <cstdint>

namespace effect_linux {

long Make(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0);

// What calls on a file system can wait for.
enum class Kind : uint8_t {
  kOther,   // anything: a server, a process, a driver
  kLocal,   // a disk, but not for the metadata of an inode that is in memory
  kMemory,  // nothing
};

// What is known of a descriptor. JavaScript keeps them with the File and passes them back.
namespace trait {
constexpr int kKnown = 1;           // the others were found out
constexpr int kPollable = 2;        // readiness can be waited for
constexpr int kPlain = 4;           // a regular file in memory: the plain call never waits
constexpr int kNoNowait = 8;        // RWF_NOWAIT is refused for reads
constexpr int kNoNowaitWrite = 16;  // and for writes
constexpr int kDirect = 32;         // O_DIRECT: RWF_NOWAIT does not keep a read from waiting for the disk
constexpr int kCloseHere = 64;      // closing does not wait, but for what must be looked at when it comes to it
constexpr int kLocal = 128;         // on a local file system: metadata does not wait
constexpr int kMemory = 256;        // on a file system in memory
constexpr int kSocket = 512;        // a socket: whether it lingers must be looked at before it is closed here
constexpr int kStream = 4096;      // a socket of a stream
constexpr int kEmptied = 2048;     // such a socket whose last receive came back short: there may be nothing more
constexpr int kLearn = 1024;        // in only: find them out even if this call could do without
}  // namespace trait

// statx of the file itself, of what the kernel has at hand, and which kind of file system it is on. `wanted` beyond the
// type, mode, owner and link count is filled in for certain only where that is not kOther. False: nothing is known.
bool Look(int fd, unsigned wanted, struct statx* status, Kind* kind);

// Given what Look found, the traits of an open descriptor. `flags` are those it was opened with, -1 where not known.
int TraitsOf(int fd, const struct statx& status, Kind kind, long flags = -1);

// The same from nothing; kKnown is always among them.
int FindTraits(int fd);

// Whether paths can be walked with RESOLVE_CACHED without waiting: the kernel knows it, and `resolve` says what must be
// added. False: leave it.
bool CachedWalk(bool from_root, uint64_t* resolve);

// The kind of a descriptor as kernels before 6.8 let it be found, by reading the table of mounts: for tests.
Kind KindByTable(int fd);

}  // namespace effect_linux

#endif  // EFFECT_LINUX_FILESYSTEM_H_
