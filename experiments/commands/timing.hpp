// Stopwatches for estimates: seconds of short runs, scaled up.
#pragma once

#include <algorithm>
#include <cstddef>
#include <ctime>

namespace lamp::experiments {

/// Processor time of this thread, which others at work on the machine do not stretch.
inline double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// Of the processor, for one call.
template <class Work>
double seconds_of(const Work& work) {
  const double start = thread_seconds();
  work();
  return thread_seconds() - start;
}

/// Seconds of work(full), scaled up from work(n) for the least n of first, 2 first, .. that takes
/// long enough; time grows with amount(n).
template <class Work, class Amount>
double extrapolated(std::size_t first, std::size_t full, const Amount& amount, const Work& work) {
  constexpr double enough_seconds = 1.5e-3;
  for (std::size_t n = std::min(first, full);; n = std::min(2 * n, full)) {
    double seconds = seconds_of([&] { work(n); });
    if (seconds < enough_seconds && n < full) continue;
    for (int again = 0; again < 2; ++again)
      seconds = std::min(seconds, seconds_of([&] { work(n); }));
    return seconds * amount(full) / amount(n);
  }
}

// What times grow with: the rows of a pass, and its causal entries.
inline double rows(std::size_t n) { return static_cast<double>(n); }
inline double triangle(std::size_t n) {
  return static_cast<double>(n) * static_cast<double>(n + 1) / 2.0;
}

}  // namespace lamp::experiments
