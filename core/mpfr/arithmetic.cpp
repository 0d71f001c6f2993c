#include "core/mpfr/arithmetic.hpp"

#include <algorithm>
#include <vector>

#include "core/mpfr/functions.hpp"
#include "core/mpfr/operations.hpp"

namespace lamp::mpfr {
namespace {

/// fl of a lone operation: its exact value through `via`, RNE, then to `format`. operation(format, mode) rounds it once.
template <class Operation>
double fl(const MacSpec& spec, Operation&& operation) {
  if (!spec.via) return operation(spec.format, spec.rounding);
  const double once = operation(*spec.via, Rounding::rne);
  return mpfr::round(once, spec.format, spec.rounding);
}

double sequential(const MpfrArithmetic& arithmetic, std::span<const double> x, std::span<const double> y, double c) {
  for (std::size_t k = 0; k < x.size(); ++k) c = arithmetic.mac(x[k], y[k], c);
  return c;
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

double dot(const Arithmetic& arithmetic, std::span<const double> x, std::span<const double> y, double c) {
  expects(x.size() == y.size(), "mpfr::dot: x.size() == y.size()");
  const MpfrArithmetic scalar(arithmetic.mac);
  switch (arithmetic.order.kind) {
    case OrderKind::sequential:
      return sequential(scalar, x, y, c);
    default:
      break;
  }
  contract_violated("mpfr::dot: the order is one of the catalog");
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
