// Reading several directories in one go, on a thread.
#ifndef EFFECT_LINUX_DIRECTORIES_H_
#define EFFECT_LINUX_DIRECTORIES_H_

#include "stub.h"

namespace effect_linux {

// Not a call but as many as it takes: it has the form of one, so that it can be queued, lent memory and interrupted like
// one. Arguments: a directory; a request, and its length; room for the answer, and its length.
//
// The request: four words (the flags of open, those of openat2's resolve, whether there is openat2, microseconds), then
// paths from the directory, each with a NUL behind it; an empty one is the directory itself. They are opened, read and
// closed one after the other until all are done, or the time is over, or there is no room.
//
// The answer: for each of them two words and then what getdents64 gave, up to the next multiple of 8. The first word is
// 0 for one that was read to its end, an errno of opening it, an errno of reading it plus kReading, or kTooMuch where
// it alone has more entries than there is room for; the second is the number of bytes that follow. Returns how many
// bytes the answer has, or -EINTR.
long ReadDirectories(const volatile int* cancelled, const SystemCall& call);

}  // namespace effect_linux

#endif  // EFFECT_LINUX_DIRECTORIES_H_
