#include "path.h"

#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>

#include <climits>
#include <cstring>

#include "filesystem.h"

namespace effect_linux {

namespace {

#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

// The kernel's O_LARGEFILE, which open and openat set by themselves on 64 bits and openat2 does not.
#if defined(__aarch64__) || defined(__arm__)
constexpr uint64_t kLargeFile = 0400000;
#else
constexpr uint64_t kLargeFile = 0100000;
#endif

// What is freed or zeroed without a thread: more memory takes long.
constexpr uint64_t kMostMemory = 16 << 20;

struct At {
  int directory;
  const char* path;
};

long PathWord(const char* path) { return reinterpret_cast<long>(path); }

// A path in memory that JavaScript gave, with its NUL: a number that is an address is for the kernel to look at.
bool PathAt(const Trial& trial, int index, const char** path) {
  if (static_cast<size_t>(index) + 1 >= trial.count) return false;
  size_t length = 0;
  void* data = nullptr;
  auto type = napi_int8_array;
  if (napi_get_typedarray_info(trial.env, trial.values[index + 1], &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array || length == 0 || length > PATH_MAX || memchr(data, 0, length) == nullptr) {
    return false;
  }
  *path = static_cast<const char*>(data);
  return true;
}

// A descriptor for as long as this lives.
class Probe {
 public:
  explicit Probe(long fd) : fd_(fd) {}
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;
  ~Probe() {
    if (fd_ >= 0) Make(__NR_close, fd_);
  }
  int fd() const { return static_cast<int>(fd_); }
  long result() const { return fd_; }
  // Gives this number to another file, whose own is closed: it is the lowest that was free before. Negative: neither.
  long Become(Probe* file, bool close_on_exec) {
    const long result = Make(__NR_dup3, file->fd_, fd_, close_on_exec ? O_CLOEXEC : 0);
    if (result >= 0) fd_ = -1;
    return result;
  }

 private:
  long fd_;
};

long OpenAt2(const At& at, uint64_t flags, uint64_t mode, uint64_t resolve) {
  open_how how = {};
  how.flags = flags;
  how.mode = mode;
  how.resolve = resolve;
  return Make(__NR_openat2, at.directory, PathWord(at.path), reinterpret_cast<long>(&how), sizeof how);
}

// The file that a path leads to, by what the kernel has cached; -EAGAIN where it cannot be told.
long Walk(const At& at, uint64_t flags, uint64_t resolve = 0) {
  if (!CachedWalk(at.path[0] == '/', &resolve)) return -EAGAIN;
  return OpenAt2(at, O_PATH | O_CLOEXEC | flags, 0, resolve | RESOLVE_CACHED);
}

// Whether an error of a cached walk is what every walk would end with.
bool IsFinal(long result) {
  return result == -ENOENT || result == -ENOTDIR || result == -EACCES || result == -ELOOP || result == -ENAMETOOLONG ||
         result == -EBADF;
}

Status Failed(Trial* trial, long result) {
  return IsFinal(result) ? Answer(trial, result) : Status::kWouldWait;
}

// ---------------------------------------------------------------------------------------------------------------------
// what is known of a file
// ---------------------------------------------------------------------------------------------------------------------

enum class Form { kStat, kStatx, kStatfs };

template <class Out, class In>
void SetTime(Out* out, const In& in) {
  out->tv_sec = in.tv_sec;
  out->tv_nsec = in.tv_nsec;
}

// As the kernel fills it.
void ToStat(const struct statx& from, struct stat* to) {
  memset(to, 0, sizeof *to);
  // The kernel's encoding of a device, which is glibc's.
  to->st_dev = (from.stx_dev_minor & 0xff) | (static_cast<uint64_t>(from.stx_dev_major) << 8) |
               (static_cast<uint64_t>(from.stx_dev_minor & ~0xffU) << 12);
  to->st_rdev = (from.stx_rdev_minor & 0xff) | (static_cast<uint64_t>(from.stx_rdev_major) << 8) |
                (static_cast<uint64_t>(from.stx_rdev_minor & ~0xffU) << 12);
  to->st_ino = from.stx_ino;
  to->st_mode = from.stx_mode;
  to->st_nlink = from.stx_nlink;
  to->st_uid = from.stx_uid;
  to->st_gid = from.stx_gid;
  to->st_size = static_cast<off_t>(from.stx_size);
  to->st_blksize = static_cast<blksize_t>(from.stx_blksize);
  to->st_blocks = static_cast<blkcnt_t>(from.stx_blocks);
  SetTime(&to->st_atim, from.stx_atime);
  SetTime(&to->st_mtim, from.stx_mtime);
  SetTime(&to->st_ctim, from.stx_ctime);
}

// Memory that JavaScript gave and that is written to here, not by the kernel: a call with a made-up address is left.
bool Room(const Trial& trial, int index, size_t size, void** out) {
  if (static_cast<size_t>(index) + 1 >= trial.count) return false;
  size_t length = 0;
  auto type = napi_int8_array;
  return napi_get_typedarray_info(trial.env, trial.values[index + 1], &type, &length, out, nullptr, nullptr) == napi_ok &&
         type == napi_uint8_array && length >= size;
}

// What statx is asked beyond what Look asks.
constexpr unsigned kEverything = STATX_BASIC_STATS;

// `fd` is a descriptor of the file, or a handle on it. `mask` counts for statx only.
Status Tell(Trial* trial, Form form, int fd, int out, unsigned mask) {
  if (form == Form::kStatfs) {
    struct statx status;
    Kind kind;
    if (!Look(fd, 0, &status, &kind) || kind == Kind::kOther) return Status::kWouldWait;
    return Answer(trial, Make(__NR_fstatfs, fd, (*trial)[out]));
  }
  void* room = nullptr;
  if (!Room(*trial, out, form == Form::kStatx ? sizeof(struct statx) : sizeof(struct stat), &room)) {
    return Status::kWouldWait;
  }
  struct statx status;
  Kind kind;
  if (!Look(fd, form == Form::kStatx ? mask : kEverything, &status, &kind) || kind == Kind::kOther) return Status::kWouldWait;
  if (form == Form::kStatx) {
    memcpy(room, &status, sizeof status);
  } else {
    ToStat(status, static_cast<struct stat*>(room));
  }
  return Answer(trial, 0);
}

Status TellPath(Trial* trial, Form form, const At& at, bool follow, int out, unsigned mask = 0) {
  const Probe probe(Walk(at, follow ? 0 : O_NOFOLLOW));
  if (probe.result() < 0) return Failed(trial, probe.result());
  return Tell(trial, form, probe.fd(), out, mask);
}

// Of the descriptor itself: one call, where its traits say that that does not wait.
Status TellDescriptor(Trial* trial, Form form, int out, unsigned mask = 0) {
  if (trial->fd() == AT_FDCWD) return Status::kWouldWait;
  if ((trial->traits & (trait::kLocal | trait::kMemory)) != 0) return Answer(trial, Invoke(trial->call));
  if ((trial->traits & trait::kKnown) != 0) return Status::kWouldWait;
  return Tell(trial, form, trial->fd(), out, mask);
}

Status Newfstatat(Trial* trial) {
  const char* path;
  const long flags = static_cast<int>((*trial)[3]);
  if ((flags & ~(AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH)) != 0) return Status::kWouldWait;
  if (!PathAt(*trial, 1, &path)) return Status::kWouldWait;
  if (*path == '\0' && (flags & AT_EMPTY_PATH) != 0) return TellDescriptor(trial, Form::kStat, 2);
  return TellPath(trial, Form::kStat, {trial->fd(), path}, (flags & AT_SYMLINK_NOFOLLOW) == 0, 2);
}

Status Statx(Trial* trial) {
  const char* path;
  const long flags = static_cast<int>((*trial)[2]);
  const auto mask = static_cast<unsigned>((*trial)[3]);
  constexpr long known = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC;
  constexpr unsigned reserved = 0x80000000U;
  if ((flags & ~known) != 0 || (flags & AT_STATX_FORCE_SYNC) != 0 || (mask & reserved) != 0) return Status::kWouldWait;
  if (!PathAt(*trial, 1, &path)) return Status::kWouldWait;
  if (*path == '\0' && (flags & AT_EMPTY_PATH) != 0) return TellDescriptor(trial, Form::kStatx, 4, mask);
  return TellPath(trial, Form::kStatx, {trial->fd(), path}, (flags & AT_SYMLINK_NOFOLLOW) == 0, 4, mask);
}

// ---------------------------------------------------------------------------------------------------------------------
// permissions
// ---------------------------------------------------------------------------------------------------------------------

// access(2) asks for the real user, and a walk is the effective one's: whether they are the same. Root's answers may then
// still differ in what a walk is refused, of which `root` tells.
bool RealIsEffective(bool* root) {
  const long user = Make(__NR_getuid);
  *root = user == 0;
  if (Make(__NR_setfsuid, -1) != user || Make(__NR_setfsgid, -1) != Make(__NR_getgid)) return false;
  if (*root) return true;
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  return Make(__NR_capget, reinterpret_cast<long>(&header), reinterpret_cast<long>(data)) == 0 &&
         data[0].effective == 0 && data[1].effective == 0;
}

Status Access(Trial* trial, const At& at, int mode, int flags) {
  constexpr int effective = 0x200;  // AT_EACCESS
  if ((mode & ~7) != 0 || (flags & ~(effective | AT_SYMLINK_NOFOLLOW)) != 0) return Status::kWouldWait;
  bool root = false;
  if ((flags & effective) == 0 && !RealIsEffective(&root)) return Status::kWouldWait;
  const Probe probe(Walk(at, (flags & AT_SYMLINK_NOFOLLOW) == 0 ? 0 : O_NOFOLLOW));
  if (probe.result() < 0) {
    return root && probe.result() == -EACCES ? Status::kWouldWait : Failed(trial, probe.result());
  }
  if (mode == F_OK) return Answer(trial, 0);
  struct statx status;
  Kind kind;
  if (!Look(probe.fd(), 0, &status, &kind) || kind == Kind::kOther) return Status::kWouldWait;
  // With bits for the group there may be an access control list, and that may have to be read from the disk.
  const bool unlisted = status.stx_uid == static_cast<unsigned>(Make(__NR_setfsuid, -1)) || (status.stx_mode & 070) == 0;
  if (kind != Kind::kMemory && !unlisted) return Status::kWouldWait;
  const long result = Make(__NR_faccessat2, probe.fd(), PathWord(""), mode, (flags & effective) | AT_EMPTY_PATH);
  // A filter's answers, or an older kernel's.
  if (result == -ENOSYS || result == -EPERM || result == -EINVAL) return Status::kWouldWait;
  return Answer(trial, result);
}

// ---------------------------------------------------------------------------------------------------------------------
// symbolic links
// ---------------------------------------------------------------------------------------------------------------------

// Reading a link sets its time of access, at most once a day: on a disk that begins a transaction, which may wait.
bool TimeIsRecent(const struct statx& status) {
  const auto later = [](const statx_timestamp& a, const statx_timestamp& b) {
    return a.tv_sec > b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec > b.tv_nsec);
  };
  timespec now;
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  constexpr int64_t nearly_a_day = 23 * 3600;
  return later(status.stx_atime, status.stx_mtime) && later(status.stx_atime, status.stx_ctime) &&
         now.tv_sec - status.stx_atime.tv_sec < nearly_a_day;
}

Status Readlink(Trial* trial, const At& at, int out) {
  const long buffer = (*trial)[out];
  const long size = static_cast<int>((*trial)[out + 1]);
  if (size <= 0 || *at.path == '\0') return Status::kWouldWait;
  const Probe probe(Walk(at, O_NOFOLLOW));
  if (probe.result() < 0) return Failed(trial, probe.result());
  struct statx status;
  Kind kind;
  if (!Look(probe.fd(), kEverything, &status, &kind) || kind == Kind::kOther) return Status::kWouldWait;
  if (!S_ISLNK(status.stx_mode)) return Answer(trial, -EINVAL);
  if (kind == Kind::kLocal) {
    // A short link of ext4 stands in its inode.
    constexpr uint64_t encrypted = 0x800;
    if (status.stx_size >= 60 || (status.stx_attributes & encrypted) != 0 || !TimeIsRecent(status)) {
      return Status::kWouldWait;
    }
    struct statfs system;
    if (Make(__NR_fstatfs, probe.fd(), reinterpret_cast<long>(&system)) != 0 || system.f_type != EXT4_SUPER_MAGIC) {
      return Status::kWouldWait;
    }
  }
  return Answer(trial, Make(__NR_readlinkat, probe.fd(), PathWord(""), buffer, size));
}

// ---------------------------------------------------------------------------------------------------------------------
// the directory that a name is changed in
// ---------------------------------------------------------------------------------------------------------------------

// A path cut before its last name.
struct Cut {
  char parent[PATH_MAX];
  const char* last;
};

// False for what is no plain name at the end: "", ".", "..", a slash.
bool CutPath(const char* path, Cut* cut) {
  const size_t length = strnlen(path, PATH_MAX);
  if (length == 0 || length >= PATH_MAX || path[length - 1] == '/') return false;
  const char* slash = strrchr(path, '/');
  cut->last = slash == nullptr ? path : slash + 1;
  if (strcmp(cut->last, ".") == 0 || strcmp(cut->last, "..") == 0) return false;
  if (slash == nullptr) {
    strcpy(cut->parent, ".");
  } else {
    const size_t before = slash == path ? 1 : static_cast<size_t>(slash - path);
    memcpy(cut->parent, path, before);
    cut->parent[before] = '\0';
  }
  return true;
}

// The directory in which a path's last name stands.
long OpenParent(int directory, const Cut& cut, uint64_t resolve = 0) {
  return Walk({directory, cut.parent}, O_DIRECTORY, resolve);
}

bool InMemory(const Probe& directory) {
  struct statx status;
  Kind kind;
  return directory.result() >= 0 && Look(directory.fd(), 0, &status, &kind) && kind == Kind::kMemory;
}

enum class Name { kAbsent, kSmall, kOther };

// What has a name in a directory in memory: nothing, or what is freed in no time.
Name NameIn(const Probe& directory, const char* name, bool regular) {
  const Probe probe(OpenAt2({directory.fd(), name}, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, RESOLVE_NO_XDEV));
  if (probe.result() == -ENOENT) return Name::kAbsent;
  if (probe.result() < 0) return Name::kOther;
  struct statx status;
  Kind kind;
  if (!Look(probe.fd(), STATX_SIZE | STATX_BLOCKS, &status, &kind) || kind != Kind::kMemory) return Name::kOther;
  if (regular && !S_ISREG(status.stx_mode)) return Name::kOther;
  return status.stx_blocks * 512 <= kMostMemory ? Name::kSmall : Name::kOther;
}

Status Unlink(Trial* trial, const At& at, int flags) {
  Cut cut;
  if ((flags & ~AT_REMOVEDIR) != 0 || !CutPath(at.path, &cut)) return Status::kWouldWait;
  const Probe parent(OpenParent(at.directory, cut));
  if (parent.result() < 0) return Failed(trial, parent.result());
  if (!InMemory(parent) || NameIn(parent, cut.last, false) == Name::kOther) return Status::kWouldWait;
  return Answer(trial, Make(__NR_unlinkat, parent.fd(), PathWord(cut.last), flags));
}

Status MakeDirectory(Trial* trial, const At& at, long mode) {
  Cut cut;
  if (!CutPath(at.path, &cut)) return Status::kWouldWait;
  const Probe parent(OpenParent(at.directory, cut));
  if (parent.result() < 0) return Failed(trial, parent.result());
  if (!InMemory(parent)) return Status::kWouldWait;
  return Answer(trial, Make(__NR_mkdirat, parent.fd(), PathWord(cut.last), mode));
}

Status Symlink(Trial* trial, const char* target, const At& at) {
  Cut cut;
  if (*target == '\0' || strnlen(target, PATH_MAX) >= PATH_MAX || !CutPath(at.path, &cut)) return Status::kWouldWait;
  const Probe parent(OpenParent(at.directory, cut));
  if (parent.result() < 0) return Failed(trial, parent.result());
  if (!InMemory(parent)) return Status::kWouldWait;
  return Answer(trial, Make(__NR_symlinkat, PathWord(target), parent.fd(), PathWord(cut.last)));
}

// Which error comes first when both paths lead nowhere is left to the kernel.
Status Rename(Trial* trial, const At& from, const At& to, unsigned flags) {
  constexpr unsigned exchange = 2, known = 7;
  Cut old_cut, new_cut;
  if ((flags & ~known) != 0 || ((flags & exchange) != 0 && flags != exchange)) return Status::kWouldWait;
  if (!CutPath(from.path, &old_cut) || !CutPath(to.path, &new_cut)) return Status::kWouldWait;
  const Probe old_parent(OpenParent(from.directory, old_cut));
  if (!InMemory(old_parent)) return Status::kWouldWait;
  const Probe new_parent(OpenParent(to.directory, new_cut));
  if (!InMemory(new_parent) || NameIn(new_parent, new_cut.last, false) == Name::kOther) return Status::kWouldWait;
  return Answer(trial, Make(__NR_renameat2, old_parent.fd(), PathWord(old_cut.last), new_parent.fd(),
                            PathWord(new_cut.last), flags));
}

Status Link(Trial* trial, const At& from, const At& to, long flags) {
  Cut old_cut, new_cut;
  if (flags != 0 || !CutPath(from.path, &old_cut) || !CutPath(to.path, &new_cut)) return Status::kWouldWait;
  const Probe old_parent(OpenParent(from.directory, old_cut));
  if (!InMemory(old_parent)) return Status::kWouldWait;
  const Probe new_parent(OpenParent(to.directory, new_cut));
  if (!InMemory(new_parent)) return Status::kWouldWait;
  return Answer(trial, Make(__NR_linkat, old_parent.fd(), PathWord(old_cut.last), new_parent.fd(),
                            PathWord(new_cut.last), 0));
}

// ---------------------------------------------------------------------------------------------------------------------
// opening
// ---------------------------------------------------------------------------------------------------------------------

// The flags that a file opened with O_NONBLOCK for our sake is to have lost.
long Undo(const Probe& file, uint64_t flags) {
  if ((flags & O_NONBLOCK) != 0) return 0;
  // Those that F_SETFL sets and clears.
  return Make(__NR_fcntl, file.fd(), F_SETFL, flags & (O_APPEND | O_NOATIME));
}

// Answers with a file that was opened, if it is the one that was looked at before, or any regular one in memory. It gets
// the number of the probe before it, as an open returns the lowest.
Status Opened(Trial* trial, Probe* probe, Probe* file, uint64_t flags, const struct statx* before) {
  struct statx status;
  Kind kind;
  if (!Look(file->fd(), 0, &status, &kind)) return Status::kWouldWait;
  const bool same = before == nullptr
                        ? kind == Kind::kMemory && S_ISREG(status.stx_mode)
                        : status.stx_ino == before->stx_ino && status.stx_dev_major == before->stx_dev_major &&
                              status.stx_dev_minor == before->stx_dev_minor;
  if (!same || Undo(*file, flags) < 0) return Status::kWouldWait;
  const long fd = probe->Become(file, (flags & O_CLOEXEC) != 0);
  if (fd < 0) return Status::kWouldWait;
  trial->traits = TraitsOf(static_cast<int>(fd), status, kind, static_cast<long>(flags));
  return Answer(trial, fd);
}

Status OpenExisting(Trial* trial, const At& at, uint64_t flags, uint64_t resolve) {
  Probe probe(Walk(at, flags & (O_NOFOLLOW | O_DIRECTORY), resolve));
  if (probe.result() < 0) return Failed(trial, probe.result());
  struct statx status;
  Kind kind;
  if (!Look(probe.fd(), 0, &status, &kind) || kind == Kind::kOther) return Status::kWouldWait;
  if (!S_ISREG(status.stx_mode) && !S_ISDIR(status.stx_mode)) return Status::kWouldWait;
  // O_NONBLOCK keeps it from waiting for a lease to be given back, or in a FIFO that has taken the name meanwhile.
  uint64_t cached = resolve | RESOLVE_CACHED;
  if (!CachedWalk(at.path[0] == '/', &cached)) return Status::kWouldWait;
  Probe file(OpenAt2(at, flags | O_NONBLOCK, 0, cached));
  switch (file.result()) {
    case -EAGAIN:
    case -EINVAL:
    case -ENOSYS:
    case -EMFILE:
    case -ENFILE:
    case -ENOMEM:
    case -ENXIO:
    case -EXDEV: return Status::kWouldWait;
    default: break;
  }
  if (file.result() < 0) return Answer(trial, file.result());
  return Opened(trial, &probe, &file, flags, &status);
}

// With O_CREAT or O_TRUNC, in a directory in memory. A name that leads further, or is no regular file, is left.
Status OpenChanging(Trial* trial, const At& at, uint64_t flags, uint64_t mode) {
  Cut cut;
  if ((flags & O_DIRECTORY) != 0 || !CutPath(at.path, &cut)) return Status::kWouldWait;
  Probe parent(OpenParent(at.directory, cut));
  if (parent.result() < 0) return Failed(trial, parent.result());
  if (!InMemory(parent)) return Status::kWouldWait;
  switch (NameIn(parent, cut.last, true)) {
    case Name::kOther: return Status::kWouldWait;
    case Name::kAbsent:
      if ((flags & O_CREAT) == 0) return Answer(trial, -ENOENT);
      break;
    case Name::kSmall: break;
  }
  Probe file(OpenAt2({parent.fd(), cut.last}, flags | O_NONBLOCK, mode, RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV));
  switch (file.result()) {
    case -EAGAIN:
    case -EINVAL:
    case -ELOOP:
    case -EXDEV:
    case -ENXIO:
    case -EMFILE:
    case -ENFILE:
    case -ENOMEM:
    case -ENOSYS: return Status::kWouldWait;
    default: break;
  }
  if (file.result() < 0) return Answer(trial, file.result());
  return Opened(trial, &parent, &file, flags, nullptr);
}

// `plain`: open or openat, which overlook what openat2 refuses. `resolve` is only openat2's.
Status Open(Trial* trial, const At& at, uint64_t flags, uint64_t mode, uint64_t resolve, bool plain) {
  if (AsksForPermission()) return Status::kWouldWait;
  // Of an empty path and wrong flags the kernel has its own opinion which comes first.
  if (*at.path == '\0') return Status::kWouldWait;
  if ((flags & O_PATH) != 0) {
    constexpr uint64_t meant = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    if (!plain && ((flags & ~meant) != 0 || mode != 0)) return Status::kWouldWait;
    uint64_t cached = resolve | RESOLVE_CACHED;
    if (!CachedWalk(at.path[0] == '/', &cached)) return Status::kWouldWait;
    const long fd = OpenAt2(at, flags & meant, 0, cached);
    if (fd < 0) return Failed(trial, fd);
    trial->traits = trait::kKnown | trait::kCloseHere;
    return Answer(trial, fd);
  }
  constexpr uint64_t known = O_ACCMODE | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_APPEND | O_NOATIME |
                             O_NOCTTY | O_SYNC | O_CREAT | O_EXCL | O_TRUNC | kLargeFile;
  // O_TMPFILE is a bit more than O_DIRECTORY.
  if ((flags & ~known) != 0) return Status::kWouldWait;
  const bool changes = (flags & (O_CREAT | O_TRUNC)) != 0;
  if (plain) flags |= kLargeFile;
  if (plain) mode = (flags & O_CREAT) == 0 ? 0 : mode & 07777;
  if (!plain && (((flags & O_CREAT) == 0 && mode != 0) || (mode & ~07777UL) != 0)) return Status::kWouldWait;
  if (!changes) return OpenExisting(trial, at, flags, resolve);
  return resolve == 0 ? OpenChanging(trial, at, flags, mode) : Status::kWouldWait;
}

Status OpenHow(Trial* trial) {
  if (AsksForPermission()) return Status::kWouldWait;
  const char* path;
  void* memory = nullptr;
  if (!PathAt(*trial, 1, &path) || (*trial)[3] != sizeof(open_how) || !Room(*trial, 2, sizeof(open_how), &memory)) {
    return Status::kWouldWait;
  }
  open_how how;
  memcpy(&how, memory, sizeof how);
  constexpr uint64_t known =
      RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH | RESOLVE_IN_ROOT;
  constexpr uint64_t both = RESOLVE_BENEATH | RESOLVE_IN_ROOT;
  if ((how.resolve & ~known) != 0 || (how.resolve & both) == both) return Status::kWouldWait;
  return Open(trial, {trial->fd(), path}, how.flags, how.mode, how.resolve, false);
}

// ---------------------------------------------------------------------------------------------------------------------
// descriptors
// ---------------------------------------------------------------------------------------------------------------------

Status Close(Trial* trial) {
  const int fd = trial->fd();
  struct statx status;
  Kind kind = Kind::kOther;
  int traits = trial->traits;
  bool looked = false;
  if ((traits & trait::kKnown) == 0) {
    // Nothing is known of what is not open: the kernel says so at once.
    if (Make(__NR_fcntl, fd, F_GETFD) < 0) return Answer(trial, Make(__NR_close, fd));
    looked = Look(fd, STATX_BLOCKS, &status, &kind);
    traits = looked ? TraitsOf(fd, status, kind) : trait::kKnown;
  }
  if ((traits & trait::kCloseHere) == 0) return Status::kWouldWait;
  if ((traits & trait::kSocket) != 0) {
    struct linger linger = {};
    socklen_t length = sizeof linger;
    if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length) != 0 || linger.l_onoff != 0) return Status::kWouldWait;
  } else if ((traits & (trait::kLocal | trait::kMemory)) != 0) {
    if (!looked && !Look(fd, STATX_BLOCKS, &status, &kind)) return Status::kWouldWait;
    // The last descriptor of a file without a name frees it.
    const bool frees = status.stx_nlink == 0 && (status.stx_mode & S_IFMT) == S_IFREG;
    if (frees && (kind != Kind::kMemory || status.stx_blocks * 512 > kMostMemory)) return Status::kWouldWait;
    if (status.stx_nlink == 0 && kind != Kind::kMemory) return Status::kWouldWait;
  }
  trial->traits = 0;
  return Answer(trial, Make(__NR_close, fd));
}

