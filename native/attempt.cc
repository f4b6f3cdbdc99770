#include "attempt.h"

#include <asm/unistd.h>
#include <fcntl.h>
#include <linux/fanotify.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "arguments.h"
#include "environment.h"
#include "filesystem.h"
#include "path.h"

namespace effect_linux {

namespace {

std::atomic<bool> asks_for_permission{false};

// How often a call was made that may change how calls on a descriptor wait: what was found out before the last one is to
// be found out again.
std::atomic<uint32_t> manners_changed{1};

}  // namespace

bool AsksForPermission() { return asks_for_permission.load(std::memory_order_relaxed); }

uint32_t MannersChanged() { return manners_changed.load(std::memory_order_relaxed); }

bool NoteCall(const SystemCall& call, long result) {
  switch (call.number) {
    case __NR_fanotify_init:
      if (result >= 0 && (call.arguments[0] & (FAN_CLASS_CONTENT | FAN_CLASS_PRE_CONTENT)) != 0) {
        asks_for_permission = true;
      }
      return false;
    case __NR_fcntl:
      if (call.arguments[1] != F_SETFL) return false;
      break;
    case __NR_ioctl:
      if (call.arguments[1] != FIONBIO) return false;
      break;
    case __NR_setsockopt:
      if (call.arguments[1] != SOL_SOCKET) return false;
      break;
#ifdef __NR_dup2
    case __NR_dup2:
#endif
    case __NR_dup3:
    case __NR_close:
    case __NR_close_range: break;
    default: return false;
  }
  manners_changed++;
  return true;
}

void TellManners(napi_env env) {
  Environment::Get(env)->words[kManners] = static_cast<int32_t>(MannersChanged());
}

int Traits(Trial* trial) {
  if ((trial->traits & trait::kKnown) == 0) trial->traits = FindTraits(trial->fd());
  return trial->traits;
}

namespace {

constexpr size_t kMostValues = 8;  // one more than is allowed, so that a seventh argument is seen and refused

// What is transferred without a thread: copying it takes well under a millisecond.
constexpr unsigned long kMostAtOnce = 1 << 20;
constexpr unsigned long kMostRandomAtOnce = 256 << 10;
constexpr size_t kMostPieces = 1024;

// What the calls with RWF_NOWAIT are, where the kernel has them.
std::atomic<bool> no_flagged_reads{false};
std::atomic<bool> no_flagged_writes{false};

long StatusFlags(long fd) { return Make(__NR_fcntl, fd, F_GETFL); }

bool NonBlocking(long fd) {
  const long flags = StatusFlags(fd);
  return flags >= 0 && (flags & O_NONBLOCK) != 0;
}

// Whether a zero-timeout poll, which never waits, says that the descriptor is ready.
bool Ready(long fd, short events) {
  pollfd one = {static_cast<int>(fd), events, 0};
  timespec zero = {0, 0};
  return Make(__NR_ppoll, reinterpret_cast<long>(&one), 1, reinterpret_cast<long>(&zero), 0, 8) != 0;
}

// A socket whose waits end after a time of its own, and with EAGAIN.
bool HasTimeout(long fd, bool writes) {
  timeval timeout = {};
  socklen_t length = sizeof timeout;
  return getsockopt(static_cast<int>(fd), SOL_SOCKET, writes ? SO_SNDTIMEO : SO_RCVTIMEO, &timeout, &length) == 0 &&
         (timeout.tv_sec != 0 || timeout.tv_usec != 0);
}

// What a call on a blocking descriptor that would have waited is to do. One that poll calls ready although it is not (a
// datagram to a full peer) or that another reader emptied waits elsewhere: waiting for readiness would spin.
Status Wait(Trial* trial, bool writes) {
  if ((Traits(trial) & trait::kPollable) == 0 || HasTimeout(trial->fd(), writes)) return Status::kWouldWait;
  return Ready(trial->fd(), writes ? POLLOUT : POLLIN) ? Status::kWouldWait : Status::kNotReady;
}

// The memory of a transfer.
struct Pieces {
  iovec single;
  const iovec* list;
  long count;
  unsigned long wanted;
  iovec cut[kMostPieces];

