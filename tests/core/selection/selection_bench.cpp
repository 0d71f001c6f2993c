// Prints ns per score of select_lamp for every error weight, norm and solver, over rows of
// several lengths: the mean over kinds of rows (softmax of scores of several spreads, and peaked
// ones) and over budgets, and the dearest of them; then of every other f. One thread.
//   lamp_selection_bench [scalar|avx2|avx512]
#include <time.h>  // NOLINT: clock_gettime is POSIX's

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "core/base/target.hpp"
#include "core/selection/lamp.hpp"
#include "tests/support/random.hpp"

namespace lamp {
namespace {

constexpr std::size_t rows_of_a_kind = 12;

struct Row {
  std::vector<double> y, z, w;
};

/// Scores of about normal distribution, times `spread`; `peak` is added to one of them.
Row softmax_row(test::Random& random, std::size_t n, double spread, double peak) {
  Row row;
  for (std::size_t j = 0; j < n; ++j) {
    double y = 0.0;
    for (int term = 0; term < 4; ++term) y += spread * random.symmetric() * std::sqrt(0.75);
    row.y.push_back(y);
    row.w.push_back(std::abs(y) + spread * (1.0 + random.uniform()));
  }
  row.y[random.below(static_cast<std::uint32_t>(n))] += peak;
  double sum = 0.0;
  for (const double y : row.y) sum += row.z.emplace_back(std::exp(y));
  for (double& z : row.z) z /= sum;
  return row;
}

struct Kind {
  double spread, peak;
};
constexpr Kind kinds[] = {{0.25, 0.0}, {1.0, 0.0}, {3.0, 0.0}, {8.0, 0.0}, {1.0, 12.0}};

/// Processor time of this thread in ns: what others do on the machine does not count.
double thread_time() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e9 * static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec);
}

SelectionRow view(const Row& row) {
  return {.z = row.z,
          .y = row.y,
          .w = row.w,
          .eps = 1e-5,
          .columns = row.w,
          .norm1 = static_cast<double>(row.y.size()),
          .row_length = row.y.size()};
}

/// Shortest ns a component of several passes over `rows`, every row under the budget of its own
/// that `tau_of` says.
template <class TauOf>
double shortest(const std::vector<Row>& rows, const Target& target, SelectionSpec spec,
                const TauOf& tau_of) {
  const std::size_t n = rows.front().z.size();
  SelectionScratch scratch;
  std::vector<std::uint8_t> marks(n);
  std::vector<double> taus;
  for (const Row& row : rows) taus.push_back(tau_of(row));
  double best = 1e300;
  for (int pass = 0; pass < 12; ++pass) {
    const double start = thread_time();
    for (std::size_t r = 0; r < rows.size(); ++r) {
      spec.tau = taus[r];
      select_lamp(spec, target, view(rows[r]), marks, scratch);
    }
    best = std::min(best, thread_time() - start);
  }
  return best / static_cast<double>(n * rows.size());
}

struct Cost {
  double mean = 0.0, dearest = 0.0;
};

Cost cost(std::size_t n, const Target& target, const SelectionSpec& spec) {
  Cost cost;
  std::size_t count = 0;
  test::Random random(1);
  for (const Kind& kind : kinds) {
    std::vector<Row> rows;
    for (std::size_t r = 0; r < rows_of_a_kind; ++r)
      rows.push_back(softmax_row(random, n, kind.spread, kind.peak));
    const auto add = [&](double ns) {
      cost.mean += ns, cost.dearest = std::max(cost.dearest, ns), ++count;
    };
    for (const double tau : {1.5, 1.1, 1.02})
      add(shortest(rows, target, spec, [=](const Row&) { return tau; }));
    const std::vector<std::uint8_t> none(n);
    for (const double share : {0.9, 0.6, 0.3})  // of what it costs to recompute nothing
      add(shortest(rows, target, spec, [&](const Row& row) {
        return share * cost_of_set(spec, target, view(row), none);
      }));
  }
  cost.mean /= static_cast<double>(count);
  return cost;
}

void bench() {
  constexpr const char* weights[] = {"absolute", "relative", "dot"};
  constexpr const char* norms[] = {"componentwise", "normwise1"};
  constexpr const char* solvers[] = {"greedy", "exact"};
  constexpr std::size_t lengths[] = {16, 64, 256, 512, 1024, 4096};
  std::printf("%-34s", "ns a score: mean (dearest), n =");
  for (const std::size_t n : lengths) std::printf(" %15zu", n);
  std::printf("\n");
  for (std::size_t w = 0; w < 3; ++w)
    for (std::size_t norm = 0; norm < 2; ++norm)
      for (std::size_t solver = 0; solver < 2; ++solver) {
        std::printf("%-10s %-14s %-8s", weights[w], norms[norm], solvers[solver]);
        for (const std::size_t n : lengths) {
          SelectionSpec spec{.weights = static_cast<ErrorWeights>(w),
                             .norm = static_cast<Norm>(norm),
                             .solver = static_cast<Solver>(solver)};
          const Cost here = cost(n, targets::softmax, spec);
          std::printf("  %6.1f (%5.1f)", here.mean, here.dearest);
        }
        std::printf("\n");
        std::fflush(stdout);
      }
}

/// The others, weights `relative` and what else they take.
void bench_targets() {
  constexpr std::size_t lengths[] = {64, 768, 3072};
  std::printf("%-34s", "ns a component, n =");
  for (const std::size_t n : lengths) std::printf(" %16zu", n);
  std::printf("\n");
  for (const Target* target : all_targets)
    for (const Norm norm : {Norm::componentwise, Norm::normwise1})
      for (const Solver solver : {Solver::greedy, Solver::exact}) {
        const SelectionSpec spec{
            .weights = ErrorWeights::relative, .norm = norm, .solver = solver, .tau = 1.0};
        if (target == &targets::softmax || !check(spec, *target).empty()) continue;
        if (norm == Norm::normwise1 && solver == Solver::exact) continue;  // greedy's set
        std::printf("%-10s %-14s %-8s", target->function.data(), name_in(norm_names, norm).data(),
                    name_in(solver_names, solver).data());
        for (const std::size_t n : lengths) {
          if (target == &targets::layer_norm && norm == Norm::componentwise && n > 1000)
            continue;  // O(n^2)
          const Cost here = cost(n, *target, spec);
          std::printf("  %7.1f (%5.1f)", here.mean, here.dearest);
        }
        std::printf("\n");
        std::fflush(stdout);
      }
}

}  // namespace
}  // namespace lamp

int main(int argc, char** argv) {
  if (argc > 1)
    if (const auto forced = lamp::force_target(argv[1]); !forced.ok())
      return std::fprintf(stderr, "lamp_selection_bench: no %s here\n", argv[1]), 1;
  lamp::bench();
  lamp::bench_targets();
  return 0;
}
