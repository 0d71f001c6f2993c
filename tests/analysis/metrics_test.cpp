// Metrics against MPFR at 256 bits, to a bound that follows the computation's roundings, and their
// laws.
#include "analysis/metrics.hpp"

#include <mpfr.h>

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "tests/support/bits.hpp"
#include "tests/support/random.hpp"

using namespace lamp;
using lamp::test::same_bits;

namespace {

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double u = 0x1p-53;

/// One MPFR number of 256 bits.
class Real {
 public:
  Real() { mpfr_init2(x_, 256), mpfr_set_zero(x_, 1); }
  explicit Real(double x) : Real() { mpfr_set_d(x_, x, MPFR_RNDN); }
  Real(const Real& other) : Real() { mpfr_set(x_, other.x_, MPFR_RNDN); }
  Real& operator=(const Real& other) { return mpfr_set(x_, other.x_, MPFR_RNDN), *this; }
  ~Real() { mpfr_clear(x_); }
  friend Real operator+(Real a, const Real& b) { return mpfr_add(a.x_, a.x_, b.x_, MPFR_RNDN), a; }
  friend Real operator-(Real a, const Real& b) { return mpfr_sub(a.x_, a.x_, b.x_, MPFR_RNDN), a; }
  friend Real operator*(Real a, const Real& b) { return mpfr_mul(a.x_, a.x_, b.x_, MPFR_RNDN), a; }
  friend Real exp(Real a) { return mpfr_exp(a.x_, a.x_, MPFR_RNDN), a; }
  friend Real log(Real a) { return mpfr_log(a.x_, a.x_, MPFR_RNDN), a; }
  [[nodiscard]] double value() const { return mpfr_get_d(x_, MPFR_RNDN); }

 private:
  mpfr_t x_;
};

/// log-softmax of a row of finite logits.
std::vector<Real> log_softmax(std::span<const double> x) {
  Real sum;
  for (const double value : x) sum = sum + exp(Real(value));
  const Real log_sum = log(sum);
  std::vector<Real> out;
  for (const double value : x) out.push_back(Real(value) - log_sum);
  return out;
}

/// Bound on the error of the computed log-probability of entry v. With s = x - max: fl(s) is off by
/// u |s|, exp by 2 u more, n - 1 additions by (n - 1) u; the logarithm turns relative into absolute
/// errors and adds 2 u of its own; the last subtraction u |log p|.
double log_error(std::span<const double> x, double log_p, std::size_t v) {
  const double most = *std::max_element(x.begin(), x.end()),
               least = *std::min_element(x.begin(), x.end());
  const double n = static_cast<double>(x.size());
  return u * (std::fabs(x[v] - most) + (most - least) + 2.0 + n + 2.0 * std::log(n) +
              std::fabs(log_p) + 1.0);
}

struct Expected {
  double kl = 0.0, kl_bound = 0.0;
};

/// sum of p (e^d - 1 - d), and how far the computed value may be: through d (derivative p (e^d -
/// 1), second order p e^d / 2), through p (its log-probability's error and 2 u of exp), 2^-50 of
/// expm1(d) - d, and n roundings of product and sum.
Expected expected_kl(std::span<const double> reference, std::span<const double> run) {
  const auto log_p = log_softmax(reference), log_q = log_softmax(run);
  const double n = static_cast<double>(run.size());
  Real sum;
  Expected out;
  for (std::size_t v = 0; v < run.size(); ++v) {
    const Real p = exp(log_p[v]), q = exp(log_q[v]), d = log_q[v] - log_p[v];
    const Real term = q - p - p * d;
    sum = sum + term;
    const double error_p = log_error(reference, log_p[v].value(), v),
                 error_q = log_error(run, log_q[v].value(), v);
    const double error_d = error_p + error_q + u * std::fabs(d.value());
    out.kl_bound += 1.01 * (std::fabs((q - p).value()) * error_d + q.value() * error_d * error_d +
                            term.value() * (error_p + 0x1p-50 + (n + 4.0) * u)) +
                    0x1p-1074;
  }
  out.kl = sum.value();
  return out;
}

/// Metrics of whole sequences at once.
struct Compared {
  PositionMetrics metrics;
  ReferenceDistribution reference;
};

Compared compare_all(const Matrix<double>& reference, const Matrix<double>& run,
                     const std::vector<TokenId>& tokens) {
  static Team team(3, 0.0);
  Compared out{{}, ReferenceDistribution(reference, tokens, &team)};
  static MetricsScratch scratch;
  out.metrics.resize(run.rows());
  compare(out.reference, 0,
          MatrixView<const double>(&run(0, 0), run.rows(), run.cols(), run.cols()), out.metrics,
          scratch);
  return out;
}

Matrix<double> random_logits(test::Random& random, std::size_t rows, std::size_t cols,
                             double spread) {
  Matrix<double> x(rows, cols);
  for (double& value : x.flat()) value = spread * random.symmetric();
  return x;
}

std::vector<TokenId> random_tokens(test::Random& random, std::size_t rows, std::size_t cols) {
  std::vector<TokenId> tokens(rows);
  for (auto& token : tokens) token = random.below(static_cast<std::uint32_t>(cols));
  return tokens;
}

double textbook_kl(std::span<const double> log_p, std::span<const double> run) {
  double sum = 0.0, kl = 0.0;
  for (const double x : run) sum += std::exp(x);
  for (std::size_t v = 0; v < run.size(); ++v)
    kl += std::exp(log_p[v]) * (log_p[v] - (run[v] - std::log(sum)));
  return kl;
}

}  // namespace

