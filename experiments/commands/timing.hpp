// Stopwatches for estimates: seconds of short runs, scaled up.
#pragma once

#include <algorithm>
#include <cstddef>
#include <ctime>

namespace lamp::experiments {

/// Processor time of this thread, which others at work on the machine do not stretch, unless they
/// share its core.
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

// What times grow with: the rows of a pass, and its causal entries.
inline double rows(std::size_t n) { return static_cast<double>(n); }
inline double triangle(std::size_t n) {
  return static_cast<double>(n) * static_cast<double>(n + 1) / 2.0;
}

/// A sample that runs as long is worth believing.
inline constexpr double enough_seconds = 2.5e-3;

/// The least of a few calls, each after `before`; short ones are repeated until the clock sees
/// them.
template <class Work, class Before>
double least_seconds(const Work& work, const Before& before) {
  constexpr double shortest = 5e-5;
  double least = 0.0;
  for (int again = 0; again < 3; ++again) {
    before();
    double calls = 0.0, spent = 0.0;
    do {
      spent += seconds_of(work);
      calls += 1.0;
    } while (spent < shortest);
    least = again == 0 ? spent / calls : std::min(least, spent / calls);
  }
  return least;
}

/// Seconds of work(full), from work(n) for the least n of first, 2 first, .. that takes long
/// enough; time grows with amount(n).
template <class Work, class Amount>
double extrapolated(std::size_t first, std::size_t full, const Amount& amount, const Work& work) {
  std::size_t n = std::min(first, full);
  work(n);  // the first call finds cold caches and fresh memory
  while (n < full && seconds_of([&] { work(n); }) < enough_seconds) n = std::min(2 * n, full);
  return least_seconds([&] { work(n); }, [] {}) * amount(full) / amount(n);
}

/// Seconds of work(rows, columns), which does as much for each element: from a part of both that
/// takes long enough. Rows come first, up to `together`: they share what is done once for all of
/// them. `before` each call that counts.
template <class Work, class Before>
double extrapolated_product(std::size_t all_rows, std::size_t together, std::size_t all_columns,
                            const Work& work, const Before& before) {
  const std::size_t most_rows = std::min(all_rows, together);
  std::size_t n = std::min<std::size_t>(most_rows, 8), c = std::min<std::size_t>(all_columns, 64);
  work(n, c);
  while (n < most_rows || c < all_columns) {
    if (seconds_of([&] { work(n, c); }) >= enough_seconds) break;
    (n < most_rows ? n : c) =
        std::min(4 * (n < most_rows ? n : c), n < most_rows ? most_rows : all_columns);
  }
  return least_seconds([&] { work(n, c); }, before) * rows(all_rows) / rows(n) * rows(all_columns) /
         rows(c);
}

}  // namespace lamp::experiments
