#include "directories.h"

#include <asm/unistd.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "interrupt.h"

namespace effect_linux {

namespace {

constexpr int32_t kReading = 0x10000;
constexpr int32_t kTooMuch = -1;
constexpr long kHead = 16;
constexpr long kRecord = 8;
// Less room than this is not worth a look: the longest entry has 280 bytes, and a directory of some has a page.
constexpr long kLeastRoom = 4096;

struct How {
  uint64_t flags;
  uint64_t mode;
  uint64_t resolve;
};

int64_t Microseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<int64_t>(now.tv_sec) * 1000000 + now.tv_nsec / 1000;
}

struct Reading {
  const volatile int* cancelled;
  int32_t words[4];

  long Make(long number, long a, long b, long c = 0, long d = 0) const {
    return InvokeInterruptible(cancelled, {number, {a, b, c, d, 0, 0}});
  }

  long Open(long above, const char* path) const {
    const long at = reinterpret_cast<long>(path);
    if (words[2] == 0) return Make(__NR_openat, above, at, words[0], 0);
    How how = {static_cast<uint64_t>(words[0]), 0, static_cast<uint64_t>(words[1])};
    return Make(__NR_openat2, above, at, reinterpret_cast<long>(&how), sizeof how);
  }

  // The number of bytes; -EINVAL where there are more entries than there is room for.
  long Entries(long fd, char* room, long size) const {
    long length = 0;
    for (;;) {
      const long got = Make(__NR_getdents64, fd, reinterpret_cast<long>(room + length), size - length);
      if (got == 0) return length;
      if (got < 0) return got;
      length += got;
    }
  }
};

void Record(char* at, long status, long length) {
  const int32_t words[2] = {static_cast<int32_t>(status), static_cast<int32_t>(length)};
  memcpy(at, words, sizeof words);
}

}  // namespace

long ReadDirectories(const volatile int* cancelled, const SystemCall& call) {
  const long above = call.arguments[0];
  const char* path = reinterpret_cast<const char*>(call.arguments[1]);
  const char* const end = path + call.arguments[2];
  char* const answer = reinterpret_cast<char*>(call.arguments[3]);
  const long size = call.arguments[4];
  Reading reading = {cancelled, {}};
  memcpy(reading.words, path, sizeof reading.words);
  const int64_t until = Microseconds() + reading.words[3];
  long at = 0;
  for (path += kHead; path < end; path += strlen(path) + 1) {
    if (at > 0 && (size - at < kLeastRoom || Microseconds() > until)) break;
    const bool itself = *path == '\0';
    const long fd = itself ? above : reading.Open(above, path);
    if (fd == -EINTR) return -EINTR;
    if (fd < 0) {
      Record(answer + at, -fd, 0);
      at += kRecord;
      continue;
    }
    const long room = size - at - kRecord;
    const long length = reading.Entries(fd, answer + at + kRecord, room);
    if (!itself) {
      Invoke({__NR_close, {fd, 0, 0, 0, 0, 0}});
    } else if (length < 0) {
      lseek(static_cast<int>(fd), 0, SEEK_SET);
    }
    if (length == -EINTR) return -EINTR;
    if (length == -EINVAL) {
      // Alone it may find room the next time.
      if (at > 0) break;
      Record(answer, kTooMuch, 0);
      return kRecord;
    }
    Record(answer + at, length < 0 ? kReading - length : 0, length < 0 ? 0 : length);
    at += kRecord + (length < 0 ? 0 : (length + 7) / 8 * 8);
  }
  return at;
}

}  // namespace effect_linux