TEST_CASE("metrics: KL and cross-entropy agree with MPFR within the roundings", "[analysis]") {
  test::Random random(1);
  for (const auto& [rows, cols] : std::vector<std::pair<std::size_t, std::size_t>>{
           {1, 1}, {3, 2}, {7, 50}, {4, 512}, {5, 700}}) {
    for (const double spread : {1e-3, 1.0, 20.0, 300.0}) {
      const Matrix<double> reference = random_logits(random, rows, cols, spread);
      for (const double perturbation : {1e-12, 1e-9, 1e-4, 1.0, 30.0}) {
        Matrix<double> run = reference;
        for (double& value : run.flat()) value += perturbation * random.symmetric();
        const auto tokens = random_tokens(random, rows, cols);
        const Compared result = compare_all(reference, run, tokens);
        for (std::size_t t = 0; t < rows; ++t) {
          const Expected expected = expected_kl(reference.row(t), run.row(t));
          INFO("V " << cols << " spread " << spread << " perturbation " << perturbation);
          CHECK(std::fabs(result.metrics.kl[t] - expected.kl) <= expected.kl_bound);
          CHECK(result.metrics.kl[t] >= 0.0);
          if (t + 1 == rows) continue;
          const TokenId next = tokens[t + 1];
          const double log_q = log_softmax(run.row(t))[next].value(),
                       log_p = log_softmax(reference.row(t))[next].value();
          CHECK(std::fabs(result.metrics.cross_entropy[t] + log_q) <=
                log_error(run.row(t), log_q, next));
          CHECK(std::fabs(result.reference.cross_entropy()[t] + log_p) <=
                log_error(reference.row(t), log_p, next));
        }
      }
    }
  }
}

TEST_CASE("metrics: perturbations of 1e-9 keep their digits, which the textbook sum loses",
          "[analysis]") {
  test::Random random(2);
  for (int trial = 0; trial < 20; ++trial) {
    const Matrix<double> reference = random_logits(random, 2, 60, 4.0);
    Matrix<double> run = reference;
    for (double& value : run.flat()) value += 1e-9 * random.symmetric();
    const Compared result = compare_all(reference, run, {0, 1});
    for (std::size_t t = 0; t < 2; ++t) {
      const Expected expected = expected_kl(reference.row(t), run.row(t));
      CHECK(expected.kl > 1e-21);
      CHECK(expected.kl_bound <= 1e-3 * expected.kl);  // so what follows says something
      CHECK(std::fabs(result.metrics.kl[t] - expected.kl) <= expected.kl_bound);
      // Negative control: the check tells the textbook formula from the right one.
      const double textbook = textbook_kl(result.reference.log_probabilities(t), run.row(t));
      CHECK_FALSE(std::fabs(textbook - expected.kl) <= expected.kl_bound);
    }
  }
}