Status OnPlain(Trial* trial) {
  return (Traits(trial) & trait::kPlain) != 0 ? Answer(trial, Invoke(trial->call)) : Status::kWouldWait;
}

Status OnMemory(Trial* trial) {
  return (Traits(trial) & trait::kMemory) != 0 ? Answer(trial, Invoke(trial->call)) : Status::kWouldWait;
}

Status Truncate(Trial* trial) {
  if ((Traits(trial) & trait::kPlain) == 0) return Status::kWouldWait;
  struct statx status;
  Kind kind;
  if (!Look(trial->fd(), STATX_BLOCKS, &status, &kind) || status.stx_blocks * 512 > kMostMemory) {
    return Status::kWouldWait;
  }
  return Answer(trial, Invoke(trial->call));
}

Status Allocate(Trial* trial) {
  constexpr long kMostZeroed = 1 << 20;
  return (*trial)[3] > kMostZeroed ? Status::kWouldWait : Truncate(trial);
}

}  // namespace

Status TryPath(Trial* trial) {
  const Trial& t = *trial;
  const char* path;
  const char* other;
  switch (t.call.number) {
    case __NR_openat:
      if (!PathAt(t, 1, &path)) return Status::kWouldWait;
      return Open(trial, {t.fd(), path}, static_cast<unsigned>(t[2]), static_cast<unsigned>(t[3]), 0, true);
    case __NR_openat2: return OpenHow(trial);
    case __NR_close: return Close(trial);
    case __NR_statx: return Statx(trial);
#ifdef __NR_newfstatat
    case __NR_newfstatat: return Newfstatat(trial);
#endif
    case __NR_fstat: return TellDescriptor(trial, Form::kStat, 1);
    case __NR_statfs:
      return PathAt(t, 0, &path) ? TellPath(trial, Form::kStatfs, {AT_FDCWD, path}, true, 1) : Status::kWouldWait;
    case __NR_fstatfs: return TellDescriptor(trial, Form::kStatfs, 1);
    case __NR_faccessat:
      return PathAt(t, 1, &path) ? Access(trial, {t.fd(), path}, static_cast<int>(t[2]), 0) : Status::kWouldWait;
    case __NR_faccessat2:
      return PathAt(t, 1, &path) ? Access(trial, {t.fd(), path}, static_cast<int>(t[2]), static_cast<int>(t[3]))
                                 : Status::kWouldWait;
    case __NR_readlinkat: return PathAt(t, 1, &path) ? Readlink(trial, {t.fd(), path}, 2) : Status::kWouldWait;
    case __NR_getdents64: return AsksForPermission() ? Status::kWouldWait : OnMemory(trial);
    case __NR_fsync:
    case __NR_fdatasync: return OnPlain(trial);
    case __NR_fchmod:
    case __NR_fchown: return OnMemory(trial);
    case __NR_ftruncate: return Truncate(trial);
    case __NR_fallocate: return Allocate(trial);
    case __NR_unlinkat:
      return PathAt(t, 1, &path) ? Unlink(trial, {t.fd(), path}, static_cast<int>(t[2])) : Status::kWouldWait;
    case __NR_mkdirat: return PathAt(t, 1, &path) ? MakeDirectory(trial, {t.fd(), path}, t[2]) : Status::kWouldWait;
    case __NR_symlinkat:
      return PathAt(t, 0, &other) && PathAt(t, 2, &path) ? Symlink(trial, other, {static_cast<int>(t[1]), path})
                                                         : Status::kWouldWait;
    case __NR_renameat2:
#ifdef __NR_renameat
    case __NR_renameat:
#endif
    {
      const bool flagged = t.call.number == __NR_renameat2;
      if (!PathAt(t, 1, &path) || !PathAt(t, 3, &other)) return Status::kWouldWait;
      return Rename(trial, {t.fd(), path}, {static_cast<int>(t[2]), other}, flagged ? static_cast<unsigned>(t[4]) : 0);
    }
    case __NR_linkat:
      if (!PathAt(t, 1, &path) || !PathAt(t, 3, &other)) return Status::kWouldWait;
      return Link(trial, {t.fd(), path}, {static_cast<int>(t[2]), other}, static_cast<int>(t[4]));
#ifdef __NR_open
    // The forms without a directory, which only older architectures have.
    case __NR_open:
      if (!PathAt(t, 0, &path)) return Status::kWouldWait;
      return Open(trial, {AT_FDCWD, path}, static_cast<unsigned>(t[1]), static_cast<unsigned>(t[2]), 0, true);
    case __NR_creat:
      if (!PathAt(t, 0, &path)) return Status::kWouldWait;
      return Open(trial, {AT_FDCWD, path}, O_CREAT | O_WRONLY | O_TRUNC, static_cast<unsigned>(t[1]), 0, true);
    case __NR_stat:
      return PathAt(t, 0, &path) ? TellPath(trial, Form::kStat, {AT_FDCWD, path}, true, 1) : Status::kWouldWait;
    case __NR_lstat:
      return PathAt(t, 0, &path) ? TellPath(trial, Form::kStat, {AT_FDCWD, path}, false, 1) : Status::kWouldWait;
    case __NR_access:
      return PathAt(t, 0, &path) ? Access(trial, {AT_FDCWD, path}, static_cast<int>(t[1]), 0) : Status::kWouldWait;
    case __NR_readlink: return PathAt(t, 0, &path) ? Readlink(trial, {AT_FDCWD, path}, 1) : Status::kWouldWait;
    case __NR_unlink: return PathAt(t, 0, &path) ? Unlink(trial, {AT_FDCWD, path}, 0) : Status::kWouldWait;
    case __NR_rmdir: return PathAt(t, 0, &path) ? Unlink(trial, {AT_FDCWD, path}, AT_REMOVEDIR) : Status::kWouldWait;
    case __NR_mkdir: return PathAt(t, 0, &path) ? MakeDirectory(trial, {AT_FDCWD, path}, t[1]) : Status::kWouldWait;
    case __NR_symlink:
      return PathAt(t, 0, &other) && PathAt(t, 1, &path) ? Symlink(trial, other, {AT_FDCWD, path}) : Status::kWouldWait;
    case __NR_rename:
      return PathAt(t, 0, &path) && PathAt(t, 1, &other) ? Rename(trial, {AT_FDCWD, path}, {AT_FDCWD, other}, 0)
                                                         : Status::kWouldWait;
    case __NR_link:
      return PathAt(t, 0, &path) && PathAt(t, 1, &other) ? Link(trial, {AT_FDCWD, path}, {AT_FDCWD, other}, 0)
                                                         : Status::kWouldWait;
#endif
    default: return Status::kWouldWait;
  }
}

}  // namespace effect_linux
