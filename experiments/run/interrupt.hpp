// SIGINT and SIGTERM while a run is on: the first asks it to stop at the next cell boundary, a
// second ends the process at once.
#pragma once

namespace lamp::experiments {

/// Installs the handlers for its lifetime. One at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
};

/// The signal that asked to stop, 0 for none.
int interrupted_by();

}  // namespace lamp::experiments