TEST_CASE("metrics: equal logits give exactly 0 and no flip, in any blocking", "[analysis][law]") {
  test::Random random(3);
  for (const double spread : {1.0, 50.0, 2000.0}) {
    const std::size_t rows = 11, cols = 1100;
    const Matrix<double> reference = random_logits(random, rows, cols, spread);
    const auto tokens = random_tokens(random, rows, cols);
    const Compared same = compare_all(reference, reference, tokens);
    for (std::size_t t = 0; t < rows; ++t)
      CHECK((same_bits(same.metrics.kl[t], 0.0) && same.metrics.flip[t] == 0));
    CHECK(same_bits(same.metrics.cross_entropy, same.reference.cross_entropy()));

    Matrix<double> run = reference;
    for (double& value : run.flat()) value += 0.1 * random.symmetric();
    const Compared whole = compare_all(reference, run, tokens);
    PositionMetrics blocks;
    blocks.resize(rows);
    static MetricsScratch scratch;
    for (std::size_t first = 0; first < rows;) {
      const std::size_t count = std::min<std::size_t>(1 + random.below(5), rows - first);
      compare(whole.reference, first, MatrixView<const double>(&run(first, 0), count, cols, cols),
              blocks, scratch);
      first += count;
    }
    CHECK(same_bits(blocks.kl, whole.metrics.kl));
    CHECK(same_bits(blocks.cross_entropy, whole.metrics.cross_entropy));
    CHECK(blocks.flip == whole.metrics.flip);
  }
}

TEST_CASE("metrics: entries of probability 0 on both sides add nothing, with p kept or not",
          "[analysis][law]") {
  test::Random random(4);
  const std::size_t cols = 900, padded = ReferenceDistribution::stored_probabilities + 1;
  const Matrix<double> reference = random_logits(random, 1, cols, 5.0),
                       run = random_logits(random, 1, cols, 5.0);
  Matrix<double> long_reference(1, padded, -infinity), long_run(1, padded, -infinity);
  std::copy(reference.flat().begin(), reference.flat().end(), long_reference.flat().begin());
  std::copy(run.flat().begin(), run.flat().end(), long_run.flat().begin());
  const Compared shorter = compare_all(reference, run, {0}),
                 longer = compare_all(long_reference, long_run, {0});
  CHECK_FALSE(shorter.reference.probabilities(0).empty());
  CHECK(longer.reference.probabilities(0).empty());
  CHECK(same_bits(shorter.metrics.kl, longer.metrics.kl));
  CHECK(shorter.metrics.flip == longer.metrics.flip);
}

TEST_CASE("metrics: the argmax flips at the lowest index of the largest logit", "[analysis]") {
  Matrix<double> reference(1, 3), run(1, 3);
  const auto flips = [&](std::array<double, 3> p, std::array<double, 3> q) {
    std::copy(p.begin(), p.end(), reference.flat().begin());
    std::copy(q.begin(), q.end(), run.flat().begin());
    return compare_all(reference, run, {0}).metrics.flip[0] != 0;
  };
  CHECK_FALSE(flips({1.0, 2.0, 0.0}, {0.0, 3.0, 3.0}));
  CHECK(flips({1.0, 2.0, 0.0}, {3.0, 3.0, 0.0}));
  CHECK(flips({1.0, 2.0, 0.0}, {0.0, 1.0, 3.0}));
  CHECK_FALSE(flips({-0.0, 0.0, -1.0}, {0.0, -0.0, -1.0}));
}

