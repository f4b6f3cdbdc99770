#include "filesystem.h"

#include <asm/unistd.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <unordered_map>

#include "stub.h"

namespace effect_linux {

long Make(long number, long a, long b, long c, long d, long e, long f) { return Invoke({number, {a, b, c, d, e, f}}); }

namespace {

// Newer than the headers that we may be built with.
#ifndef AT_STATX_DONT_SYNC
#define AT_STATX_DONT_SYNC 0x4000
#endif
#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif
constexpr unsigned kStatxMountId = 0x1000;
constexpr unsigned kStatxMountIdUnique = 0x4000;
constexpr long kStatmount = 457;  // on every architecture that numbers its calls as the generic table does since 5.1
constexpr uint64_t kStatmountSuperBlock = 1;
constexpr int kGetSeals = 1034;
constexpr int kGetPipeSize = 1032;

struct MountRequest {
  uint32_t size;
  uint32_t spare;
  uint64_t mount;
  uint64_t parameter;
};

struct MountAnswer {
  uint32_t size;
  uint32_t options;
  uint64_t mask;
  uint32_t device_major;
  uint32_t device_minor;
  uint64_t magic;
  uint8_t rest[512 - 32];
};

// Not asked for: sizes and times, which some network file systems write back dirty pages to answer.
constexpr unsigned kHarmless = STATX_TYPE | STATX_MODE | STATX_NLINK | STATX_UID | STATX_GID | STATX_INO;

const char* const kMemoryNames[] = {"tmpfs", "ramfs", "hugetlbfs", "devtmpfs", "rootfs"};

const char* const kLocalNames[] = {"ext2", "ext3",     "ext4",    "xfs",  "btrfs", "f2fs",    "bcachefs", "zfs",
                                   "erofs", "squashfs", "iso9660", "vfat", "msdos", "exfat",   "ntfs3",    "overlay",
                                   "jfs",   "reiserfs", "nilfs2",  "udf",  "minix", "hfsplus", "cramfs",   "romfs"};

// Others whose statx, told not to synchronise, and whose cached walks ask nobody.
const char* const kQuietNames[] = {
    "proc",       "sysfs",     "devpts",    "cgroup",  "cgroup2",     "bpf",      "tracefs",   "debugfs",
    "securityfs", "pstore",    "efivarfs",  "mqueue",  "configfs",    "fusectl",  "selinuxfs", "binfmt_misc",
    "nsfs",       "autofs",    "fuse",      "fuseblk", "virtiofs",    "resctrl",  "sockfs",    "pipefs",
    "bdev",       "secretmem", "anon_inodefs", "pidfs", "rpc_pipefs", "cpuset"};

template <size_t n>
bool Among(const char* const (&names)[n], const char* name) {
  for (const char* known : names) {
    if (strcmp(known, name) == 0) return true;
  }
  return false;
}

Kind KindOfName(const char* name) {
  if (Among(kMemoryNames, name)) return Kind::kMemory;
  return Among(kLocalNames, name) ? Kind::kLocal : Kind::kOther;
}

Kind KindOfMagic(uint64_t magic) {
  switch (magic) {
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
    case HUGETLBFS_MAGIC: return Kind::kMemory;
    case EXT4_SUPER_MAGIC:  // and ext2 and ext3
    case 0x58465342:        // xfs
    case BTRFS_SUPER_MAGIC:
    case F2FS_SUPER_MAGIC:
    case 0xca451a4e:  // bcachefs
    case 0x2fc12fc1:  // zfs
    case 0xe0f5e1e2:  // erofs
    case SQUASHFS_MAGIC:
    case ISOFS_SUPER_MAGIC:
    case MSDOS_SUPER_MAGIC:
    case 0x2011bab0:  // exfat
    case 0x7366746e:  // ntfs3
    case OVERLAYFS_SUPER_MAGIC:
    case 0x3153464a:  // jfs
    case REISERFS_SUPER_MAGIC:
    case NILFS_SUPER_MAGIC:
    case 0x15013346:  // udf
    case 0x482b:      // hfsplus
    case CRAMFS_MAGIC:
    case 0x7275: return Kind::kLocal;  // romfs
    default: return Kind::kOther;
  }
}

struct Mount {
  Kind kind;
  uint64_t device;
  bool quiet;
};

// /proc/self/mountinfo, read at most once a second.
class Table {
 public:
  // Whether some mounted file system is not known to answer statx and cached walks without asking a server.
  bool Stubborn() {
    Refresh();
    return stubborn_;
  }
  bool RootIsStubborn() {
    Refresh();
    return root_stubborn_;
  }
  // Without a device: by the number alone.
  Kind Find(uint64_t mount, const uint64_t* device) {
    Refresh();
    const auto found = mounts_.find(mount);
    if (found == mounts_.end() || (device != nullptr && *device != found->second.device)) return Kind::kOther;
    return found->second.kind;
  }
  Kind FindDevice(uint64_t device) {
    Refresh();
    for (const auto& entry : mounts_) {
      if (entry.second.device == device) return entry.second.kind;
    }
    return Kind::kOther;
  }

