// Norms against Eigen's decompositions; the risk score of layers by its laws. Its numbers are
// checked against GPT-2 once more in numpy (tests/experiments/truth_test.py).
#include "analysis/truth/layer_risk.hpp"

#include <Eigen/Eigenvalues>
#include <Eigen/SVD>
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "analysis/truth/operator_norms.hpp"
#include "tests/analysis/truth/question.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/random.hpp"

namespace lamp {
namespace {

using test::same_bits;

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// a(i, j) = f(i, j).
template <class F>
Matrix<double> matrix(std::size_t rows, std::size_t cols, F&& f) {
  Matrix<double> a(rows, cols);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t j = 0; j < cols; ++j) a(i, j) = f(i, j);
  return a;
}

double eigen_norm(const Matrix<double>& a) {
  Eigen::MatrixXd m(static_cast<Eigen::Index>(a.rows()), static_cast<Eigen::Index>(a.cols()));
  for (std::size_t i = 0; i < a.rows(); ++i)
    for (std::size_t j = 0; j < a.cols(); ++j)
      m(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)) = a(i, j);
  return Eigen::JacobiSVD<Eigen::MatrixXd>(m).singularValues()(0);
}

/// Of the largest singular value: what the header promises, and Eigen's rounding.
bool is_near(double found, double expected) {
  return std::abs(found - expected) <= (0x1p-34 + 0x1p-38) * expected;
}

TEST_CASE("spectral norm: Eigen's largest singular value, for any shape and gap",
          "[truth][layers]") {
  test::Random random(1);
  for (const auto& [rows, cols] : std::vector<std::pair<std::size_t, std::size_t>>{
           {1, 1}, {1, 7}, {9, 1}, {2, 2}, {5, 33}, {40, 12}, {33, 33}}) {
    CAPTURE(rows, cols);
    const std::size_t last = std::min(rows, cols) - 1;
    for (int kind = 0; kind < 4; ++kind) {
      CAPTURE(kind);
      Matrix<double> a =
          matrix(rows, cols, [&](std::size_t, std::size_t) { return random.symmetric(); });
      if (kind == 1)  // all singular values alike, or all but one 0
        a = matrix(rows, cols, [](std::size_t i, std::size_t j) { return i == j ? 3.0 : 0.0; });
      if (kind == 2)
        a = matrix(rows, cols, [](std::size_t i, std::size_t j) {
          return static_cast<double>(i + 1) * (static_cast<double>(j) - 2.5);
        });
      if (kind ==
          3)  // the largest two differ by 1 in 10^7, the largest last: no vector starts there
        a = matrix(rows, cols, [&](std::size_t i, std::size_t j) {
          return i != j ? 0.0 : i == last ? 1.0 + 1e-7 : 1.0;
        });
      const double found = truth::spectral_norm(a.view()), expected = eigen_norm(a);
      INFO(found << " " << expected);
      CHECK(is_near(found, expected));
      CHECK(is_near(truth::spectral_norm(std::as_const(a).view().transposed()), expected));
    }
  }
}

TEST_CASE("spectral norm: scales without overflow; zeros and what is not finite",
          "[truth][layers]") {
  test::Random random(2);
  const Matrix<double> a =
      matrix(6, 4, [&](std::size_t, std::size_t) { return random.symmetric(); });
  const double norm = truth::spectral_norm(a.view());
  for (const int e : {-1000, 1000}) {
    const Matrix<double> scaled =
        matrix(6, 4, [&](std::size_t i, std::size_t j) { return std::ldexp(a(i, j), e); });
    CHECK(same_bits(truth::spectral_norm(scaled.view()), std::ldexp(norm, e)));
  }
  CHECK(same_bits(truth::spectral_norm(Matrix<double>(3, 2).view()), 0.0));
  CHECK(same_bits(truth::spectral_norm(Matrix<double>(0, 2).view()), 0.0));
  for (const double bad : {infinity, -infinity, not_a_number}) {
    Matrix<double> b = a;
    b(5, 1) = bad;
    CHECK(std::isnan(truth::spectral_norm(b.view())));
  }
}

