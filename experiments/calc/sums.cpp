#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "core/arith/stochastic.hpp"
#include "core/model/ops/sites.hpp"
#include "core/mpfr/arithmetic.hpp"
#include "core/mpfr/selection.hpp"
#include "core/selection/lamp.hpp"
#include "experiments/calc/hex_float.hpp"
#include "experiments/calc/operations.hpp"

namespace lamp::experiments::calc {
namespace {

MatrixView<const double> view(std::span<const double> values, std::size_t rows, std::size_t cols) {
  return {values.data(), rows, cols, cols};
}

/// Calls visitor(fl) with the evaluator of one output that the backend asks for; it does all steps
/// of the output.
template <class Visitor>
void visit_backend(const CalcBackend& backend, const Arithmetic& arithmetic,
                   bool operands_are_binary32, Visitor&& visitor) {
  if (backend.mpfr)
    visitor(mpfr::MpfrArithmetic(arithmetic.mac, arithmetic.draws));
  else if (is_stochastic(arithmetic))
    visitor(StochasticArithmetic(arithmetic.mac, arithmetic.draws, 0, 0));
  else if (backend.fast == Backend::scalar)
    visitor(GeneralArithmetic(arithmetic.mac));
  else
    visit_arithmetic(arithmetic.mac, operands_are_binary32, visitor);
}

std::vector<double> softmax_by(const CalcBackend& backend, const Arithmetic& arithmetic,
                               std::span<const double> y) {
  std::vector<double> z(y.size());
  if (backend.mpfr || backend.fast == Backend::scalar)
    visit_backend(backend, arithmetic, false,
                  [&](const auto& fl) { softmax_row(fl, arithmetic, y, z); });
  else
    softmax_of_row(arithmetic, y, z);
  return z;
}

std::vector<double> row_of_scores(CalcRequest& request) {
  std::vector<double> y = request.numbers("y");
  if (y.empty()) request.fail({"y is empty; legal: at least one number"});
  return y;
}

}  // namespace

Answer dot(CalcRequest& request) {
  const std::vector<double> a = request.numbers("a"), b = request.numbers("b", a.size(), "a");
  const double c = request.number("c").value_or(0.0);
  const Arithmetic arithmetic = request.arithmetic(a.size());
  const CalcBackend backend = request.backend();
  if (request.failed()) return {};
  double y = 0.0;
  if (backend.mpfr)
    y = mpfr::dot(arithmetic, a, b, c);
  else if (backend.fast == Backend::automatic || c != 0.0 || std::signbit(c))
    y = lamp::dot(arithmetic, a, b, c);
  else  // the kernels start from +0
    lamp::gemm(arithmetic, view(a, 1, a.size()), view(b, b.size(), 1),
               MatrixView<double>(&y, 1, 1, 1), Shape::full, backend.fast);
  return {{"y", to_hex_float(y)}};
}

Answer gemm(CalcRequest& request) {
  const Matrix<double> a = request.matrix("a"), b = request.matrix("b");
  if (!request.failed() && a.cols() != b.rows() && a.rows() != 0)
    request.fail({"b has ", std::to_string(b.rows()), " rows, a ", std::to_string(a.cols()),
                  " columns; legal: a (m, k), b (k, n)"});
  const Arithmetic arithmetic = request.arithmetic(b.rows());
  const CalcBackend backend = request.backend();
  if (request.failed()) return {};
  Matrix<double> y(a.rows(), b.cols());
  if (a.rows() != 0 && backend.mpfr) mpfr::gemm(arithmetic, a.view(), b.view(), y.view());
  if (a.rows() != 0 && !backend.mpfr)
    lamp::gemm(arithmetic, a.view(), b.view(), y.view(), Shape::full, backend.fast);
  Answer rows = Answer::array();
  for (std::size_t i = 0; i < y.rows(); ++i) rows.push_back(hex_list(y.row(i)));
  return {{"y", rows}};
}

Answer softmax(CalcRequest& request) {
  const std::vector<double> y = row_of_scores(request);
  const Arithmetic arithmetic = request.arithmetic(y.size());
  const CalcBackend backend = request.backend();
  if (request.failed()) return {};
  return {{"z", hex_list(softmax_by(backend, arithmetic, y))}};
}

Answer layernorm(CalcRequest& request) {
  std::vector<double> x = request.numbers("x");
  const std::vector<double> gamma = request.numbers("gamma", x.size(), "x"),
                            beta = request.numbers("beta", x.size(), "x");
  const std::optional<double> eps = request.number("eps");
  if (x.empty()) request.fail({"x is empty; legal: at least one number"});
  if (!eps) request.fail({"eps is missing; legal: a number"});
  const Arithmetic arithmetic = request.arithmetic(x.size());
  const CalcBackend backend = request.backend();
  if (request.failed()) return {};
  const bool fits =
      all_binary32(x) && all_binary32(gamma) && all_binary32(beta) && all_binary32({&*eps, 1});
  visit_backend(backend, arithmetic, fits, [&](const auto& fl) {
    layer_norm_row(fl, fl, arithmetic, x, gamma, beta, *eps, x);
  });
  return {{"y", hex_list(x)}};
}

namespace {

SelectionSpec selection_spec(CalcRequest& request, const Target& target) {
  SelectionSpec spec;
  spec.weights = request.choice("weights", error_weights_names, ErrorWeights::absolute);
  spec.norm = request.choice("norm", norm_names, Norm::componentwise);
  spec.solver = request.choice("solver", solver_names, Solver::greedy);
  spec.mask = request.choice("mask", mask_names, Mask::exclude);
  spec.tau = request.number("tau");
  spec.rate = request.number("rate");
  if (const std::string problem = check(spec, target); !problem.empty()) request.fail({problem});
  return spec;
}

/// What a selection looks at, in memory of its own.
struct RowOfNumbers {
  std::vector<double> z, y, g, w, columns;
  double eps = 0.0, norm1 = 0.0;
  std::size_t row_length = 0;

