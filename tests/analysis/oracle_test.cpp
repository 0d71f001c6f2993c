// The oracle against two implementations that share no line with it, forward() in binary64 and
// core/mpfr's pass without exponent limits; then its derivatives, each against the other and
// against central finite differences at 200 bits.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "analysis/metrics.hpp"
#include "analysis/oracle/derivatives.hpp"
#include "analysis/oracle/losses.hpp"
#include "analysis/oracle/pass.hpp"
#include "analysis/oracle/replacements.hpp"
#include "core/fp/rounding.hpp"
#include "core/model/forward.hpp"
#include "core/mpfr/forward.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/random.hpp"

namespace lamp {
namespace {

using oracle::Dual;
using oracle::Pass;
using oracle::Real;
using oracle::Score;
using test::Random;
using test::same_bits;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// 2 layers, 2 heads of 6 (sqrt 6 is no binary number), a head that is not the token vectors,
/// scores of the size of 1.
Model random_model(Activation activation, std::uint32_t seed = 1) {
  constexpr std::size_t n = 12, inner = 10, vocabulary = 13, positions = 7;
  Random random(seed);
  Model model;
  model.config = {.network = networks().front(),
                  .vocab_size = vocabulary,
                  .n_positions = positions,
                  .n_embd = n,
                  .n_layer = 2,
                  .n_head = 2,
                  .n_inner = inner,
                  .layer_norm_epsilon = 0x1.4f8b588e368f1p-10,  // no binary32 number
                  .activation = activation,
                  .tied = false,
                  .end_of_text = {}};
  const auto number = [&](double centre, double scale) {
    return static_cast<float>(centre + scale * random.symmetric());
  };
  const auto matrix = [&](std::size_t rows, std::size_t cols) {
    Matrix<float> x(rows, cols);
    for (float& value : x.flat()) value = number(0.0, 0.75);
    return x;
  };
  const auto vector = [&](std::size_t length, double centre) {
    std::vector<double> x(length);
    for (double& value : x) value = static_cast<double>(number(centre, 0.5));
    return x;
  };
  const auto norm = [&] { return LayerNormWeights{vector(n, 1.0), vector(n, 0.0)}; };
  const auto linear = [&](std::size_t in, std::size_t out) {
    const Matrix<float> w = matrix(in, out);
    return Linear{PackedMatrix(w.view()), vector(out, 0.0)};
  };
  Weights& w = model.weights;
  w.add(Site::embed, EmbeddingWeights{matrix(vocabulary, n), matrix(positions, n)});
  for (int l = 0; l < 2; ++l) {
    w.add(Site::ln_1, norm());
    w.add(Site::qkv, linear(n, 3 * n));
    w.add(Site::attn_proj, linear(n, n));
    w.add(Site::ln_2, norm());
    w.add(Site::mlp_fc, linear(n, inner));
    w.add(Site::mlp_proj, linear(inner, n));
  }
  w.add(Site::ln_f, norm());
  const Matrix<float> head = matrix(n, vocabulary);
  w.add(Site::logits, Linear{PackedMatrix(head.view()), {}});
  return model;
}

const Model& nano() {
  static const Model model = [] {
    Result<Model> read = read_model(std::string(LAMP_SOURCE_DIR) + "/data/models/gpt2-nano");
    REQUIRE(read.ok());
    return *std::move(read);
  }();
  return model;
}

const std::vector<TokenId> ids{3, 11, 0, 5, 5, 12};

/// Every site of a pass of lamp: (rows, width of the site in a head).
struct Everything final : TapSink {
  using Where = std::tuple<Site, std::size_t, std::size_t>;
  std::map<Where, std::vector<std::vector<double>>> sites;
  void values(const TapPoint& p, MatrixView<const double> x) override {
    for (std::size_t i = 0; i < x.rows; ++i) {
      const auto row = x.row(i).first(info(p.site).causal ? p.first_row + i + 1 : x.cols);
      sites[{p.site, p.layer.value, p.head.value}].emplace_back(row.begin(), row.end());
    }
  }
  void selected(const TapPoint&, std::span<const std::uint8_t>) override {}
};

Everything lamp_pass(const Model& model, const std::vector<TokenId>& tokens, const Arithmetic& a) {
  Everything all;
  Workspace workspace;
  forward(model, tokens, PrecisionPlan(a), {.activation = model.config.activation}, all, workspace);
  const std::size_t layers = model.config.n_layer, heads = model.config.n_head;
  REQUIRE(all.sites.size() == 3 + layers * (9 + 3 * heads));
  return all;
}

/// The same site of a pass of the oracle.
template <class S>
oracle::Matrix<S> site_of(const Pass<S>& pass, const Everything::Where& where) {
  const auto [site, l, h] = where;
  if (site == Site::embed) return pass.embed;
  if (site == Site::ln_f) return pass.ln_f;
  if (site == Site::logits) return pass.logits;
  const oracle::LayerValues<S>& v = pass.layers[l];
  const Eigen::Index d = v.values.cols() / static_cast<Eigen::Index>(v.scores.size());
  if (site == Site::scores) return v.scores[h];
  if (site == Site::softmax) return v.softmax[h];
  if (site == Site::values) return v.values.middleCols(static_cast<Eigen::Index>(h) * d, d);
  const std::map<Site, const oracle::Matrix<S>*> others{
      {Site::ln_1, &v.ln_1},       {Site::qkv, &v.qkv},           {Site::attn_proj, &v.attn_proj},
      {Site::resid_1, &v.resid_1}, {Site::ln_2, &v.ln_2},         {Site::mlp_fc, &v.mlp_fc},
      {Site::gelu, &v.gelu},       {Site::mlp_proj, &v.mlp_proj}, {Site::resid_2, &v.resid_2}};
  return *others.at(site);
}

double binary64_of(double x) { return x; }
double binary64_of(const Real& x) { return static_cast<double>(x); }

/// Largest difference over the largest magnitude of y; infinite where there is a NaN.
template <class S>
double difference(const oracle::Matrix<S>& x, const oracle::Matrix<S>& y) {
  REQUIRE((x.rows() == y.rows() && x.cols() == y.cols()));
  S most(0), largest(0);
  for (Eigen::Index i = 0; i < x.rows(); ++i)
    for (Eigen::Index j = 0; j < x.cols(); ++j) {
      using std::abs;
      const S d = abs(x(i, j) - y(i, j)), magnitude = abs(y(i, j));
      if (!(d <= most)) most = d;
      if (!(most == most)) return infinity;
      if (magnitude > largest) largest = magnitude;
    }
  return binary64_of(most) / binary64_of(largest);
}

template <class S>
double difference(const S& x, const S& y) {
  return difference<S>(oracle::Matrix<S>::Constant(1, 1, x), oracle::Matrix<S>::Constant(1, 1, y));
}

/// Over all sites, the largest difference between lamp's values and the oracle's, as a share of the
/// site's largest; and how many values have other bits when the oracle's are rounded to binary64.
struct Comparison {
  double worst = 0.0;
  std::size_t other_bits = 0, values = 0;
  std::string first{};
};

template <class S>
Comparison compare_sites(const Everything& lamp, const Pass<S>& pass) {
  Comparison c;
  for (const auto& [where, rows] : lamp.sites) {
    const oracle::Matrix<S> site = site_of(pass, where);
    REQUIRE(site.rows() == static_cast<Eigen::Index>(rows.size()));
    double most = 0.0, largest = 0.0;
    for (Eigen::Index i = 0; i < site.rows(); ++i) {
      const std::vector<double>& row = rows[static_cast<std::size_t>(i)];
      for (std::size_t j = 0; j < row.size(); ++j) {
        const double x = binary64_of(site(i, static_cast<Eigen::Index>(j)));
        if (const double d = std::abs(x - row[j]); !(d <= most))
          most = std::isnan(d) ? infinity : d;
        largest = std::max(largest, std::abs(row[j]));
        ++c.values;
        if (same_bits(x, row[j])) continue;
        ++c.other_bits;
        if (c.first.empty()) c.first = info(std::get<0>(where)).name;
      }
    }
    c.worst = std::max(c.worst, most / largest);
  }
  return c;
}

/// All scores of a pass.
template <class S>
std::vector<Score> scores_of(const Pass<S>& pass) {
  std::vector<Score> all;
  for (std::size_t l = 0; l < pass.layers.size(); ++l)
    for (std::size_t h = 0; h < pass.layers[l].scores.size(); ++h)
      for (std::size_t i = 0; i < pass.tokens.size(); ++i)
        for (std::size_t j = 0; j <= i; ++j) all.push_back({Layer{l}, Head{h}, i, j});
  return all;
}

template <class S>
const S& at(const oracle::ScoreValues<S>& values, const Score& s) {
  return values[s.layer.value][s.head.value](static_cast<Eigen::Index>(s.query),
                                             static_cast<Eigen::Index>(s.key));
}
template <class S>
const S& score_in(const Pass<S>& pass, const Score& s) {
  return pass.layers[s.layer.value].scores[s.head.value](static_cast<Eigen::Index>(s.query),
                                                         static_cast<Eigen::Index>(s.key));
}

/// Change: h is added to one score.
template <class S>
auto moved(const Score& s, const S& h) {
  return [s, h](const oracle::HeadScores<S>& y) {
    if (y.layer == s.layer && y.head == s.head)
      y.y(static_cast<Eigen::Index>(s.query), static_cast<Eigen::Index>(s.key)) += h;
  };
}

template <class S>
S inner(const oracle::Matrix<S>& x, const oracle::Matrix<S>& y) {
  return x.cwiseProduct(y).sum();
}

}  // namespace

// Tolerance: 128 u of the site's largest, for sums of up to 512 terms; measured: 10 and 33 u.
TEST_CASE("oracle: binary64 is near forward() in binary64 at every site", "[oracle]") {
  for (const auto& [label, activation] : activation_names) {
    const Model model = random_model(activation);
    const Pass<double> pass = oracle::forward<double>(oracle::Weights<double>(model), ids);
    const Comparison c = compare_sites(lamp_pass(model, ids, fused(binary64)), pass);
    CAPTURE(c.worst, c.first);

    CHECK(c.worst <= 0x1p-46);
    CHECK(c.other_bits > 0);  // another order of summation: a test that compares something
  }
  const std::vector<TokenId> tokens{464, 3, 4000, 1200, 77, 77, 2, 901, 33, 4094, 5, 6};
  const Pass<double> pass = oracle::forward<double>(oracle::Weights<double>(nano()), tokens);
  const Comparison c = compare_sites(lamp_pass(nano(), tokens, fused(binary64)), pass);
  CAPTURE(c.worst, c.first);

  CHECK(c.worst <= 0x1p-46);
}

TEST_CASE(
    "oracle: 200 bits, rounded to binary64, have the bits of mpfr:256 at every site; keys and "
    "values agree in nearly all their bits",
    "[oracle][mpfr]") {
  const auto check = [](const Model& model, const std::vector<TokenId>& tokens) {
    const Pass<Real> pass = oracle::forward<Real>(oracle::Weights<Real>(model), tokens);
    EarlierRows earlier(model.config, tokens.size());
    Everything all;
    mpfr::forward_unlimited(model, earlier, tokens, PrecisionPlan(unlimited(256)),
                            {.activation = model.config.activation}, all);
    const Comparison c = compare_sites(all, pass);
    CAPTURE(c.first, c.worst);
    CHECK(c.other_bits == 0);
    CHECK(c.values > 0);

    const Eigen::Index n = static_cast<Eigen::Index>(model.config.n_embd);
    for (std::size_t l = 0; l < model.config.n_layer; ++l) {
      const Matrix<mpfr::Number>& kept = earlier.unlimited->layers[l][0];
      oracle::Matrix<Real> twin(pass.positions(), 2 * n);
      for (Eigen::Index i = 0; i < twin.rows(); ++i)
        for (Eigen::Index j = 0; j < twin.cols(); ++j)
          mpfr_set(twin(i, j).backend().data(),
                   kept(static_cast<std::size_t>(i), static_cast<std::size_t>(j)).get(), MPFR_RNDN);
      const double d = difference<Real>(pass.layers[l].qkv.rightCols(2 * n), twin);
      CHECK(d <= std::ldexp(1.0, 20 - std::numeric_limits<Real>::digits));
      CHECK(d > 0.0);
    }
  };
  for (const auto& [label, activation] : activation_names) check(random_model(activation), ids);
  check(nano(), {464, 1200});

  // Negative control: one bit of one score is seen.
  const Model model = random_model(Activation::gelu);
  const Pass<Real> pass = oracle::forward<Real>(oracle::Weights<Real>(model), ids);
  Everything wrong = lamp_pass(model, ids, unlimited(256));
  double& score = wrong.sites[{Site::scores, 1, 0}][2][1];
  score = test::off_by_one_bit(score);
  CHECK(compare_sites(wrong, pass).other_bits == 1);
}

TEST_CASE("oracle: the derivative of each activation is that of dual numbers",
          "[oracle][derivatives]") {
  for (const auto& [label, activation] : activation_names)
    for (const double at : {-30.0, -2.5, -0x1p-40, 0x1p-40, 0.75, 3.0, 30.0}) {
      CAPTURE(label, at);
      const Real direct = oracle::activate_derivative(activation, Real(at)),
                 dual = oracle::activate(activation, Dual<Real>(Real(at), Real(1))).derivative;
      CHECK(abs(direct - dual) <= ldexp(abs(dual), -180));  // conditioned below 2^10, 200 bits
    }
}

TEST_CASE(
    "oracle: reverse gradient, dual numbers and finite differences of 200 bits agree for every "
    "score",
    "[oracle][derivatives]") {
  for (const Activation activation : {Activation::gelu_new, Activation::gelu}) {
    const oracle::Weights<Real> weights(random_model(activation));
    // A run away from the reference at every position that has a choice, so that no gradient of KL
    // is 0: one score of the first layer is another one.
    const Score changed{Layer{0}, Head{1}, 1, 0};
    const auto change = oracle::replace(changed, Real(1.5));
    const auto dual_change = oracle::replace(changed, Dual<Real>(1.5));
    const Pass<Real> reference = oracle::forward<Real>(weights, ids),
                     run = oracle::forward<Real>(weights, ids, change);
    const Pass<Dual<Real>> dual = oracle::forward<Dual<Real>>(weights, ids, dual_change);
    const auto kl = [&](const oracle::Matrix<Real>& logits) {
      return oracle::sum_of(oracle::kl(reference.logits, logits));
    };
    const auto likelihood = [&](const oracle::Matrix<Real>& logits) {
      return oracle::log_likelihood(logits, std::span(ids));
    };
    const oracle::Matrix<Real> dkl = oracle::kl_gradient(reference.logits, run.logits),
                               dlikelihood =
                                   oracle::log_likelihood_gradient(run.logits, std::span(ids));
    const oracle::ScoreValues<Real> kl_gradient = oracle::gradient(weights, run, dkl),
                                    likelihood_gradient =
                                        oracle::gradient(weights, run, dlikelihood);
    const Real h = ldexp(Real(1), -60);
    for (const Score& s : scores_of(run)) {
      CAPTURE(s.layer.value, s.head.value, s.query, s.key);
      const oracle::Matrix<Real> t = oracle::tangent(weights, dual, s, dual_change);
      const auto moved_by = [&](const Real& by) {
        return oracle::rerun(weights, run, s,
                             [&](const oracle::HeadScores<Real>& y) {
                               change(y);
                               moved(s, by)(y);
                             })
            .logits;
      };
      const oracle::Matrix<Real> up = moved_by(h), down = moved_by(-h);
      if (s.query == 0) {  // a row of one: softmax is 1 whatever the score
        CHECK((at(kl_gradient, s) == 0 && t.isZero(Real(0)) && up == run.logits));
        continue;
      }
      const auto agree = [&](const Real& reverse, const Real& forward_mode, const Real& quotient) {
        CHECK(difference(reverse, forward_mode) <= 0x1p-175);
        CHECK(difference(reverse, quotient) <= 0x1p-105);
        CHECK((reverse != quotient));
      };
      agree(at(kl_gradient, s), inner(dkl, t), (kl(up) - kl(down)) / (2 * h));
      if (s.query + 1 == ids.size())  // moves the last position's logits only
        CHECK((at(likelihood_gradient, s) == 0 && inner(dlikelihood, t) == 0));
      else
        agree(at(likelihood_gradient, s), inner(dlikelihood, t),
              (likelihood(up) - likelihood(down)) / (2 * h));
      CHECK(difference<Real>(t, (up - down) / (2 * h)) <= 0x1p-105);
    }
    // Negative control: a derivative that is wrong in its 170th bit is seen.
    const Score s{Layer{1}, Head{0}, 3, 2};
    const Real forward_mode = inner(dkl, oracle::tangent(weights, dual, s, dual_change));
    CHECK_FALSE(difference<Real>(at(kl_gradient, s) * (1 + ldexp(Real(1), -170)), forward_mode) <=
                0x1p-175);
  }
}

TEST_CASE("oracle: a direction through all scores at once", "[oracle][derivatives]") {
  const oracle::Weights<double> weights(nano());
  const std::vector<TokenId> tokens{464, 3, 4000, 1200, 77};
  const Pass<double> run = oracle::forward<double>(weights, tokens);
  const oracle::Matrix<double> dlogits =
      oracle::log_likelihood_gradient(run.logits, std::span(tokens));
  const oracle::ScoreValues<double> gradient = oracle::gradient(weights, run, dlogits);
  Random random(5);
  oracle::ScoreValues<double> direction = gradient;
  double along = 0.0, size = 0.0;
  for (const Score& s : scores_of(run)) {
    double& d = direction[s.layer.value][s.head.value](static_cast<Eigen::Index>(s.query),
                                                       static_cast<Eigen::Index>(s.key));
    d = random.symmetric();
    along += d * at(gradient, s);
    size += std::abs(d * at(gradient, s));
  }
  const oracle::Matrix<double> t =
      oracle::tangent_along(weights, oracle::forward<Dual<double>>(weights, tokens), Score{},
                            [&](const Score& s) { return at(direction, s); });
  CHECK(std::abs(inner(dlogits, t) - along) <= 0x1p-40 * size);
  CHECK(size > 0.0);
}

TEST_CASE("oracle: KL of a small change is half the variance of J e", "[oracle][derivatives]") {
  const oracle::Weights<Real> weights(random_model(Activation::gelu_new, 2));
  const Pass<Real> reference = oracle::forward<Real>(weights, ids);
  const Pass<Dual<Real>> dual = oracle::forward<Dual<Real>>(weights, ids);
  const Real h = ldexp(Real(1), -50);
  for (const Score& s : {Score{Layer{0}, Head{0}, 1, 0}, Score{Layer{0}, Head{1}, 4, 2},
                         Score{Layer{1}, Head{0}, 5, 5}}) {
    const Real predicted =
        oracle::half_variance(reference.logits, oracle::tangent(weights, dual, s));
    const Pass<Real> run = oracle::rerun(weights, reference, s, moved(s, h));
    const Real kl = oracle::sum_of(oracle::kl(reference.logits, run.logits));
    CHECK((predicted > 0));
    CHECK(difference<Real>(kl / (h * h), predicted) <= 0x1p-44);  // O(h)
  }
}

TEST_CASE("oracle: KL is the textbook's, and the one of the metrics", "[oracle][losses]") {
  Random random(9);
  for (const double spread : {1.0, 0x1p-30}) {
    constexpr std::size_t rows = 3, cols = 50;
    Matrix<double> reference(rows, cols), run(rows, cols);
    oracle::Matrix<Real> p(rows, cols), q(rows, cols);
    for (std::size_t i = 0; i < rows; ++i)
      for (std::size_t j = 0; j < cols; ++j) {
        reference(i, j) = 3.0 * random.symmetric();
        run(i, j) = reference(i, j) + spread * random.symmetric();
        p(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)) = reference(i, j);
        q(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)) = run(i, j);
      }
    const std::vector<Real> kl = oracle::kl(p, q);
    const oracle::Matrix<Real> log_p = oracle::log_softmax(p), log_q = oracle::log_softmax(q);
    const ReferenceDistribution distribution(reference, std::vector<TokenId>{0, 1, 2});
    PositionMetrics metrics;
    MetricsScratch scratch;
    metrics.resize(rows);
    compare(distribution, 0, run.view(), metrics, scratch);
    for (std::size_t t = 0; t < rows; ++t) {
      const Eigen::Index i = static_cast<Eigen::Index>(t);
      Real textbook(0);
      for (Eigen::Index v = 0; v < p.cols(); ++v)
        textbook += exp(log_p(i, v)) * (log_p(i, v) - log_q(i, v));
      CHECK(difference(textbook, kl[t]) <= 0x1p-190 / (spread * spread));
      CHECK(difference(metrics.kl[t], binary64_of(kl[t])) <= 0x1p-44 / spread);
    }
  }

  using Logits = oracle::Matrix<double>;
  const auto kl_of = [](std::vector<double> p, std::vector<double> q) {
    const auto row = [](std::vector<double>& x) {
      return Logits(Eigen::Map<Logits>(x.data(), 1, static_cast<Eigen::Index>(x.size())));
    };
    return oracle::mean_kl<double>(row(p), row(q));
  };
  CHECK(kl_of({0.5, 2.0}, {0.5, 2.0}) == 0.0);
  CHECK(kl_of({7.0}, {-3.0}) == 0.0);  // a vocabulary of one
  CHECK(kl_of({1.0, 2.0}, {1.0, -infinity}) == infinity);
  CHECK(kl_of({0.0, 0.0, -infinity}, {0.0, 0.0, 0.0}) == Approx(std::log(1.5)).epsilon(1e-14));
  CHECK(kl_of({0.0, -800.0}, {0.0, 0.0}) == Approx(std::log(2.0)).epsilon(1e-14));  // p is 0
  CHECK(kl_of({0.0, -730.0}, {0.0, 0.0}) == Approx(std::log(2.0)).epsilon(1e-14));  // q/p is inf
  CHECK(kl_of({0.0, 0.0}, {0.0, -100.0}) == Approx(50.0 - std::log(2.0)).epsilon(1e-14));
  CHECK(std::isnan(kl_of({1.0, 2.0}, {1.0, not_a_number})));
  CHECK(std::isnan(kl_of({1.0, 2.0}, {1.0, infinity})));
}