 private:
  static int64_t Now() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return static_cast<int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1000000;
  }

  void Refresh() {
    const int64_t now = Now();
    if (read_ && now - at_ < kept_) return;
    timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    Read();
    clock_gettime(CLOCK_MONOTONIC, &to);
    // With thousands of mounts reading takes long: no more than a hundredth of the time is spent on it.
    const int64_t took = (to.tv_sec - from.tv_sec) * 1000 + (to.tv_nsec - from.tv_nsec) / 1000000;
    kept_ = took < 10 ? 1000 : took * 100;
    at_ = now;
    read_ = true;
  }

  void Read() {
    mounts_.clear();
    stubborn_ = root_stubborn_ = true;
    FILE* file = fopen("/proc/self/mountinfo", "re");
    if (file == nullptr) return;
    stubborn_ = root_stubborn_ = false;
    char* line = nullptr;
    size_t room = 0;
    while (getline(&line, &room, file) > 0) Add(line);
    free(line);
    fclose(file);
  }

  // 36 35 98:0 /root /point options [tags] - type source options
  void Add(char* line) {
    unsigned long id = 0;
    unsigned major_number = 0, minor_number = 0;
    int at = 0;
    char* type = strstr(line, " - ");
    if (type == nullptr || sscanf(line, "%lu %*u %u:%u %*s %n", &id, &major_number, &minor_number, &at) < 3) return;
    type += 3;
    type[strcspn(type, " \n")] = '\0';
    const char* dot = strchr(type, '.');
    const std::string name(type, dot == nullptr ? strlen(type) : static_cast<size_t>(dot - type));
    const Kind kind = KindOfName(type);
    const bool quiet = kind != Kind::kOther || Among(kQuietNames, name.c_str());
    mounts_[id] = {kind, makedev(major_number, minor_number), quiet};
    if (!quiet) stubborn_ = true;
    // Later lines are mounted over earlier ones.
    if (at > 0 && strncmp(line + at, "/ ", 2) == 0) root_stubborn_ = !quiet;
  }

