#include "experiments/calc/selecting.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "core/arith/gemm/gemm.hpp"
#include "core/mpfr/arithmetic.hpp"
#include "core/selection/lamp.hpp"

namespace lamp::experiments::calc {
namespace {

constexpr std::array target_names = [] {
  std::array<NamedValue<const Target*>, all_targets.size()> names;
  for (std::size_t i = 0; i < names.size(); ++i)
    names[i] = {all_targets[i]->function, all_targets[i]};
  return names;
}();

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

/// Refuses a key that this f, or these weights, do not read.
void refuse_unread(CalcRequest& request, const char* key, bool read, const char* legal) {
  if (!read && request.has(key)) request.fail({key, " is given; legal: ", legal});
}

MatrixView<const double> as_row(const std::vector<double>& x) {
  return {x.data(), 1, x.size(), x.size()};
}
MatrixView<const double> column(const std::vector<double>& x) { return {x.data(), x.size(), 1, 1}; }

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
  product(weights.view(), column(row.y), z.data());
  product(as_row(ones), magnitudes.view(), row.columns.data());
  for (double& x : z) x = std::fabs(x);
  product(as_row(z), column(ones), &row.norm1);
}

/// The keys of a row; those of f say what else f needs.
void read_row(CalcRequest& request, Selecting& asked) {
  const Target& target = *asked.target;
  const ErrorWeights weights = asked.spec.weights;
  RowOfNumbers& row = asked.row;
  const bool softmax = &target == &targets::softmax, linear = &target == &targets::linear_map,
             norm = &target == &targets::rms_norm || &target == &targets::layer_norm;
  const std::size_t n = row.y.size();
  refuse_unread(request, "w", weights == ErrorWeights::dot, "with weights \"dot\" only");
  if (weights == ErrorWeights::dot) row.w = request.numbers("w", n, "y");
  if (const char* problem = check_bounds(row.w)) request.fail({problem});
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
  if (linear) asked.matrix = request.matrix("W");
  const Matrix<double>& matrix = asked.matrix;
  if (linear && !request.failed() && (matrix.rows() == 0 || matrix.cols() != n))
    request.fail({"W is (", std::to_string(matrix.rows()), ", ", std::to_string(matrix.cols()),
                  "); legal: rows as long as y, at least one"});
}

}  // namespace

const char* check_bounds(const std::vector<double>& w) {
  const bool negative = std::any_of(w.begin(), w.end(), [](double x) { return x < 0.0; });
  return negative ? "w: legal are numbers >= 0" : nullptr;
}

Selecting read_selecting(CalcRequest& request) {
  Selecting asked;
  asked.target = request.choice("function", target_names, std::nullopt);
  asked.row.y = row_of_scores(request);
  asked.spec = selection_spec(request, *asked.target);
  read_row(request, asked);
  asked.backend = request.backend();
  return asked;
}

mpfr::Selected selected(Selecting& asked) {
  RowOfNumbers& numbers = asked.row;
  if (asked.target == &targets::softmax)
    numbers.z = softmax_by(asked.backend, fused(lamp::binary64), numbers.y);
  if (asked.target == &targets::linear_map) fill_linear(asked.backend, asked.matrix, numbers);
  const SelectionRow row = numbers.view();
  if (asked.backend.mpfr) return mpfr::select(asked.target->function, asked.spec, row);
  mpfr::Selected found{std::vector<std::uint8_t>(row.size()), 0.0};
  select_lamp(asked.spec, *asked.target, row, found.marks, asked.scratch);
  found.cost = cost_of_set(asked.spec, *asked.target, row, found.marks, asked.scratch);
  return found;
}

}  // namespace lamp::experiments::calc
