#include "core/mpfr/arithmetic.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/mpfr/functions.hpp"
#include "core/mpfr/operations.hpp"
#include "core/mpfr/orders.hpp"

namespace lamp::mpfr {
namespace {

/// fl of a lone operation: its exact value through `via`, RNE, then to `format`. operation(format, mode) rounds it once.
template <class Operation>
double fl(const MacSpec& spec, Operation&& operation) {
  if (!spec.via) return operation(spec.format, spec.rounding);
  const double once = operation(*spec.via, Rounding::rne);
  return mpfr::round(once, spec.format, spec.rounding);
}

}  // namespace

double MpfrArithmetic::round(double x) const {
  return fl(spec_, [=](const FloatFormat& f, Rounding mode) { return mpfr::round(x, f, mode); });
}

double MpfrArithmetic::add(double x, double y) const {
  return fl(spec_, [=](const FloatFormat& f, Rounding mode) { return mpfr::add(x, y, f, mode); });
}

double MpfrArithmetic::sub(double x, double y) const {
  return fl(spec_, [=](const FloatFormat& f, Rounding mode) { return mpfr::sub(x, y, f, mode); });
}

double MpfrArithmetic::mul(double x, double y) const {
  return fl(spec_, [=](const FloatFormat& f, Rounding mode) { return mpfr::mul(x, y, f, mode); });
}

double MpfrArithmetic::div(double x, double y) const {
  return fl(spec_, [=](const FloatFormat& f, Rounding mode) { return mpfr::div(x, y, f, mode); });
}

double MpfrArithmetic::mac(double a, double b, double c) const {
  if (spec_.operands) {
    a = mpfr::round(a, *spec_.operands, Rounding::rne);
    b = mpfr::round(b, *spec_.operands, Rounding::rne);
  }
  if (spec_.product) {
    const double product = mpfr::mul(a, b, *spec_.product, spec_.rounding);
    return fl(spec_, [=](const FloatFormat& f, Rounding mode) { return mpfr::add(product, c, f, mode); });
  }
  return fl(spec_, [=](const FloatFormat& f, Rounding mode) { return mpfr::fma(a, b, c, f, mode); });
}

double MpfrArithmetic::function(Function f, double x) const {
  return fl(spec_, [=](const FloatFormat& format, Rounding mode) { return mpfr::evaluate(f, x, format, mode); });
}

void MpfrArithmetic::function(Function f, std::span<const double> x, std::span<double> y) const {
  expects(x.size() == y.size(), "mpfr function: x.size() == y.size()");
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = function(f, x[i]);
}

double MpfrArithmetic::dot(const Order& order, const std::optional<MacSpec>& block, std::span<const double> x, std::span<const double> y,
                           double c) const {
  expects(x.size() == y.size(), "mpfr dot: x.size() == y.size()");
  if (order.kind == OrderKind::exact) return exact_dot(spec_, x, y, c);
  if (order.kind == OrderKind::multiterm) return multiterm_dot(spec_, order.size, order.fraction_bits, x, y, c);
  const MpfrArithmetic inner(block ? *block : spec_);
  const Program sum = program(order, x.size(), c);
  std::vector<double> results;
  for (const Program::Step& step : sum.steps()) {
    const auto left = [&] { return results[step.left]; };
    const auto right = [&] { return results[step.right]; };
    const auto left_is_larger = [&] { return std::abs(left()) >= std::abs(right()); };
    switch (step.operation) {
      case Program::Operation::zero:
        results.push_back(0.0);
        break;
      case Program::Operation::c:
        results.push_back(c);
        break;
      case Program::Operation::mac:
        results.push_back(mac(x[step.right], y[step.right], left()));
        break;
      case Program::Operation::block_mac:
        results.push_back(inner.mac(x[step.right], y[step.right], left()));
        break;
      case Program::Operation::add:
        results.push_back(add(left(), right()));
        break;
      case Program::Operation::sub:
        results.push_back(sub(left(), right()));
        break;
      case Program::Operation::larger:
        results.push_back(left_is_larger() ? left() : right());
        break;
      case Program::Operation::smaller:
        results.push_back(left_is_larger() ? right() : left());
        break;
    }
  }
  return results[sum.result()];
}

double dot(const Arithmetic& arithmetic, std::span<const double> x, std::span<const double> y, double c) {
  return MpfrArithmetic(arithmetic.mac).dot(arithmetic.order, arithmetic.block, x, y, c);
}

void gemm(const Arithmetic& arithmetic, MatrixView<const double> a, MatrixView<const double> b, MatrixView<double> out, Shape shape) {
  expects(a.cols == b.rows && out.rows == a.rows && out.cols == b.cols, "mpfr::gemm: a is (m, k), b is (k, n), out is (m, n)");
  std::vector<double> row(a.cols), column(a.cols);
  for (std::size_t i = 0; i < out.rows; ++i) {
    const std::size_t terms = shape == Shape::lower_operand ? std::min(i + 1, a.cols) : a.cols;
    const std::size_t outputs = shape == Shape::lower_output ? std::min(i + 1, out.cols) : out.cols;
    for (std::size_t k = 0; k < terms; ++k) row[k] = a(i, k);
    for (std::size_t j = 0; j < outputs; ++j) {
      for (std::size_t k = 0; k < terms; ++k) column[k] = b(k, j);
      out(i, j) = dot(arithmetic, std::span(row).first(terms), std::span(column).first(terms));
    }
  }
}

}  // namespace lamp::mpfr