  // The first `most` bytes of them.
  void Cut(unsigned long most) {
    long taken = 0;
    unsigned long left = most;
    for (; taken < count && left > 0; taken++) {
      cut[taken] = list[taken];
      if (cut[taken].iov_len > left) cut[taken].iov_len = left;
      left -= cut[taken].iov_len;
    }
    list = cut;
    count = taken;
  }
};

void Gather(const Trial& trial, bool vectored, Pieces* pieces) {
  if (!vectored) {
    pieces->single = {reinterpret_cast<void*>(trial[1]), static_cast<size_t>(trial[2])};
    pieces->list = &pieces->single;
    pieces->count = 1;
    pieces->wanted = static_cast<unsigned long>(trial[2]);
    return;
  }
  pieces->list = reinterpret_cast<const iovec*>(trial[1]);
  pieces->count = trial[2];
  pieces->wanted = 0;
  for (long i = 0; i < pieces->count; i++) pieces->wanted += pieces->list[i].iov_len;
}

// Whether a transfer that came back short may have done so only because it was told not to wait. A pipe, socket or
// terminal gives what it has and a read of it is done; a file is short before its end for no other reason.
Status Settle(Trial* trial, bool writes, bool positioned, unsigned long wanted) {
  const long done = trial->result;
  if (done <= 0 || static_cast<unsigned long>(done) >= wanted) return Status::kAnswered;
  const long fd = trial->fd();
  const int traits = Traits(trial);
  if ((traits & trait::kPollable) != 0) {
    if (!writes || NonBlocking(fd)) return Status::kAnswered;
    return HasTimeout(fd, true) ? Status::kPartly : Status::kPartlyNotReady;
  }
  if (writes) return Status::kPartly;
  struct statx status;
  Kind kind;
  if (!Look(static_cast<int>(fd), STATX_SIZE, &status, &kind)) return Status::kAnswered;
  if (S_ISBLK(status.stx_mode)) return Status::kPartly;
  if (!S_ISREG(status.stx_mode) || kind == Kind::kOther) return Status::kAnswered;
  const long at = positioned ? (*trial)[3] + done : Make(__NR_lseek, fd, 0, SEEK_CUR);
  return at >= static_cast<long>(status.stx_size) ? Status::kAnswered : Status::kPartly;
}

Status Plain(Trial* trial, Pieces* pieces, bool writes, bool positioned) {
  if (pieces->wanted <= kMostAtOnce) return Answer(trial, Invoke(trial->call));
  pieces->Cut(kMostAtOnce);
  const long number = positioned ? (writes ? __NR_pwritev : __NR_preadv) : (writes ? __NR_writev : __NR_readv);
  const long result = Make(number, trial->fd(), reinterpret_cast<long>(pieces->list), pieces->count, (*trial)[3]);
  // Fewer bytes than were asked for now are fewer than were asked for at all.
  trial->result = result;
  return result == static_cast<long>(kMostAtOnce) ? Status::kPartly : Status::kAnswered;
}

// The file system does not know RWF_NOWAIT for this.
Status Unflagged(Trial* trial, Pieces* pieces, bool writes, bool positioned) {
  const int traits = Traits(trial);
  if ((traits & trait::kPlain) != 0) return Plain(trial, pieces, writes, positioned);
  if (NonBlocking(trial->fd()) && (traits & trait::kPollable) != 0) return Answer(trial, Invoke(trial->call));
  // Some that can be written never say so (fanotify): whoever waited for that would wait for ever.
  return writes ? Status::kWouldWait : Wait(trial, false);
}

// What is to be done about an answer to a transfer with RWF_NOWAIT that is not all that was asked for.
Status Conclude(Trial* trial, Pieces* pieces, bool writes, bool positioned) {
  switch (trial->result) {
    case -EAGAIN:
      if (NonBlocking(trial->fd())) {
        // On a file the flag means nothing to the plain call.
        return (Traits(trial) & trait::kPollable) != 0 ? Status::kAnswered : Status::kWouldWait;
      }
      return Wait(trial, writes);
    case -EINVAL:
      // Of a read it is an answer; to a write some file systems say so of the flag.
      if (!writes) return Status::kAnswered;
      [[fallthrough]];
    case -EOPNOTSUPP:
      Traits(trial);
      trial->traits |= writes ? trait::kNoNowaitWrite : trait::kNoNowait;
      return Unflagged(trial, pieces, writes, positioned);
    case -ENOSYS:
      (writes ? no_flagged_writes : no_flagged_reads) = true;
      return Unflagged(trial, pieces, writes, positioned);
    case -EPERM:  // or a filter's answer to a call that it does not know
      return Status::kWouldWait;
    default: return Settle(trial, writes, positioned, pieces->wanted);
  }
}

// The same transfer as the call, with RWF_NOWAIT. At offset -1 preadv2 and pwritev2 use and move the file's own offset.
Status Transfer(Trial* trial, bool writes, bool vectored, bool positioned) {
  const long fd = trial->fd();
  // Most often it is one piece, and the room for cut ones stays untouched.
  Pieces pieces;
  Gather(*trial, vectored, &pieces);
  const long offset = positioned ? (*trial)[3] : -1;
  // -1 would mean the file's own offset to the v2 calls; what the plain ones say of it is that it is invalid.
  if (positioned && offset < 0) return Answer(trial, Invoke(trial->call));
  if ((trial->traits & trait::kKnown) == 0) {
    // A transfer that does not wait for the page cache may wait for the disk all the same.
    const long flags = StatusFlags(fd);
    if (flags < 0) return Answer(trial, Invoke(trial->call));
    const bool special = (flags & O_DIRECT) != 0 || (writes && (flags & O_DSYNC) != 0);
    if (special || pieces.wanted > kMostAtOnce || (trial->traits & trait::kLearn) != 0) Traits(trial);
  }
  if (AsksForPermission() && (Traits(trial) & trait::kPollable) == 0) return Status::kWouldWait;
  const int traits = trial->traits;
  if ((traits & trait::kPlain) != 0) return Plain(trial, &pieces, writes, positioned);
  if ((traits & trait::kDirect) != 0) return Status::kWouldWait;
  // More is not copied on the JavaScript thread in one go. A pipe or socket has or takes only so much.
  if (pieces.wanted > kMostAtOnce && (traits & trait::kPollable) == 0) return Status::kWouldWait;
  const int refused = writes ? trait::kNoNowaitWrite : trait::kNoNowait;
  if ((traits & refused) != 0 || (writes ? no_flagged_writes : no_flagged_reads)) {
    return Unflagged(trial, &pieces, writes, positioned);
  }
  trial->result = Make(writes ? __NR_pwritev2 : __NR_preadv2, fd, reinterpret_cast<long>(pieces.list), pieces.count,
                       offset, 0, RWF_NOWAIT);
  if (trial->result == static_cast<long>(pieces.wanted)) return Status::kAnswered;
  return Conclude(trial, &pieces, writes, positioned);
}

// The same call with one argument changed so that it does not wait; `would_wait` is what it answers when it would have.
Status TryWith(Trial* trial, int index, long argument, long would_wait) {
  if (argument == (*trial)[index]) return Answer(trial, Invoke(trial->call));
  SystemCall now = trial->call;
  now.arguments[index] = argument;
  trial->result = Invoke(now);
  return trial->result == would_wait ? Status::kWouldWait : Status::kAnswered;
}

// A transfer over a socket, told by its flags not to wait.
Status Send(Trial* trial, int place, bool writes) {
  const long fd = trial->fd();
  const long flags = (*trial)[place];
  // With MSG_FASTOPEN not waiting means another answer, EINPROGRESS.
  if ((flags & (MSG_WAITALL | MSG_FASTOPEN)) != 0) return Status::kWouldWait;
  if (TryWith(trial, place, flags | MSG_DONTWAIT, -EAGAIN) == Status::kWouldWait) {
    // The queue of errors is never waited for.
    if ((flags & MSG_ERRQUEUE) != 0 || NonBlocking(fd)) return Status::kAnswered;
    if ((flags & (MSG_OOB | MSG_PEEK)) != 0) return Status::kWouldWait;
    return Wait(trial, writes);
  }
  // A blocking send of a stream ends when all is queued.
  if (!writes || place != 3 || trial->result < 0 || trial->result >= (*trial)[2]) return Status::kAnswered;
  if ((flags & MSG_DONTWAIT) != 0 || NonBlocking(fd)) return Status::kAnswered;
  return HasTimeout(fd, true) ? Status::kPartly : Status::kPartlyNotReady;
}

int TypeOf(long fd) {
  int type = 0;
  socklen_t length = sizeof type;
  return getsockopt(static_cast<int>(fd), SOL_SOCKET, SO_TYPE, &type, &length) == 0 ? type : -1;
}

// A message of several pieces: what is left of one that was sent in part cannot be told apart from its control data, so
// only whole messages are tried.
Status SendMessage(Trial* trial) {
  const int type = TypeOf(trial->fd());
  if (type < 0) return Answer(trial, Invoke(trial->call));
  if (type == SOCK_STREAM && ((*trial)[2] & MSG_DONTWAIT) == 0 && !NonBlocking(trial->fd())) return Status::kWouldWait;
  return Send(trial, 2, true);
}

// No flag keeps accept from waiting but the listening socket's own.
Status Accept(Trial* trial) {
  const long flags = StatusFlags(trial->fd());
  if (flags < 0 || (flags & O_NONBLOCK) != 0) return Answer(trial, Invoke(trial->call));
  // What does not listen says so at once.
  int listens = 0;
  socklen_t length = sizeof listens;
  if (getsockopt(trial->fd(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0 || listens == 0) {
    return Answer(trial, Invoke(trial->call));
  }
  return Wait(trial, false);
}

Status WaitForEvents(Trial* trial) {
  const long timeout = static_cast<int>((*trial)[3]);
  const Status status = TryWith(trial, 3, 0, 0);
  if (status != Status::kWouldWait || timeout != -1) return status;
  return Wait(trial, false);
}

// Whether what is known of a descriptor's file is known without asking a server.
bool AnswersHere(Trial* trial) {
  return (Traits(trial) & (trait::kLocal | trait::kMemory | trait::kPollable)) != 0;
}

// The end of a file is its server's to know, where it has one.
Status Seek(Trial* trial) {
  const long whence = (*trial)[2];
  if (whence == SEEK_DATA || whence == SEEK_HOLE) return Status::kWouldWait;
  if (whence == SEEK_END && !AnswersHere(trial)) return Status::kWouldWait;
  return Answer(trial, Invoke(trial->call));
}

// So are its locks; those that wait are not asked for here.
Status Control(Trial* trial) {
  switch (static_cast<int>((*trial)[1])) {
    case F_SETLK:
    case F_GETLK:
    case F_OFD_SETLK:
    case F_OFD_GETLK:
      return AnswersHere(trial) ? Answer(trial, Invoke(trial->call)) : Status::kWouldWait;
    default: return Status::kWouldWait;
  }
}

Status Try(Trial* trial) {
  switch (trial->call.number) {
    case __NR_lseek: return Seek(trial);
    case __NR_fcntl: return Control(trial);
    case __NR_read: return Transfer(trial, false, false, false);
    case __NR_readv: return Transfer(trial, false, true, false);
    case __NR_pread64: return Transfer(trial, false, false, true);
    case __NR_preadv: return Transfer(trial, false, true, true);
    case __NR_write: return Transfer(trial, true, false, false);
    case __NR_writev: return Transfer(trial, true, true, false);
    case __NR_pwrite64: return Transfer(trial, true, false, true);
    case __NR_pwritev: return Transfer(trial, true, true, true);
    case __NR_getrandom:
      if (static_cast<unsigned long>((*trial)[1]) > kMostRandomAtOnce) return Status::kWouldWait;
      return TryWith(trial, 2, (*trial)[2] | GRND_NONBLOCK, -EAGAIN);
    case __NR_recvfrom: return Send(trial, 3, false);
    case __NR_sendto: return Send(trial, 3, true);
    case __NR_recvmsg: return Send(trial, 2, false);
    case __NR_sendmsg: return SendMessage(trial);
    case __NR_accept:
    case __NR_accept4: return Accept(trial);
    // A lock of a file on a server is the server's.
    case __NR_flock:
      if ((Traits(trial) & (trait::kLocal | trait::kMemory)) == 0) return Status::kWouldWait;
      return TryWith(trial, 1, (*trial)[1] | LOCK_NB, -EAGAIN);
#ifdef __NR_poll
    case __NR_poll: return TryWith(trial, 2, 0, 0);
#endif
#ifdef __NR_epoll_wait
    case __NR_epoll_wait:
#endif
    case __NR_epoll_pwait: return WaitForEvents(trial);
    default: return TryPath(trial);
  }
}

bool IsVectored(long number) {
  return number == __NR_readv || number == __NR_preadv || number == __NR_writev || number == __NR_pwritev;
}

// attempt(number, ...arguments): the result where there is one. Through `scratch` go in the traits of the descriptor and
// out the traits as they are known now, and the Status.
napi_value TryNow(napi_env env, napi_callback_info info) {
  size_t count = kMostValues;
  napi_value values[kMostValues];
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, values, nullptr, &data);
  auto* scratch = static_cast<int32_t*>(data);
  Trial trial;
  std::vector<std::vector<iovec>> vectors;
  scratch[1] = static_cast<int32_t>(Status::kWouldWait);
  if (!DecodeCall(env, count, values, &trial.call, &vectors)) return nullptr;
  // Only a list that was decoded here is looked into: an address that the caller made up is for the kernel to refuse.
  if (IsVectored(trial.call.number) &&
      (vectors.empty() || static_cast<unsigned long>(trial.call.arguments[2]) > vectors.front().size())) {
    return nullptr;
  }
  // How things stood before: what is known of it by waiting is known up to then.
  scratch[kManners] = static_cast<int32_t>(MannersChanged());
  trial.traits = scratch[0] & ~trait::kEmptied;
  trial.env = env;
  trial.count = count;
  trial.values = values;
  const Status status = Try(&trial);
  scratch[0] = trial.traits;
  scratch[1] = static_cast<int32_t>(status);
  return status == Status::kWouldWait || status == Status::kNotReady ? nullptr : MakeResult(env, trial.result);
}

// transfer(buffer): an attempt of read, write, pread64 or pwrite64 on one piece of memory, for which the words go in and
// the result comes out through `scratch`, as doubles from the second on: number, descriptor, count, offset (-1 where
// there is none), result. It is for what can be asked with RWF_NOWAIT at once; status -1 says that it is no such case.
napi_value TransferNow(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value value;
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, &value, nullptr, &data);
  auto* scratch = static_cast<int32_t*>(data);
  auto* words = static_cast<double*>(data);
  constexpr int kNot = -1;
  scratch[1] = kNot;
  const int traits = scratch[0];
  const long number = static_cast<long>(words[1]);
  const bool writes = number == __NR_write || number == __NR_pwrite64;
  const int hindrances = trait::kPlain | trait::kDirect | trait::kPollable |
                         (writes ? trait::kNoNowaitWrite : trait::kNoNowait);
  if ((traits & trait::kKnown) == 0 || (traits & hindrances) != 0 || AsksForPermission()) return nullptr;
  if (words[3] < 1 || words[3] > kMostAtOnce) return nullptr;
  const auto wanted = static_cast<size_t>(words[3]);
  napi_typedarray_type type;
  size_t length = 0;
  void* memory = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &memory, nullptr, nullptr) != napi_ok) return nullptr;
  // Of others the length is not that in bytes; a detached one has none.
  if (type != napi_uint8_array || length < wanted) return nullptr;
  Trial trial;
  const bool positioned = words[4] >= 0;
  trial.call = {number, {static_cast<long>(words[2]), reinterpret_cast<long>(memory), static_cast<long>(wanted),
                         static_cast<long>(words[4]), 0, 0}};
  trial.traits = traits;
  iovec piece = {memory, wanted};
  trial.result = Make(writes ? __NR_pwritev2 : __NR_preadv2, trial.call.arguments[0], reinterpret_cast<long>(&piece), 1,
                      trial.call.arguments[3], 0, RWF_NOWAIT);
  Status status = Status::kAnswered;
  if (trial.result != static_cast<long>(wanted)) {
    Pieces pieces;
    Gather(trial, false, &pieces);
    status = Conclude(&trial, &pieces, writes, positioned);
  }
  scratch[0] = trial.traits;
  scratch[1] = static_cast<int32_t>(status);
  const bool nothing = status == Status::kWouldWait || status == Status::kNotReady;
  words[5] = nothing ? 0 : static_cast<double>(trial.result);
  return nullptr;
}

