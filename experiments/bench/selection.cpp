// LAMP's choice in rows of 512 components, for every error weight, norm and solver, and every f.
#include <array>
#include <cmath>
#include <memory>

#include "core/selection/lamp.hpp"
#include "experiments/bench/operations.hpp"
#include "experiments/bench/row.hpp"
#include "experiments/commands/sample.hpp"

namespace lamp::experiments::bench {
namespace {

constexpr std::size_t length = 512, rows_of_a_kind = 8;

struct Sample {
  std::vector<double> y, z, w;
  double tau = 0.0;
};

/// Scores of about normal distribution, times `spread`; `peak` is added to one of them.
Sample row_of(RandomNumbers& random, double spread, double peak) {
  Sample row;
  for (std::size_t j = 0; j < length; ++j) {
    row.y.push_back(spread * random());
    row.w.push_back(std::fabs(row.y.back()) + spread * (1.0 + std::fabs(random())));
  }
  row.y[length / 3] += peak;
  double sum = 0.0;
  for (const double y : row.y) sum += row.z.emplace_back(std::exp(y));
  for (double& z : row.z) z /= sum;
  return row;
}

SelectionRow view(const Sample& row) {
  return {.z = row.z,
          .y = row.y,
          .w = row.w,
          .eps = 1e-5,
          .columns = row.w,
          .norm1 = static_cast<double>(length),
          .row_length = length};
}

/// Rows of several spreads, one with a peak, each under three budgets: shares of what it costs to
/// recompute nothing.
std::vector<Sample> samples(const SelectionSpec& spec, const Target& target) {
  struct Kind {
    double spread, peak;
  };
  constexpr std::array kinds{Kind{0.25, 0.0}, Kind{1.0, 0.0}, Kind{3.0, 0.0}, Kind{8.0, 0.0},
                             Kind{1.0, 12.0}};
  RandomNumbers random(1);
  const std::vector<std::uint8_t> none(length);
  std::vector<Sample> all;
  for (const Kind& kind : kinds)
    for (std::size_t r = 0; r < rows_of_a_kind; ++r)
      for (const double share : {0.9, 0.6, 0.3}) {
        Sample row = row_of(random, kind.spread, kind.peak);
        row.tau = share * cost_of_set(spec, target, view(row), none);
        all.push_back(std::move(row));
      }
  return all;
}

/// A key from z, scaled, made an integer, added to the sum of all; then compared with the cut, and
/// added where it stays. Weights: a magnitude and a product. Searching costs more, and is not
/// counted.
Operations least_operations(const SelectionSpec& spec) {
  const Operations keys = one_multiplication + 5 * one_operation;
  return spec.weights == ErrorWeights::absolute ? keys : keys + one_multiplication + one_operation;
}

}  // namespace

std::vector<Row> selection_rows(const std::string& target) {
  std::vector<Row> rows;
  for (const Target* f : all_targets)
    for (const auto& [weights_name, weights] : error_weights_names)
      for (const auto& [norm_name, norm] : norm_names)
        for (const auto& [solver_name, solver] : solver_names) {
          const SelectionSpec spec{.weights = weights, .norm = norm, .solver = solver, .tau = 1.0};
          if (!check(spec, *f).empty()) continue;
          if (f != &targets::softmax && weights != ErrorWeights::relative) continue;
          rows.push_back(
              {.group = Group::selection,
               .name = std::string(f->function) + ", " + std::string(weights_name) + ", " +
                       std::string(norm_name) + ", " + std::string(solver_name),
               .target = target,
               .bound = {.operations = least_operations(spec), .lane_bits = 64},
               .prepare = [f, spec] {
                 const auto all = std::make_shared<std::vector<Sample>>(samples(spec, *f));
                 const auto scratch = std::make_shared<SelectionScratch>();
                 const auto marks = std::make_shared<std::vector<std::uint8_t>>(length);
                 return Work{.units = static_cast<double>(length * all->size()), .run = [=] {
                               SelectionSpec now = spec;
                               for (const Sample& row : *all) {
                                 now.tau = row.tau;
                                 select_lamp(now, *f, view(row), *marks, *scratch);
                               }
                             }};
               }});
        }
  return rows;
}

}  // namespace lamp::experiments::bench
