// One epoll instance for each environment, whose events are put into memory that JavaScript reads: a batch of them costs one
// call there and none back.
#include "watch.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "arguments.h"
#include "environment.h"
#include "loop.h"

namespace effect_linux {

namespace {

// As many events as are told at once, and the words of each: place, generation, events.
constexpr int kMostAtOnce = 256;
constexpr int kHead = 4;
constexpr int kEach = 3;
constexpr size_t kWords = kHead + kEach * kMostAtOnce;

}  // namespace

class Watches {
 public:
  explicit Watches(napi_env env) : env_(env), loop_(Environment::Get(env)->loop) {}

  // 0, or -errno. Where it was open before nothing is left of what it knew: that goes with the instance, also what cannot
  // be taken out of it any more, since its number is another's.
  int Open() {
    Close();
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) return -errno;
    watch_ = loop_->OnEvents(epoll_, UV_READABLE, [this](int) { Tell(); });
    if (watch_ != nullptr) return 0;
    close(epoll_);
    epoll_ = -1;
    return -ENOMEM;
  }

  napi_value Remember(napi_value on_events) {
    on_events_.Set(env_, on_events);
    void* memory = nullptr;
    napi_value buffer;
    napi_create_arraybuffer(env_, kWords * sizeof(int32_t), &memory, &buffer);
    memset(memory, 0, kWords * sizeof(int32_t));
    words_ = static_cast<int32_t*>(memory);
    buffer_.Set(env_, buffer);
    return buffer;
  }

  int Change(int operation, int fd, uint32_t events, uint32_t place, uint32_t generation) const {
    epoll_event event{};
    event.events = events;
    event.data.u64 = static_cast<uint64_t>(generation) << 32 | place;
    return epoll_ctl(epoll_, operation, fd, &event) == 0 ? 0 : -errno;
  }

  // How many events were put into the memory. None as long as JavaScript has not taken those that are in it.
  int Collect() const {
    if (words_ == nullptr || words_[0] != 0) return 0;
    epoll_event seen[kMostAtOnce];
    const int count = epoll_wait(epoll_, seen, kMostAtOnce, 0);
    for (int i = 0; i < count; i++) {
      int32_t* words = words_ + kHead + kEach * i;
      words[0] = static_cast<int32_t>(seen[i].data.u64);
      words[1] = static_cast<int32_t>(seen[i].data.u64 >> 32);
      words[2] = static_cast<int32_t>(seen[i].events);
    }
    return count;
  }

  void Keep(bool alive) {
    if (watch_ != nullptr) watch_->Keep(alive);
  }

  void Close() {
    if (watch_ == nullptr) return;
    // Before what it watches.
    watch_->Close();
    watch_ = nullptr;
    close(epoll_);
    epoll_ = -1;
  }

  void End() {
    Close();
    on_events_.Clear(env_);
    buffer_.Clear(env_);
    words_ = nullptr;
  }

 private:
  void Tell() {
    const int count = Collect();
    if (count <= 0) return;
    loop_->Enter([&] {
      napi_value callback, number;
      if (!on_events_.Get(env_, &callback)) return;
      napi_create_int32(env_, count, &number);
      loop_->CallBack(callback, 1, &number);
    });
  }

  const napi_env env_;
  const std::shared_ptr<Loop> loop_;
  int epoll_ = -1;
  LoopHandle* watch_ = nullptr;
  Reference on_events_;
  Reference buffer_;
  int32_t* words_ = nullptr;  // its memory
};

namespace {

Watches& WatchesOf(napi_env env) { return *Environment::Get(env)->watches; }

napi_value Int32(napi_env env, int number) {
  napi_value value;
  napi_create_int32(env, number, &value);
  return value;
}

// openWatches(onEvents): the memory where events are put, or -errno. `onEvents` is called with their number.
napi_value OpenWatches(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value value;
  napi_get_cb_info(env, info, &count, &value, nullptr, nullptr);
  napi_valuetype type = napi_undefined;
  if (count == 1) napi_typeof(env, value, &type);
  if (type != napi_function) {
    ThrowType(env, "ERR_INVALID_ARG_TYPE", "openWatches(onEvents)");
    return nullptr;
  }
  Watches& watches = WatchesOf(env);
  const int error = watches.Open();
  return error < 0 ? Int32(env, error) : watches.Remember(value);
}

// renewWatches(): begins anew with nothing registered; 0, or -errno.
napi_value RenewWatches(napi_env env, napi_callback_info) { return Int32(env, WatchesOf(env).Open()); }

// watch(operation, fd, events, place, generation): epoll_ctl; 0, or -errno.
napi_value Watch(napi_env env, napi_callback_info info) {
  size_t count = 5;
  napi_value values[5];
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  int32_t operation = 0, fd = -1;
  uint32_t words[3] = {};
  napi_get_value_int32(env, values[0], &operation);
  napi_get_value_int32(env, values[1], &fd);
  for (int i = 0; i < 3; i++) napi_get_value_uint32(env, values[2 + i], words + i);
  return Int32(env, WatchesOf(env).Change(operation, fd, words[0], words[1], words[2]));
}

// collectWatches(): how many events there are in the memory now.
napi_value CollectWatches(napi_env env, napi_callback_info) { return Int32(env, WatchesOf(env).Collect()); }

// holdWatches(waiting): whether they are to keep the loop alive.
napi_value HoldWatches(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value value;
  napi_get_cb_info(env, info, &count, &value, nullptr, nullptr);
  bool hold = false;
  if (count == 1) napi_get_value_bool(env, value, &hold);
  WatchesOf(env).Keep(hold);
  return nullptr;
}

}  // namespace

void InitWatch(napi_env env, napi_value exports) {
  Environment* environment = Environment::Get(env);
  environment->watches = std::make_shared<Watches>(env);
  environment->loop->AtEnd([environment] { environment->watches->End(); });
  const napi_property_descriptor properties[] = {
      {"openWatches", nullptr, OpenWatches, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"renewWatches", nullptr, RenewWatches, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"watch", nullptr, Watch, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"collectWatches", nullptr, CollectWatches, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"holdWatches", nullptr, HoldWatches, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, sizeof properties / sizeof *properties, properties);
}

}  // namespace effect_linux
