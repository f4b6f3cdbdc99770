// Calls made on the JavaScript thread only if the kernel can answer without waiting: how each is asked not to wait, and
// what its answer then means. Calls on paths and metadata are in path.cc, the kinds of file systems in filesystem.cc.
#ifndef EFFECT_LINUX_ATTEMPT_H_
#define EFFECT_LINUX_ATTEMPT_H_

#include <node_api.h>

#include <cstdint>

#include "stub.h"

namespace effect_linux {

// What became of an attempt, as JavaScript reads it.
enum class Status {
  kAnswered = 0,
  kWouldWait = 1,      // nothing was done
  kPartly = 2,         // the result is the number of bytes done
  kNotReady = 3,       // nothing was done; when the descriptor is ready, ask again
  kPartlyNotReady = 4  // some bytes were done; when the descriptor is ready, go on with the rest
};

// Whether this process was ever given a fanotify group that is asked for permission. From then on opening and reading
// files may wait for an answer that only this process can give, so they are made elsewhere.
bool AsksForPermission();

// To be told of every call that was made. True where it may have changed how others wait: a flag or timeout of theirs, or
// which file their number is.
bool NoteCall(const SystemCall& call, long result);

// How often that was so. JavaScript has the number beside the answers of attempts, in a word of its own: as it was before
// the last of them, or after the last such call of its own.
uint32_t MannersChanged();
void TellManners(napi_env env);
constexpr int kManners = 14;

// A call under way.
struct Trial {
  SystemCall call;
  int traits = 0;  // of the descriptor that the call is about; 0 where they are not known
  long result = 0;
  napi_env env = nullptr;
  size_t count = 0;                    // of values
  const napi_value* values = nullptr;  // the number of the call and its arguments

  long operator[](int index) const { return call.arguments[index]; }
  int fd() const { return static_cast<int>(call.arguments[0]); }
};

inline Status Answer(Trial* trial, long result) {
  trial->result = result;
  return Status::kAnswered;
}

// The traits of the descriptor, found out where they are not known.
int Traits(Trial* trial);

void InitAttempt(napi_env env, napi_value exports);

}  // namespace effect_linux

#endif  // EFFECT_LINUX_ATTEMPT_H_