TEST_CASE("oracle: a score that is NaN or infinite, a sequence of one", "[oracle]") {
  const Model model = random_model(Activation::gelu_new);
  const oracle::Weights<double> weights(model);
  const Pass<double> plain = oracle::forward<double>(weights, ids);
  const Score s{Layer{0}, Head{1}, 3, 2};
  const auto with = [&](double value) {
    return oracle::forward<double>(weights, ids, oracle::replace(s, value));
  };
  for (const double value : {not_a_number, infinity}) {
    const Pass<double> run = with(value);
    CHECK((run.logits.topRows(3) == plain.logits.topRows(3)));  // no future key enters a row
    CHECK(run.logits.row(3).array().isNaN().all());
    CHECK(run.logits.row(5).array().isNaN().all());  // through keys and values of row 3
  }
  const Pass<double> masked = with(-infinity);
  CHECK(masked.layers[0].softmax[1](3, 2) == 0.0);
  CHECK(masked.layers[0].softmax[1].row(3).sum() == Approx(1.0).epsilon(1e-15));
  CHECK(masked.logits.allFinite());

  const std::vector<TokenId> one{4};
  const Pass<double> single = oracle::forward<double>(weights, one);
  CHECK(single.layers[1].softmax[0](0, 0) == 1.0);
  CHECK(compare_sites(lamp_pass(model, one, fused(binary64)), single).worst <= 0x1p-46);
  CHECK(oracle::log_likelihood(single.logits, std::span(one)) == 0.0);
  CHECK(oracle::log_likelihood_gradient(single.logits, std::span(one)).isZero(0.0));

  for (const auto& [label, form] : activation_names) {
    CAPTURE(label);
    const double below = form == Activation::relu ? 0.0 : -0.0;
    CHECK(same_bits(oracle::activate(form, -infinity), below));
    CHECK(same_bits(oracle::activate(form, -0.0), below));
    CHECK(same_bits(oracle::activate(form, 0.0), 0.0));
    CHECK(oracle::activate(form, infinity) == infinity);
    CHECK(std::isnan(oracle::activate(form, not_a_number)));
  }
}

