// Prints millions of sets a second of best_sets, one thread, for rows of several lengths.
//   lamp_subsets_bench [scalar|avx2|avx512]
#include <time.h>  // NOLINT: clock_gettime is POSIX's

#include <algorithm>
#include <cstdio>

#include "analysis/truth/subsets.hpp"
#include "core/base/target.hpp"
#include "tests/analysis/truth/rows.hpp"

namespace {

/// Processor time of this thread in seconds: what others do on the machine does not count.
double thread_time() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

void bench() {
  using lamp::truth::SetError;
  lamp::test::Random random(1);
  std::printf("millions of sets a second\n%4s %9s %9s\n", "n", "rel", "l1");
  for (const std::size_t n : {4U, 8U, 12U, 16U, 20U, 24U}) {
    const lamp::test::ScoreRows rows = lamp::test::score_rows(random, n, 4.0, 0.1);
    const lamp::truth::LocalRow row(rows.low, rows.high);
    std::printf("%4zu", n);
    for (const SetError error : {SetError::rel, SetError::l1}) {
      const std::size_t calls = n < 18 ? std::size_t{1} << (18 - n) : 1;
      double shortest = 1e300;
      for (int pass = 0; pass < 5; ++pass) {
        const double start = thread_time();
        for (std::size_t call = 0; call < calls; ++call) lamp::truth::best_sets(row, error);
        shortest = std::min(shortest, thread_time() - start);
      }
      const auto sets = static_cast<double>(calls << n);
      std::printf(" %9.1f", 1e-6 * sets / shortest);
    }
    std::printf("\n");
    std::fflush(stdout);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1)
    if (const auto forced = lamp::force_target(argv[1]); !forced.ok())
      return std::fprintf(stderr, "lamp_subsets_bench: no %s here\n", argv[1]), 1;
  bench();
  return 0;
}