// exchange(buffer): an attempt of sendto or recvfrom without an address, on one piece of memory. Its words go in and the
// result comes out through `scratch`, as integers from the third on: number, descriptor, count, flags, result; and one
// more, in and out: MannersChanged() when it was known that the socket's calls wait, and without a timeout. It is for
// sockets and the plain flags; status -1 says that it is no such case.
napi_value Exchange(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value value;
  void* data = nullptr;
  napi_get_cb_info(env, info, &count, &value, nullptr, &data);
  auto* scratch = static_cast<int32_t*>(data);
  int32_t* words = scratch + 2;
  constexpr int kNot = -1;
  scratch[1] = kNot;
  const long number = words[0], fd = words[1], wanted = words[2], flags = words[3];
  if ((flags & ~MSG_NOSIGNAL) != 0 || wanted < 1) return nullptr;
  int traits = scratch[0];
  if ((traits & trait::kKnown) == 0) {
    if ((traits & trait::kLearn) == 0) return nullptr;
    traits = FindTraits(static_cast<int>(fd));
    scratch[0] = traits;
  }
  if ((traits & trait::kSocket) == 0) return nullptr;
  napi_typedarray_type type;
  size_t length = 0;
  void* memory = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &memory, nullptr, nullptr) != napi_ok) return nullptr;
  // Of others the length is not that in bytes; a detached one has none.
  if (type != napi_uint8_array || length < static_cast<size_t>(wanted)) return nullptr;
  const bool writes = number == __NR_sendto;
  // Before it is asked: what changes meanwhile counts as changed after.
  const auto now = static_cast<int32_t>(MannersChanged());
  scratch[kManners] = now;
  Trial trial;
  trial.traits = writes ? traits : traits & ~trait::kEmptied;
  trial.call = {number, {fd, reinterpret_cast<long>(memory), wanted, flags | MSG_DONTWAIT, 0, 0}};
  trial.result = Invoke(trial.call);
  Status status = Status::kAnswered;
  if (trial.result == -EAGAIN) {
    status = Status::kNotReady;
    if (writes || words[5] != now) {
      status = NonBlocking(fd) ? Status::kAnswered : Wait(&trial, writes);
      if (status == Status::kNotReady) words[5] = now;
      if (TypeOf(fd) == SOCK_STREAM) trial.traits |= trait::kStream;
    }
  } else if (writes && trial.result >= 0 && trial.result < wanted && !NonBlocking(fd)) {
    status = HasTimeout(fd, true) ? Status::kPartly : Status::kPartlyNotReady;
  } else if (!writes && trial.result > 0 && trial.result < wanted && (trial.traits & trait::kStream) != 0) {
    trial.traits |= trait::kEmptied;
  }
  scratch[0] = trial.traits;
  scratch[1] = static_cast<int32_t>(status);
  const bool nothing = status == Status::kWouldWait || status == Status::kNotReady;
  words[4] = nothing ? 0 : static_cast<int32_t>(trial.result);
  return nullptr;
}