TEST_CASE("softmax's Jacobian: Eigen's largest eigenvalue", "[truth][layers]") {
  test::Random random(3);
  std::vector<std::vector<double>> rows{
      {1.0},           {1.0, 0.0, 0.0},          {0.5, 0.5},
      {0.4, 0.4, 0.2}, {0.25, 0.25, 0.25, 0.25}, {1.0 - 0x1p-30, 0x1p-30}};
  for (std::size_t n = 1; n < 40; n += 3)
    for (const double sharp : {0.1, 3.0, 30.0}) {
      std::vector<double>& z = rows.emplace_back();
      double sum = 0.0;
      for (std::size_t j = 0; j < n; ++j) {
        z.push_back(std::exp(sharp * random.symmetric()));
        sum += z.back();
      }
      for (double& x : z) x /= sum;
    }
  for (const std::vector<double>& z : rows) {
    const Eigen::Map<const Eigen::VectorXd> v(z.data(), static_cast<Eigen::Index>(z.size()));
    const Eigen::MatrixXd jacobian = Eigen::MatrixXd(v.asDiagonal()) - v * v.transpose();
    const double expected = Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(jacobian)
                                .eigenvalues()
                                .maxCoeff(),
                 found = truth::softmax_jacobian_norm(z);
    CAPTURE(z, found, expected);
    CHECK(std::abs(found - expected) <= 0x1p-50);
  }
  CHECK(same_bits(truth::softmax_jacobian_norm({}), 0.0));
  for (const double bad : {infinity, not_a_number})
    CHECK(std::isnan(truth::softmax_jacobian_norm(std::array{0.5, bad, 0.5})));
}

TEST_CASE("risk of layers: the same for any number of threads; NaN stays one; stops",
          "[truth][layers]") {
  const test::Asked asked = test::asked_of_ps(test::sorter(), 8, 4);
  const ModelConfig& config = asked.model.config;
  CHECK(truth::has_layer_risk(config));
  Network other_network = *config.network;
  other_network.model_type = "other";
  ModelConfig other_config = config;
  other_config.network = &other_network;
  CHECK_FALSE(truth::has_layer_risk(other_config));
  KeptPass pass(config, 8);
  Workspace workspace;
  forward(asked.model, asked.tokens, asked.reference, asked.options, pass, workspace);
  const auto norms = truth::layer_norms(asked.model, 1, {}),
             again = truth::layer_norms(asked.model, 3, {});
  REQUIRE((norms.has_value() && again.has_value()));
  const std::vector<double> risk = truth::layer_risk(config, *norms, pass);
  REQUIRE(risk.size() == 3);
  CHECK((0.0 < risk[2] && risk[2] < infinity && risk[0] != risk[1] && risk[1] != risk[2]));
  CHECK(risk == truth::layer_risk(config, *again, pass));
  CHECK_FALSE(truth::layer_norms(asked.model, 2, [] { return true; }).has_value());

  // A value that is NaN makes its layer NaN; in the stream or a projection the layers below too.
  const auto with_nan = [&](Site site, Layer layer) {
    KeptPass other = pass;
    Matrix<double> values = pass.at(site, layer);
    values(3, 2) = not_a_number;
    other.values({.site = site, .layer = layer}, values.view());
    return truth::layer_risk(config, *norms, other);
  };
  for (const Site site : {Site::scores, Site::softmax}) {
    const std::vector<double> found = with_nan(site, Layer{1});
    CHECK(std::isnan(found[1]));
    CHECK((same_bits(found[0], risk[0]) && same_bits(found[2], risk[2])));
  }
  const std::vector<double> found = with_nan(Site::mlp_proj, Layer{1});
  CHECK((std::isnan(found[0]) && same_bits(found[1], risk[1]) && same_bits(found[2], risk[2])));
}

}  // namespace
}  // namespace lamp