  [[nodiscard]] SelectionRow view() const {
    return {.z = z,
            .y = y,
            .g = g,
            .w = w,
            .eps = eps,
            .columns = columns,
            .norm1 = norm1,
            .row_length = row_length};
  }
};

/// Refuses a key that this f, or these weights, do not read.
void refuse_unread(CalcRequest& request, const char* key, bool read, const char* legal) {
  if (!read && request.has(key)) request.fail({key, " is given; legal: ", legal});
}

/// z = W y, the 1-norm of z and the column sums of abs(W): fused binary64, sequential.
void fill_linear(const CalcBackend& backend, const Matrix<double>& weights, RowOfNumbers& row) {
  const std::size_t m = weights.rows(), n = weights.cols();
  Matrix<double> magnitudes(m, n);
  for (std::size_t i = 0; i < m; ++i)
    std::transform(weights.row(i).begin(), weights.row(i).end(), magnitudes.row(i).begin(),
                   [](double x) { return std::fabs(x); });
  const Arithmetic arithmetic = fused(lamp::binary64);
  const auto product = [&](MatrixView<const double> a, MatrixView<const double> b, double* out) {
    const MatrixView<double> c(out, a.rows, b.cols, b.cols);
    if (backend.mpfr)
      mpfr::gemm(arithmetic, a, b, c);
    else
      lamp::gemm(arithmetic, a, b, c, Shape::full, backend.fast);
  };
  const std::vector<double> ones(m, 1.0);
  std::vector<double> z(m);
  row.columns.resize(n);
  product(weights.view(), view(row.y, n, 1), z.data());
  product(view(ones, 1, m), magnitudes.view(), row.columns.data());
  for (double& x : z) x = std::fabs(x);
  product(view(z, 1, m), view(ones, m, 1), &row.norm1);
}

/// Reads the keys of a row; those of f say what else f needs.
RowOfNumbers row_of(CalcRequest& request, const Target& target, ErrorWeights weights,
                    std::vector<double> y) {
  const bool softmax = &target == &targets::softmax, linear = &target == &targets::linear_map,
             norm = &target == &targets::rms_norm || &target == &targets::layer_norm;
  RowOfNumbers row;
  row.y = std::move(y);
  const std::size_t n = row.y.size();
  refuse_unread(request, "w", weights == ErrorWeights::dot, "with weights \"dot\" only");
  if (weights == ErrorWeights::dot) row.w = request.numbers("w", n, "y");
  if (std::any_of(row.w.begin(), row.w.end(), [](double x) { return x < 0.0; }))
    request.fail({"w: legal are numbers >= 0"});
  refuse_unread(request, "g", norm && weights == ErrorWeights::relative,
                "with weights \"relative\" of rmsnorm and layernorm only");
  if (request.has("g")) row.g = request.numbers("g", n, "y");
  refuse_unread(request, "eps", norm, "of rmsnorm and layernorm only");
  row.eps = request.number("eps").value_or(0.0);
  if (!(row.eps >= 0.0)) request.fail({"eps: legal are numbers >= 0"});
  refuse_unread(request, "row_length", softmax, "of softmax only");
  row.row_length = request.count("row_length").value_or(n);
  if (row.row_length < n)
    request.fail(
        {"row_length is ", std::to_string(row.row_length), "; legal: at least the length of y"});
  refuse_unread(request, "W", linear, "of linear only");
  const Matrix<double> matrix = linear ? request.matrix("W") : Matrix<double>{};
  if (linear && !request.failed() && (matrix.rows() == 0 || matrix.cols() != n))
    request.fail({"W is (", std::to_string(matrix.rows()), ", ", std::to_string(matrix.cols()),
                  "); legal: rows as long as y, at least one"});
  const CalcBackend backend = request.backend();
  if (request.failed()) return row;
  if (softmax) row.z = softmax_by(backend, fused(lamp::binary64), row.y);
  if (linear) fill_linear(backend, matrix, row);
  return row;
}

}  // namespace

Answer select(CalcRequest& request) {
  static constexpr std::array functions = [] {
    std::array<NamedValue<const Target*>, all_targets.size()> names;
    for (std::size_t i = 0; i < names.size(); ++i)
      names[i] = {all_targets[i]->function, all_targets[i]};
    return names;
  }();
  const Target& target = *request.choice("function", functions, std::nullopt);
  std::vector<double> y = row_of_scores(request);
  const SelectionSpec spec = selection_spec(request, target);
  const RowOfNumbers numbers = row_of(request, target, spec.weights, std::move(y));
  const CalcBackend backend = request.backend();
  if (request.failed()) return {};

  const SelectionRow row = numbers.view();
  mpfr::Selected found{std::vector<std::uint8_t>(row.size()), 0.0};
  if (backend.mpfr) {
    found = mpfr::select(target.function, spec, row);
  } else {
    SelectionScratch scratch;
    select_lamp(spec, target, row, found.marks, scratch);
    found.cost = cost_of_set(spec, target, row, found.marks);
  }
  Answer selected = Answer::array();
  for (std::size_t j = 0; j < found.marks.size(); ++j)
    if (found.marks[j] != 0) selected.push_back(j);
  return {{"selected", selected}, {"cost", to_hex_float(found.cost)}};
}

}  // namespace lamp::experiments::calc
