#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "core/arith/stochastic.hpp"
#include "core/model/ops/sites.hpp"
#include "core/mpfr/arithmetic.hpp"
#include "experiments/calc/hex_float.hpp"
#include "experiments/calc/operations.hpp"
#include "experiments/calc/selecting.hpp"

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

}  // namespace

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

Answer select(CalcRequest& request) {
  Selecting asked = read_selecting(request);
  if (request.failed()) return {};
  const mpfr::Selected found = calc::selected(asked);
  Answer list = Answer::array();
  for (std::size_t j = 0; j < found.marks.size(); ++j)
    if (found.marks[j] != 0) list.push_back(j);
  return {{"selected", list}, {"cost", to_hex_float(found.cost)}};
}

}  // namespace lamp::experiments::calc
