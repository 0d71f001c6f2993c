// SIGINT and SIGTERM. Where nothing is to be kept they end the program with a line and 128 +
// signal; while a run is on, the first asks it to stop at the next site and publish what is
// finished, and any second one ends the program at once. On a terminal the first one says what a
// second one costs.
#pragma once

#include <string_view>

#include "core/base/stop.hpp"

namespace lamp::experiments {

/// Installs the handlers, for the rest of the program. System calls go on after them (SA_RESTART).
void handle_interrupts();

/// For its lifetime the first signal is a request. One at a time.
class InterruptGuard {
 public:
  /// `doing` what the first one asks for, and what a second one costs: literals of at most 120
  /// bytes.
  InterruptGuard(std::string_view doing, std::string_view cost);
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;
};

/// What work is to ask whether it goes on.
const StopRequest& stop_request();

/// The signal that asked to stop, 0 for none.
inline int interrupted_by() { return stop_request().load(); }

}  // namespace lamp::experiments