  std::unordered_map<uint64_t, Mount> mounts_;
  bool stubborn_ = true;
  bool root_stubborn_ = true;
  bool read_ = false;
  int64_t at_ = 0;
  int64_t kept_ = 1000;
};

struct Unique {
  Kind kind;
  uint64_t old_id;
};

// Shared by all environments of the process, and never destroyed: a worker may outlive the main thread's exit handlers.
struct Shared {
  std::mutex mutex;
  Table table;
  std::unordered_map<uint64_t, Unique> unique;  // by the id that is never used again
};

Shared& State() {
  static Shared* const shared = new Shared;
  return *shared;
}

std::atomic<bool> no_statmount{false};
std::atomic<bool> no_unique{false};

long Statx(int fd, unsigned mask, struct statx* status) {
  static const char empty[] = "";
  return Make(__NR_statx, fd, reinterpret_cast<long>(empty), AT_EMPTY_PATH | AT_STATX_DONT_SYNC, mask,
              reinterpret_cast<long>(status));
}

uint64_t DeviceOf(const struct statx& status) { return makedev(status.stx_dev_major, status.stx_dev_minor); }

// A file of tmpfs or hugetlbfs can have seals, wherever it is mounted: a memfd nowhere.
bool TakesSeals(int fd) { return Make(__NR_fcntl, fd, kGetSeals) >= 0; }

bool AskMount(uint64_t mount, Kind* kind) {
  MountRequest request = {sizeof request, 0, mount, kStatmountSuperBlock};
  MountAnswer answer;
  const long result =
      Make(kStatmount, reinterpret_cast<long>(&request), reinterpret_cast<long>(&answer), sizeof answer, 0);
  if (result == -ENOSYS || result == -EPERM) {
    // Forbidden by a filter, or for this mount alone: the table of mounts serves as well.
    if (result == -ENOSYS) no_statmount = true;
    return false;
  }
  *kind = result == 0 && (answer.mask & kStatmountSuperBlock) != 0 ? KindOfMagic(answer.magic) : Kind::kOther;
  return true;
}

// The id that mountinfo has, of a mount that has a unique one.
uint64_t OldId(int fd) {
  struct statx status;
  return Statx(fd, STATX_TYPE | kStatxMountId, &status) == 0 && (status.stx_mask & kStatxMountId) != 0
             ? *reinterpret_cast<const uint64_t*>(reinterpret_cast<const char*>(&status) + 0x90)
             : 0;
}

uint64_t& MountIdOf(struct statx& status) {
  // stx_mnt_id, which older headers do not have.
  return *reinterpret_cast<uint64_t*>(reinterpret_cast<char*>(&status) + 0x90);
}

// mnt_id of /proc/self/fdinfo, which asks no file system; 0 where there is none.
uint64_t MountIdOfInfo(int fd) {
  char path[48], text[512];
  snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
  const long info = Make(__NR_openat, AT_FDCWD, reinterpret_cast<long>(path), O_RDONLY | O_CLOEXEC);
  if (info < 0) return 0;
  const long length = Make(__NR_read, info, reinterpret_cast<long>(text), sizeof text - 1);
  Make(__NR_close, info);
  if (length <= 0) return 0;
  text[length] = '\0';
  const char* found = strstr(text, "mnt_id:");
  return found == nullptr ? 0 : strtoull(found + 7, nullptr, 10);
}

bool IsAnonymous(int fd) {
  char path[48], text[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  const long length = Make(__NR_readlinkat, AT_FDCWD, reinterpret_cast<long>(path), reinterpret_cast<long>(text), sizeof text);
  return length >= 11 && memcmp(text, "anon_inode:", 11) == 0;
}

bool IsSocket(int fd) {
  int type = 0;
  socklen_t length = sizeof type;
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0;
}

// Where statx may ask a server whatever it is told: what can be known without.
bool LookAside(int fd, unsigned wanted, struct statx* status, Kind* kind) {
  if (*kind == Kind::kOther && TakesSeals(fd)) *kind = Kind::kMemory;
  if (*kind == Kind::kOther && Make(__NR_fcntl, fd, kGetPipeSize) < 0 && !IsSocket(fd) && !IsAnonymous(fd)) return false;
  return Statx(fd, kHarmless | wanted, status) == 0;
}

Kind KindOf(int fd, const struct statx& status, uint64_t mount, bool has_id, bool unique, Shared& shared, uint64_t* old_id) {
  if (unique) {
    const auto found = shared.unique.find(mount);
    if (found != shared.unique.end()) {
      *old_id = found->second.old_id;
      return found->second.kind;
    }
    *old_id = OldId(fd);
    Kind kind;
    if (no_statmount || !AskMount(mount, &kind)) {
      const uint64_t device = DeviceOf(status);
      return shared.table.Find(*old_id, &device);
    }
    shared.unique[mount] = {kind, *old_id};
    return kind;
  }
  *old_id = mount;
  const uint64_t device = DeviceOf(status);
  return has_id ? shared.table.Find(mount, &device) : shared.table.FindDevice(device);
}

}  // namespace

bool Look(int fd, unsigned wanted, struct statx* status, Kind* kind) {
  Shared& shared = State();
  // Not held while the file system is asked, should one of them wait after all.
  std::unique_lock<std::mutex> lock(shared.mutex);
  if (shared.table.Stubborn()) {
    *kind = shared.table.Find(MountIdOfInfo(fd), nullptr);
    lock.unlock();
    return LookAside(fd, wanted & ~kStatxMountIdUnique, status, kind);
  }
  lock.unlock();
  const unsigned id = no_unique ? kStatxMountId : kStatxMountIdUnique;
  if (Statx(fd, kHarmless | (wanted & ~kStatxMountId) | id, status) != 0) return false;
  const bool unique = (status->stx_mask & kStatxMountIdUnique) != 0;
  const bool has_id = unique || (status->stx_mask & kStatxMountId) != 0;
  if (!unique) no_unique = true;
  uint64_t old_id = 0;
  lock.lock();
  *kind = KindOf(fd, *status, MountIdOf(*status), has_id, unique, shared, &old_id);
  lock.unlock();
  if (*kind == Kind::kOther && (S_ISREG(status->stx_mode)) && TakesSeals(fd)) *kind = Kind::kMemory;
  // What a caller who did not ask for the unique id is to see.
  if (unique && (wanted & kStatxMountIdUnique) == 0) {
    status->stx_mask &= ~kStatxMountIdUnique;
    status->stx_mask |= kStatxMountId;
    MountIdOf(*status) = old_id;
  }
  return true;
}

namespace {

// Drivers whose poll is known to answer at once. One of a server (CUSE) has a number of its own and is not among them.
bool PollsAtOnce(unsigned major_number) {
  switch (major_number) {
    case 4:    // terminals
    case 5:    // /dev/tty, /dev/ptmx
    case 10:   // misc
    case 13:   // input
    case 188:  // USB serial lines
    case 204:  // serial lines
    case 229:  // hypervisor consoles
      return true;
    default: return major_number >= 136 && major_number <= 143;  // pseudo terminals
  }
}

// Closing inotify and fanotify waits for a grace period, a virtual machine or a BPF program is taken apart, and so on.
bool ClosesAtOnce(int fd) {
  static const char* const names[] = {"[eventfd]", "[timerfd]", "[signalfd]", "[eventpoll]", "[pidfd]"};
  char path[48], text[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  const long length =
      Make(__NR_readlinkat, AT_FDCWD, reinterpret_cast<long>(path), reinterpret_cast<long>(text), sizeof text - 1);
  if (length < 11) return false;
  text[length] = '\0';
  for (const char* name : names) {
    if (strcmp(text + 11, name) == 0) return true;
  }
  return false;
}

}  // namespace

int TraitsOf(int fd, const struct statx& status, Kind kind, long flags) {
  int traits = trait::kKnown;
  // What a character device gives is its driver's: the file system has its name only.
  if (!S_ISCHR(status.stx_mode)) {
    if (kind == Kind::kLocal) traits |= trait::kLocal;
    if (kind == Kind::kMemory) traits |= trait::kMemory;
  }
  if (flags < 0) flags = Make(__NR_fcntl, fd, F_GETFL);
  if (flags < 0) return traits;
  // Only a handle on a name: it is no open file.
  if ((flags & O_PATH) != 0) return traits | trait::kCloseHere;
  const bool reads_only = (flags & O_ACCMODE) == O_RDONLY;
  switch (status.stx_mode & S_IFMT) {
    case S_IFREG:
      if (kind == Kind::kMemory) traits |= trait::kPlain | trait::kCloseHere;
      if (kind == Kind::kLocal && reads_only) traits |= trait::kCloseHere;
      if (kind != Kind::kMemory && (flags & O_DIRECT) != 0) traits |= trait::kDirect;
      // A write is followed by a wait for the disk.
      if (kind != Kind::kMemory && (flags & O_DSYNC) != 0) traits |= trait::kNoNowaitWrite;
      break;
    case S_IFDIR:
      if (kind != Kind::kOther) traits |= trait::kCloseHere;
      break;
    case S_IFIFO: traits |= trait::kPollable | trait::kCloseHere; break;
    case S_IFSOCK: traits |= trait::kPollable | trait::kCloseHere | trait::kSocket; break;
    case S_IFCHR:
      if (PollsAtOnce(status.stx_rdev_major)) traits |= trait::kPollable;
      if (status.stx_rdev_major == 1) traits |= trait::kCloseHere;
      break;
    case S_IFBLK:
      if ((flags & O_DIRECT) != 0) traits |= trait::kDirect;
      if ((flags & O_DSYNC) != 0) traits |= trait::kNoNowaitWrite;
      break;
    case 0:
      traits |= trait::kPollable;
      if (ClosesAtOnce(fd)) traits |= trait::kCloseHere;
      break;
    default: break;
  }
  return traits;
}

int FindTraits(int fd) {
  struct statx status;
  Kind kind = Kind::kOther;
  return Look(fd, 0, &status, &kind) ? TraitsOf(fd, status, kind) : trait::kKnown;
}

bool CachedWalk(bool from_root, uint64_t* resolve) {
  // Unknown to the kernel, or forbidden by a filter.
  static const bool supported = [] {
    open_how how = {};
    how.flags = O_PATH | O_CLOEXEC;
    how.resolve = RESOLVE_CACHED;
    const long fd = Make(__NR_openat2, AT_FDCWD, reinterpret_cast<long>("/"), reinterpret_cast<long>(&how), sizeof how);
    if (fd >= 0) Make(__NR_close, fd);
    return fd >= 0 || fd == -EAGAIN;
  }();
  if (!supported) return false;
  Shared& shared = State();
  std::lock_guard<std::mutex> lock(shared.mutex);
  if (!shared.table.Stubborn()) return true;
  // The end of a walk may ask such a file system after all (its root, mostly): no walk must come to it. Of a relative path
  // it is not known where it starts.
  *resolve |= RESOLVE_NO_XDEV;
  return from_root && !shared.table.RootIsStubborn();
}

Kind KindByTable(int fd) {
  struct statx status;
  if (Statx(fd, kHarmless | kStatxMountId, &status) != 0) return Kind::kOther;
  Shared& shared = State();
  std::lock_guard<std::mutex> lock(shared.mutex);
  const uint64_t device = DeviceOf(status);
  return (status.stx_mask & kStatxMountId) != 0 ? shared.table.Find(MountIdOf(status), &device)
                                               : shared.table.FindDevice(device);
}

}  // namespace effect_linux
