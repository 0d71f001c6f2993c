// Prints ns per element of every elementary function, on arrays, for each instruction set of this
// machine: in binary64, in binary32 and bfloat16 (rounded by additions), and in binary32 toward
// zero (Ziv's enclosure, one number at a time). One thread; the shortest of several passes.
//   lamp_elementary_bench [scalar|avx2|avx512]
#include <time.h>  // NOLINT: clock_gettime is POSIX's

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/target.hpp"
#include "core/fp/elementary.hpp"
#include "tests/support/random.hpp"

namespace lamp {
namespace {

/// Processor time of this thread in ns: what others do on the machine does not count.
double thread_time() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e9 * static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec);
}

struct Column {
  const char* name;
  FloatFormat format;
  Rounding mode;
  int passes;
};

constexpr Column columns[] = {
    {"binary64", binary64, Rounding::rne, 400},
    {"binary32", binary32, Rounding::rne, 400},
    {"bfloat16", bfloat16, Rounding::rne, 400},
    {"binary32 RTZ", binary32, Rounding::rtz, 20},
};

double shortest_pass(Function f, const std::vector<double>& x, std::vector<double>& y,
                     const Column& column) {
  double best = 1e300;
  for (int pass = 0; pass < column.passes; ++pass) {
    const double start = thread_time();
    evaluate(f, x, y, column.format, column.mode);
    best = std::min(best, thread_time() - start);
  }
  return best / static_cast<double>(x.size());
}

void bench() {
  test::Random random(1);
  std::vector<double> x(4096), y(x.size());
  std::printf("%-12s", "");
  for (const Column& column : columns) std::printf("%14s", column.name);
  std::printf("\n");
  for (const auto& [name, f] : functions) {
    for (double& value : x) {
      value = 8.0 * random.symmetric();
      if (f == Function::log || f == Function::rsqrt) value = std::abs(value);
      value = round(value, binary32);
    }
    std::printf("%-12s", std::string(name).c_str());
    for (const Column& column : columns) std::printf("%14.2f", shortest_pass(f, x, y, column));
    std::printf("\n");
  }
}

}  // namespace
}  // namespace lamp

int main(int argc, char** argv) {
  if (argc > 1) {
    if (const lamp::Result<void> forced = lamp::force_target(argv[1]); !forced)
      return std::fprintf(stderr, "lamp_elementary_bench: %s\n", forced.error().message.c_str()), 1;
  }
  std::printf("ns per element, %s\n",
              argc > 1 ? argv[1] : "the widest instruction set of this machine");
  lamp::bench();
  return 0;
}
