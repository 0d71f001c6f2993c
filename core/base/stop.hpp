// Ending work early that somebody no longer wants.
#pragma once

#include <atomic>
#include <exception>

namespace lamp {

/// A request to stop: 0 for none, else who asks, such as a signal by its number. Lock-free, so that
/// a signal handler may make it.
using StopRequest = std::atomic<int>;
static_assert(StopRequest::is_always_lock_free);

/// Thrown by work that was asked to stop. What it has made or shown until then is no result.
class Stopped final : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override { return "stopped on request"; }
};

/// Throws Stopped where there is a request. One load: it may be asked before every site of a pass.
inline void end_if_asked(const StopRequest* request) {
  if (request != nullptr && request->load(std::memory_order_relaxed) != 0) throw Stopped();
}

}  // namespace lamp
