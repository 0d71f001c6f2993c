// Student's quantiles against 40 digits of mpmath (the incomplete beta function, bisected),
// intervals by hand, and what stopping at a narrow interval does to how often it holds the mean.
#include "analysis/intervals.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numbers>

#include "tests/support/random.hpp"

namespace lamp {
namespace {

constexpr double inf = std::numeric_limits<double>::infinity();
constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

/// Two independent ones a pair of uniform numbers (Box and Muller).
double normal(test::Random& random) {
  return std::sqrt(-2.0 * std::log(1.0 - random.uniform())) *
         std::cos(2.0 * std::numbers::pi * random.uniform());
}

struct Population {
  double mean;
  std::function<double(test::Random&)> draw;
};

const std::map<std::string, Population> populations{
    {"normal, 33 %", {1.0, [](auto& r) { return 1.0 + 0.33 * normal(r); }}},
    {"lognormal, sigma 0.33",
     {std::exp(0.33 * 0.33 / 2.0), [](auto& r) { return std::exp(0.33 * normal(r)); }}},
    {"lognormal, sigma 1", {std::exp(0.5), [](auto& r) { return std::exp(normal(r)); }}},
    {"Pareto, index 2.5",
     {2.5 / 1.5, [](auto& r) { return std::pow(1.0 - r.uniform(), -1.0 / 2.5); }}}};

/// Of many runs: how often the interval at the end holds the mean, how many values it took, how far
/// the mean was off on average (as a share), and the share that ended at the limit.
struct Outcome {
  double coverage = 0.0, count = 0.0, bias = 0.0, limited = 0.0;
};

Outcome simulated(const Population& population, double asked, std::size_t first,
                  std::size_t limit) {
  constexpr int runs = 4000;
  const std::vector<std::size_t> ends = round_ends(first, limit);
  std::vector<double> quantiles;
  for (const std::size_t end : ends) quantiles.push_back(t_quantile(0.95, end - 1));
  test::Random random(12);
  Outcome outcome;
  for (int run = 0; run < runs; ++run) {
    std::vector<double> values;
    for (std::size_t round = 0; round < ends.size(); ++round) {
      while (values.size() < ends[round]) values.push_back(population.draw(random));
      const MeanInterval found = t_interval(values, quantiles[round]);
      if (found.relative_error() > asked && ends[round] < limit) continue;
      const double off = found.mean - population.mean;
      outcome.coverage += std::abs(off) <= found.half_width ? 1.0 : 0.0;
      outcome.count += static_cast<double>(values.size());
      outcome.bias += off / population.mean;
      outcome.limited += found.relative_error() > asked ? 1.0 : 0.0;
      break;
    }
  }
  for (double* sum : {&outcome.coverage, &outcome.count, &outcome.bias, &outcome.limited})
    *sum /= runs;
  return outcome;
}

}  // namespace

TEST_CASE("intervals: quantiles of Student's distribution", "[intervals]") {
  struct Row {
    double confidence;
    std::size_t freedom;
    double t;
  };
  constexpr std::array rows{Row{0.5, 1, 1.0},
                            Row{0.5, 8, 0.7063866126448386},
                            Row{0.5, 9999, 0.67451428693734606},
                            Row{0.9, 2, 2.9199855803537261},
                            Row{0.9, 99, 1.660391156016991},
                            Row{0.95, 1, 12.706204736174693},
                            Row{0.95, 2, 4.3026527297494618},
                            Row{0.95, 3, 3.1824463052837084},
                            Row{0.95, 4, 2.7764451051977935},
                            Row{0.95, 7, 2.3646242515927847},
                            Row{0.95, 18, 2.100922040241038},
                            Row{0.95, 100, 1.9839715185235519},
                            Row{0.95, 599, 1.9639322489452785},
                            Row{0.99, 1, 63.656741162871524},
                            Row{0.99, 19, 2.8609346064649788},
                            Row{0.99, 9999, 2.5763210958565974},
                            Row{0.9999, 2, 99.992499843750038},
                            Row{0.9999, 7, 7.8845842624167393}};
  for (const Row& row : rows) {
    INFO(row.confidence << " with " << row.freedom);
    CHECK(t_quantile(row.confidence, row.freedom) == Approx(row.t).epsilon(1e-11).margin(0.0));
  }
}

TEST_CASE("intervals: of a few values, by hand", "[intervals]") {
  const std::array values{1.0, 2.0, 6.0};  // mean 3, variance 7
  const MeanInterval found = t_interval(values, 2.0);
  CHECK(found.mean == 3.0);
  CHECK(found.half_width == Approx(2.0 * std::sqrt(7.0 / 3.0)).epsilon(1e-15));
  CHECK(found.relative_error() == found.half_width / 3.0);
  const std::array mirrored{-1.0, -2.0, -6.0};
  CHECK(t_interval(mirrored, 2.0).relative_error() == found.relative_error());
}

TEST_CASE("intervals: none, one, equal, opposite and not finite values", "[intervals]") {
  CHECK(std::isnan(t_interval({}, 2.0).mean));
  const std::array one{4.0};
  CHECK(t_interval(one, 2.0).mean == 4.0);
  CHECK(std::isnan(t_interval(one, 2.0).relative_error()));
  const std::array equal{0.1, 0.1, 0.1};  // whose rounded mean is another number
  CHECK(t_interval(equal, 2.0).mean == 0.1);
  CHECK(t_interval(equal, 2.0).relative_error() == 0.0);
  const std::array zeros{0.0, 0.0};
  CHECK(t_interval(zeros, 2.0).relative_error() == 0.0);
  const std::array opposite{-1.0, 1.0};
  CHECK(t_interval(opposite, 2.0).relative_error() == inf);
  for (const double bad : {inf, -inf, nan_value}) {
    const std::array values{1.0, bad};
    CHECK(std::isnan(t_interval(values, 2.0).mean));
    CHECK(std::isnan(t_interval(values, 2.0).half_width));
  }
}

TEST_CASE("intervals: rounds grow by a quarter and end at the limit", "[intervals]") {
  CHECK(round_ends(8, 40) == std::vector<std::size_t>{8, 10, 13, 17, 22, 28, 35, 40});
  CHECK(round_ends(8, 8) == std::vector<std::size_t>{8});
  CHECK(round_ends(8, 3) == std::vector<std::size_t>{3});
  CHECK(round_ends(1, 4) == std::vector<std::size_t>{1, 2, 3, 4});
}

TEST_CASE("intervals: how often one holds the mean that its own narrowness ended", "[intervals]") {
  // The table of analysis/README.md; a coverage of 4000 runs is known to 0.4 points.
  struct Row {
    const char* population;
    double asked;
    std::size_t first;
    double least, most;  // coverage
    double least_bias, most_bias;
  };
  constexpr std::array rows{Row{"normal, 33 %", 0.1, 8, 0.92, 0.96, -0.005, 0.02},
                            Row{"normal, 33 %", 0.1, 4, 0.91, 0.95, -0.005, 0.02},
                            Row{"lognormal, sigma 0.33", 0.1, 8, 0.92, 0.95, -0.01, 0.005},
                            Row{"lognormal, sigma 0.33", 0.1, 4, 0.90, 0.94, -0.01, 0.005},
                            Row{"lognormal, sigma 1", 0.2, 8, 0.88, 0.92, -0.03, -0.01},
                            Row{"Pareto, index 2.5", 0.2, 8, 0.70, 0.76, -0.09, -0.05}};
  for (const Row& row : rows) {
    const Outcome found = simulated(populations.at(row.population), row.asked, row.first, 400);
    INFO(row.population << ", " << row.asked << " asked, from " << row.first << ": coverage "
                        << found.coverage << ", values " << found.count << ", bias " << found.bias
                        << ", at the limit " << found.limited);
    CHECK(found.coverage >= row.least);
    CHECK(found.coverage <= row.most);
    CHECK(found.bias >= row.least_bias);
    CHECK(found.bias <= row.most_bias);
    CHECK(found.limited < 0.02);
  }
}

TEST_CASE("intervals: the table of coverages", "[.][exhaustive]") {
  for (const auto& [name, population] : populations)
    for (const double asked : {0.05, 0.1, 0.2})
      for (const std::size_t first : {4U, 8U, 16U}) {
        const Outcome found = simulated(population, asked, first, 600);
        WARN(name << ", " << asked << " from " << first << ": coverage " << found.coverage
                  << ", values " << found.count << ", bias " << found.bias << ", at the limit "
                  << found.limited);
      }
}

}  // namespace lamp