TEST_CASE("oracle: a rerun is the whole run; KL of replacements one by one", "[oracle]") {
  const oracle::Weights<Real> weights(random_model(Activation::gelu));
  const Pass<Real> reference = oracle::forward<Real>(weights, ids);
  std::vector<oracle::Replacement<Real>> replacements;
  for (const Score& s : scores_of(reference))
    if (s.query + s.key == 5) replacements.push_back({s, score_in(reference, s) + Real(0.25)});
  // The base is a run of its own: all scores of the last head low, one of them put back.
  const auto all_low = [](const oracle::HeadScores<Real>& at) {
    if (at.head != Head{1}) return;
    for (Eigen::Index i = at.first_row; i < at.y.rows(); ++i)
      for (Eigen::Index j = 0; j <= i; ++j) at.y(i, j) = round(at.y(i, j) * 8) / 8;
  };
  const Pass<Real> low = oracle::forward<Real>(weights, ids, all_low);
  const std::vector<Real> one_low = oracle::kl_of_each(weights, reference, reference.logits,
                                                       replacements, 1),
                          threads = oracle::kl_of_each(weights, reference, reference.logits,
                                                       replacements, 3),
                          on_low = oracle::kl_of_each(weights, low, reference.logits, replacements,
                                                      2, all_low);
  CHECK((one_low == threads));
  REQUIRE(replacements.size() == 12);
  for (std::size_t r = 0; r < replacements.size(); ++r) {
    const auto& [score, value] = replacements[r];
    const auto one = oracle::replace(score, value);
    const auto whole = [&](const auto& before) {
      return oracle::mean_kl(
          reference.logits,
          oracle::forward<Real>(weights, ids, [&](const oracle::HeadScores<Real>& at) {
            before(at);
            one(at);
          }).logits);
    };
    CHECK((one_low[r] > 0));
    CHECK(difference(one_low[r], whole(oracle::no_change)) <= 0x1p-180);
    CHECK(difference(on_low[r], whole(all_low)) <= 0x1p-180);
    CHECK(difference(on_low[r], one_low[r]) > 0x1p-20);
  }
}

