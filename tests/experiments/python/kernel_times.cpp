// The least seconds that the kernels take which the Python module calls, on one thread: a rounding
// of 10^6 numbers to e4m3fn, and a product of 512^3 in PS(7). For speed_test.py.
#include <chrono>
#include <cstdio>
#include <limits>
#include <vector>

#include "core/arith/gemm/gemm.hpp"
#include "core/fp/vector_rounding.hpp"

namespace {

template <class Work>
double least_seconds(int repeats, const Work& work) {
  using Clock = std::chrono::steady_clock;
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < repeats; ++i) {
    const Clock::time_point start = Clock::now();
    work();
    least = std::min(least, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return least;
}

std::vector<double> numbers(std::size_t n) {
  std::vector<double> x(n);
  for (std::size_t i = 0; i < n; ++i)
    x[i] = static_cast<double>(static_cast<int>(i * 2654435761U % 2001) - 1000) / 512.0;
  return x;
}

}  // namespace

int main() {
  constexpr std::size_t many = 1'000'000, n = 512;
  const std::vector<double> x = numbers(many), a = numbers(n * n), b = numbers(n * n);
  std::vector<double> y(many), c(n * n);
  const lamp::Arithmetic ps7 = lamp::lamp_paper(7);
  const double rounding = least_seconds(50, [&] { lamp::round_values(x, y, lamp::e4m3fn); });
  const double product = least_seconds(20, [&] {
    lamp::gemm(ps7, lamp::MatrixView<const double>(a.data(), n, n, n),
               lamp::MatrixView<const double>(b.data(), n, n, n),
               lamp::MatrixView<double>(c.data(), n, n, n));
  });
  std::printf("%.9f %.9f\n", rounding, product);
}
