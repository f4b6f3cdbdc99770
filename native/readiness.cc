// Each descriptor that somebody waits for is registered once, for the union of what its waiters want, with
// EPOLLONESHOT: an event is told once and the descriptor armed again for who is left. With the last waiter it is taken
// out.
//
// epoll registers an open file under a descriptor's number, and keeps both after the number is closed, as long as
// another number leads to the file; by then the old number may be another file's. So a registration carries a
// generation, and an event of an older one is dropped (being one-shot, it comes no more than once). Whether a number
// still is what was registered shows when it is armed again: ENOENT says that it is not. Those that waited for what it
// was are told so.
#include "readiness.h"

#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <unordered_map>
#include <vector>

#include "arguments.h"
#include "environment.h"
#include "loop.h"

namespace effect_linux {

namespace {

// The events of poll(2), which have the same values for epoll. Errors and hang-ups are told without being asked for.
constexpr uint32_t kEvents = POLLIN | POLLPRI | POLLOUT | POLLERR | POLLHUP | POLLRDNORM | POLLRDBAND | POLLWRNORM |
                             POLLWRBAND | POLLRDHUP | 0x400 /* POLLMSG */;
constexpr uint32_t kAlways = POLLERR | POLLHUP;

// As many events as are told in one turn of the loop.
constexpr int kMostAtOnce = 512;

}  // namespace

class Readiness {
 public:
  Readiness(napi_env env, std::shared_ptr<Loop> loop) : env_(env), loop_(std::move(loop)) {}

  // An id, or -errno.
  int64_t Await(int fd, uint32_t events, napi_value callback) {
    if ((events & ~kEvents) != 0) return -EINVAL;
    const int error = Open();
    if (error != 0) return -error;
    const auto [found, is_new] = registrations_.try_emplace(fd);
    Registration& registration = found->second;
    if (is_new) registration.generation = ++generation_;
    uint32_t wanted = events;
    for (const uint32_t id : registration.waiters) wanted |= waiters_[id].events;
    int failed = Arm(is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, registration.generation, wanted);
    if (!is_new && failed != 0) {
      // The number was closed, and may have come back as another file.
      std::vector<uint32_t> gone = std::move(registration.waiters);
      registration = Registration{++generation_, {}};
      Dismiss(gone);
      if (failed == ENOENT) failed = Arm(EPOLL_CTL_ADD, fd, registration.generation, events);
    } else if (is_new && failed == EEXIST) {
      // Closed and opened again as the same file: what was left of it is taken over.
      failed = Arm(EPOLL_CTL_MOD, fd, registration.generation, events);
    }
    if (failed != 0) {
      registrations_.erase(found);
      return -failed;
    }
    do next_id_ = next_id_ % INT32_MAX + 1;
    while (waiters_.count(next_id_) != 0);
    registration.waiters.push_back(next_id_);
    Waiter& waiter = waiters_[next_id_];
    waiter.fd = fd;
    waiter.events = events;
    waiter.callback.Set(env_, callback);
    if (waiters_.size() == 1) watch_->Keep(true);
    return next_id_;
  }

  void Forget(uint32_t id) {
    const auto found = waiters_.find(id);
    if (found == waiters_.end()) return;
    const int fd = found->second.fd;
    found->second.callback.Clear(env_);
    waiters_.erase(found);
    Drop();
    const auto at = registrations_.find(fd);
    if (at == registrations_.end()) return;
    std::vector<uint32_t>& waiters = at->second.waiters;
    // Not there: its event is on the way to it.
    for (size_t i = 0; i < waiters.size(); i++) {
      if (waiters[i] != id) continue;
      waiters.erase(waiters.begin() + static_cast<std::ptrdiff_t>(i));
      if (waiters.empty()) Remove(at);
      return;
    }
  }

  // The environment goes.
  void End() {
    for (auto& entry : waiters_) entry.second.callback.Clear(env_);
    waiters_.clear();
    registrations_.clear();
    // Before the epoll instance, which it watches.
    watch_->Close();
    close(epoll_);
    epoll_ = -1;
  }

 private:
  struct Waiter {
    int fd = -1;
    uint32_t events = 0;
    Reference callback;
  };

  struct Registration {
    uint32_t generation = 0;
    std::vector<uint32_t> waiters;
  };

  using Registrations = std::unordered_map<int, Registration>;

  struct Event {
    uint32_t id;
    int result;
  };

  int Open() {
    if (watch_ != nullptr) return 0;
    if (epoll_ < 0) epoll_ = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) return errno;
    watch_ = loop_->OnEvents(epoll_, UV_READABLE, [this](int) { Collect(); });
    late_ = loop_->Timer([this](int) { TellLate(); });
    if (watch_ == nullptr || late_ == nullptr) return EAGAIN;
    loop_->AtEnd([this] { End(); });
    return 0;
  }

  // Returns 0 or an errno.
  int Arm(int operation, int fd, uint32_t generation, uint32_t events) {
    epoll_event event{};
    event.events = events | EPOLLONESHOT;
    event.data.u64 = static_cast<uint64_t>(generation) << 32 | static_cast<uint32_t>(fd);
    return epoll_ctl(epoll_, operation, fd, &event) == 0 ? 0 : errno;
  }

