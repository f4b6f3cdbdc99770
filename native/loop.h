// What an environment has on its libuv loop: handles that call a C++ function, and the way from there to JavaScript.
// They are closed when the environment goes, and it waits for them: a worker's loop must not be closed with open
// handles on it. What the handles are for does not stand here.
//
// Everything is called on the JavaScript thread.
#ifndef EFFECT_LINUX_LOOP_H_
#define EFFECT_LINUX_LOOP_H_

#include <node_api.h>
#include <uv.h>

#include <functional>
#include <memory>
#include <vector>

namespace effect_linux {

class Loop;

// One handle. It keeps nothing alive until it is told to.
class LoopHandle {
 public:
  // Whether the loop goes on because of it, where it is started.
  void Keep(bool alive);
  // A timer: calls after so many milliseconds, and then every so many; not again where that is 0.
  void Start(uint64_t first, uint64_t then);
  // A poll handle, with UV_READABLE and so on.
  void Watch(int events);
  void Stop();
  // No call comes after this, and what was watched may be closed; the object is gone soon after.
  void Close();

 private:
  friend class Loop;
  uv_any_handle uv_{};
  std::function<void(int)> call_;
  std::shared_ptr<Loop> loop_;
};

class Loop : public std::enable_shared_from_this<Loop> {
 public:
  // Called with the events of a watched descriptor, or -errno; with 0 by all others. No handle scope is open: see
  // Enter.
  using Call = std::function<void(int)>;

  explicit Loop(napi_env env);

  // Null where there is no loop (any more), or it cannot be done; started but for timers.
  LoopHandle* OnEvents(int fd, int events, Call call);  // the loop sets O_NONBLOCK on it
  LoopHandle* BeforeWaiting(Call call);                 // once a turn, just before the loop looks for events
  LoopHandle* AfterWaiting(Call call);                  // once a turn, when it has dealt with them
  LoopHandle* Timer(Call call);                         // see Start

  // Runs `body` in a handle scope, as a callback of the loop: what JavaScript has put off by then (microtasks, ticks)
  // runs when it is over. Once for many calls is much cheaper than once for each.
  void Enter(const std::function<void()>& body);

  // Calls a JavaScript function, within Enter. What it throws is an uncaught exception: there is nobody to throw it to.
  void CallBack(napi_value function, size_t count, const napi_value* arguments);

  // Registers what is to be done when the environment goes, while the handles are still there: the last first.
  void AtEnd(std::function<void()> end) { ends_.push_back(std::move(end)); }

  // The environment goes: does what is to be done, closes every handle, and calls `done` when the last is closed.
  void Close(std::function<void()> done);

 private:
  friend class LoopHandle;
  template <typename T, typename Init>
  LoopHandle* Open(Call call, T uv_any_handle::*member, Init init);
  void Forget(LoopHandle* handle);

  napi_env env_;
  uv_loop_t* uv_ = nullptr;
  napi_async_context context_ = nullptr;
  std::vector<LoopHandle*> handles_;  // those not told to close
  size_t open_ = 0;                   // and those that are not closed yet
  bool going_ = false;
  std::vector<std::function<void()>> ends_;
  std::function<void()> done_;
};

}  // namespace effect_linux

#endif  // EFFECT_LINUX_LOOP_H_