// traitsOf(fd): what is known of a descriptor.
napi_value GetTraits(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value value;
  napi_get_cb_info(env, info, &count, &value, nullptr, nullptr);
  int32_t fd = -1;
  napi_get_value_int32(env, value, &fd);
  napi_value result;
  napi_create_int32(env, FindTraits(fd), &result);
  return result;
}

// kindByTable(fd): 0 other, 1 local, 2 memory, as older kernels let it be found.
napi_value GetKindByTable(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value value;
  napi_get_cb_info(env, info, &count, &value, nullptr, nullptr);
  int32_t fd = -1;
  napi_get_value_int32(env, value, &fd);
  napi_value result;
  napi_create_int32(env, static_cast<int32_t>(KindByTable(fd)), &result);
  return result;
}

}  // namespace

void InitAttempt(napi_env env, napi_value exports) {
  // It lives as long as its environment, which holds it by this reference; who detaches it has himself to blame: it is
  // not exported from the package.
  void* scratch = nullptr;
  napi_value buffer;
  napi_create_arraybuffer(env, 64, &scratch, &buffer);
  memset(scratch, 0, 64);
  Environment::Get(env)->words = static_cast<int32_t*>(scratch);
  Environment::Get(env)->scratch.Set(env, buffer);
  const napi_property_descriptor properties[] = {
      {"attempt", nullptr, TryNow, nullptr, nullptr, nullptr, napi_enumerable, scratch},
      {"transfer", nullptr, TransferNow, nullptr, nullptr, nullptr, napi_enumerable, scratch},
      {"exchange", nullptr, Exchange, nullptr, nullptr, nullptr, napi_enumerable, scratch},
      {"traitsOf", nullptr, GetTraits, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"kindByTable", nullptr, GetKindByTable, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"scratch", nullptr, nullptr, nullptr, nullptr, buffer, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, sizeof properties / sizeof *properties, properties);
}

}  // namespace effect_linux