TEST_CASE("metrics: probabilities of 0 and logits that are not numbers", "[analysis]") {
  const auto of = [](std::vector<double> p, std::vector<double> q) {
    Matrix<double> reference(2, p.size()), run(2, p.size());
    for (std::size_t t = 0; t < 2; ++t) {
      std::copy(p.begin(), p.end(), reference.row(t).begin());
      std::copy(q.begin(), q.end(), run.row(t).begin());
    }
    return compare_all(reference, run, {0, 1}).metrics;
  };
  SECTION("p = 0 contributes q") {
    // log p = -800: exp underflows. KL = q_1 + p_0 (expm1(d) - d), here q = (1/2, 1/2): 1/2 + (1/2
    // - 1 + log 2).
    const PositionMetrics m = of({0.0, -800.0}, {0.0, 0.0});
    CHECK(m.kl[0] == Approx(std::log(2.0)).epsilon(1e-15));
    CHECK(of({0.0, -infinity}, {0.0, 0.0}).kl[0] == m.kl[0]);
    CHECK(of({0.0, -720.0}, {0.0, 0.0}).kl[0] ==
          Approx(std::log(2.0)).epsilon(1e-15));  // p > 0, q/p overflows
    CHECK(same_bits(of({0.0, -infinity}, {0.0, -infinity}).kl[0], 0.0));
    CHECK(same_bits(of({0.0, -720.0}, {0.0, -720.0}).kl[0], 0.0));
    CHECK(same_bits(of({0.0, -800.0}, {0.0, -800.0}).cross_entropy[0], 800.0));
  }
  SECTION("q = 0 where p is not: infinite") {
    const PositionMetrics m = of({0.0, 0.0}, {0.0, -infinity});
    CHECK(m.kl[0] == infinity);
    CHECK(m.cross_entropy[0] == infinity);
    CHECK(m.flip[0] == 0);
  }
  SECTION("certainty has cross-entropy +0") {
    CHECK(same_bits(of({-infinity, 0.0}, {-infinity, 0.0}).cross_entropy[0], 0.0));
  }
  SECTION("NaN anywhere: KL and cross-entropy NaN, a flip") {
    for (const auto& [p, q] : std::vector<std::pair<std::vector<double>, std::vector<double>>>{
             {{1.0, 0.0, 0.0}, {1.0, 0.0, nan_value}},
             {{1.0, nan_value, 0.0}, {1.0, 0.0, 0.0}},
             {{nan_value, 0.0}, {nan_value, 0.0}}}) {
      const PositionMetrics m = of(p, q);
      CHECK(std::isnan(m.kl[0]));
      CHECK(m.flip[0] == 1);
    }
    CHECK(std::isnan(of({1.0, 0.0, 0.0}, {1.0, 0.0, nan_value}).cross_entropy[0]));
  }
  SECTION("+inf and all -inf: no distribution, but an argmax") {
    PositionMetrics m = of({0.0, 1.0}, {0.0, infinity});
    CHECK(std::isnan(m.kl[0]));
    CHECK(std::isnan(m.cross_entropy[0]));
    CHECK(m.flip[0] == 0);
    m = of({1.0, 0.0}, {-infinity, -infinity});
    CHECK(std::isnan(m.kl[0]));
    CHECK(m.flip[0] == 0);
  }
  SECTION("a NaN late in a long row") {
    std::vector<double> q(1000, 0.0);
    q[997] = nan_value;
    CHECK(of(std::vector<double>(1000, 0.0), q).flip[0] == 1);
  }
}

TEST_CASE("metrics: means are plain sums in index order", "[analysis]") {
  PositionMetrics m;
  m.resize(3);
  m.kl = {1.0, 0x1p-53, 0x1p-53};  // in index order 1 + 2^-53 + 2^-53 stays 1
  m.flip = {1, 0, 1};
  m.cross_entropy = {2.0, 4.0};
  const MeanMetrics mean_of = means(m);
  CHECK(same_bits(mean_of.kl, 1.0 / 3.0));
  CHECK(same_bits(mean_of.flip_rate, 2.0 / 3.0));
  CHECK(same_bits(mean_of.cross_entropy, 3.0));
  m.resize(1);
  CHECK(std::isnan(means(m).cross_entropy));  // one position predicts nothing
  m.kl = {nan_value};
  CHECK(std::isnan(means(m).kl));
}