  void Remove(Registrations::iterator at) {
    // Fails where the number was closed, or is another file's by now: that is not registered, and nothing is lost.
    epoll_ctl(epoll_, EPOLL_CTL_DEL, at->first, nullptr);
    registrations_.erase(at);
  }

  void Drop() {
    if (waiters_.empty()) watch_->Keep(false);
  }

  // What they waited for is not there any more: they hear EBADF, but not from within the call that found it out.
  void Dismiss(const std::vector<uint32_t>& ids) {
    for (const uint32_t id : ids) dismissed_.push_back({id, -EBADF});
    if (!ids.empty()) late_->Start(0, 0);
  }

  void TellLate() {
    std::vector<Event> events;
    events.swap(dismissed_);
    Tell(events);
  }

  void Collect() {
    epoll_event seen[kMostAtOnce];
    const int count = epoll_wait(epoll_, seen, kMostAtOnce, 0);
    std::vector<Event> events;
    std::vector<uint32_t> gone;
    for (int i = 0; i < count; i++) {
      const auto found = registrations_.find(static_cast<int>(static_cast<uint32_t>(seen[i].data.u64)));
      if (found == registrations_.end() || found->second.generation != seen[i].data.u64 >> 32) continue;
      std::vector<uint32_t>& waiters = found->second.waiters;
      size_t kept = 0;
      uint32_t wanted = 0;
      for (const uint32_t id : waiters) {
        const uint32_t told = seen[i].events & (waiters_[id].events | kAlways);
        if (told != 0) {
          events.push_back({id, static_cast<int>(told)});
        } else {
          wanted |= waiters_[id].events;
          waiters[kept++] = id;
        }
      }
      waiters.resize(kept);
      if (kept == 0) {
        Remove(found);
      } else if (Arm(EPOLL_CTL_MOD, found->first, found->second.generation, wanted) != 0) {
        gone.insert(gone.end(), waiters.begin(), waiters.end());
        registrations_.erase(found);
      }
    }
    for (const uint32_t id : gone) events.push_back({id, -EBADF});
    if (!events.empty()) Tell(events);
  }

  // A callback may forget others, and wait anew.
  void Tell(const std::vector<Event>& events) {
    loop_->Enter([&] {
      for (const Event& event : events) {
        const auto found = waiters_.find(event.id);
        if (found == waiters_.end()) continue;
        napi_handle_scope scope;
        napi_open_handle_scope(env_, &scope);
        napi_value callback, result;
        const bool have = found->second.callback.Get(env_, &callback);
        found->second.callback.Clear(env_);
        waiters_.erase(found);
        Drop();
        napi_create_int32(env_, event.result, &result);
        if (have) loop_->CallBack(callback, 1, &result);
        napi_close_handle_scope(env_, scope);
      }
    });
  }

  const napi_env env_;
  const std::shared_ptr<Loop> loop_;
  int epoll_ = -1;
  LoopHandle* watch_ = nullptr;  // of the epoll instance
  LoopHandle* late_ = nullptr;
  std::unordered_map<uint32_t, Waiter> waiters_;
  Registrations registrations_;
  std::vector<Event> dismissed_;
  uint32_t generation_ = 0;
  uint32_t next_id_ = 0;
};

namespace {

Readiness& ReadinessOf(napi_env env) { return *Environment::Get(env)->readiness; }

// awaitReady(fd, events, callback): id, or -errno
napi_value AwaitReady(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value values[3];
  napi_get_cb_info(env, info, &count, values, nullptr, nullptr);
  int32_t fd = -1;
  uint32_t events = 0;
  napi_valuetype type = napi_undefined;
  if (count == 3) napi_typeof(env, values[2], &type);
  if (type != napi_function || napi_get_value_int32(env, values[0], &fd) != napi_ok ||
      napi_get_value_uint32(env, values[1], &events) != napi_ok) {
    ThrowType(env, "ERR_INVALID_ARG_TYPE", "awaitReady(fd, events, callback)");
    return nullptr;
  }
  napi_value result;
  napi_create_int64(env, ReadinessOf(env).Await(fd, events, values[2]), &result);
  return result;
}

// forget(id): its callback is not called any more.
napi_value Forget(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value value;
  uint32_t id = 0;
  napi_get_cb_info(env, info, &count, &value, nullptr, nullptr);
  if (count >= 1 && napi_get_value_uint32(env, value, &id) == napi_ok) ReadinessOf(env).Forget(id);
  return nullptr;
}

}  // namespace

void InitReadiness(napi_env env, napi_value exports) {
  Environment* environment = Environment::Get(env);
  environment->readiness = std::make_shared<Readiness>(env, environment->loop);
  const napi_property_descriptor properties[] = {
      {"awaitReady", nullptr, AwaitReady, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"forget", nullptr, Forget, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
  };
  napi_define_properties(env, exports, sizeof properties / sizeof *properties, properties);
}

}  // namespace effect_linux