// KL is quadratic in the change c of the logits, half its variance; rounding errors e of the logits
// and of log q - log p turn c into c + e: KL is off by at most about sqrt(2 KL) |e| + e^2 / 2. What
// e is, the floor, is measured here: 2^-45, when logits of the size of 10 carry errors of some u.
TEST_CASE("oracle: the KL of binary64 runs with one score low, against 200 bits",
          "[oracle][exhaustive]") {
  constexpr double floor = 0x1p-45;
  const std::vector<TokenId> tokens{464, 3, 4000, 1200, 77, 77, 2, 901, 33, 4094, 5, 6};
  const oracle::Weights<double> weights(nano());
  const Pass<double> base = oracle::forward<double>(weights, tokens);
  const oracle::Weights<Real> exact_weights(nano());
  const Pass<Real> exact_base = oracle::forward<Real>(exact_weights, tokens);
  Random random(3);
  std::vector<oracle::Replacement<double>> low;
  std::vector<oracle::Replacement<Real>> exact;
  for (const Score& s : scores_of(base)) {
    if (s.query == 0 || random.below(8) != 0) continue;
    const double y = round(score_in(base, s), ps(2 + random.between(0, 3) * 7), Rounding::rne);
    low.push_back({s, y});
    exact.push_back({s, Real(y)});
  }
  const std::vector<double> kl = oracle::kl_of_each(weights, base, base.logits, low, 2);
  const std::vector<Real> truth =
      oracle::kl_of_each(exact_weights, exact_base, exact_base.logits, exact, 2);
  REQUIRE(kl.size() > 60);
  double smallest = infinity, largest = 0.0, worst = 0.0;
  for (std::size_t r = 0; r < kl.size(); ++r) {
    const double t = binary64_of(truth[r]), error = binary64_of(abs(Real(kl[r]) - truth[r]));
    CHECK(error <= std::sqrt(2.0 * t) * floor + floor * floor / 2.0);
    worst = std::max(worst, std::sqrt(2.0 * t + 2.0 * error) - std::sqrt(2.0 * t));
    smallest = std::min(smallest, t), largest = std::max(largest, t);
  }
  CAPTURE(std::log2(smallest), std::log2(largest), std::log2(worst));
  CHECK((smallest < 1e-18 && largest > 1e-8));  // far apart: the law is tried over ten decades
  CHECK(worst > floor / 64.0);                  // a floor that says something
}

}  // namespace lamp
