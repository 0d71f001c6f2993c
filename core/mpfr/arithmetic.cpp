#include "core/mpfr/arithmetic.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/base/philox.hpp"
#include "core/mpfr/exact_sums.hpp"
#include "core/mpfr/functions.hpp"
#include "core/mpfr/number_system.hpp"
#include "core/mpfr/operations.hpp"

namespace lamp::mpfr {

/// Word 0 of Philox4x32-10, the counter of method.md written out.
Draw MpfrArithmetic::draw(Purpose purpose) const {
  if (spec_.rounding != Rounding::sr && spec_.rounding != Rounding::sre) return {};
  const std::uint32_t place = (stream_.layer * 512 + stream_.head) * 128 + stream_.site * 4 +
                              static_cast<std::uint32_t>(purpose);
  return {.word = philox4x32({*step_, column_, stream_.first_row + row_, place},
                             {stream_.seed, stream_.sequence})[0],
          .bits = spec_.random_bits};
}

Draw MpfrArithmetic::step() const {
  const Draw drawn = draw(purpose_);
  ++*step_;
  return drawn;
}

/// fl of a lone operation: its exact value through `via`, RNE, then to `format`. operation(format,
/// mode, draw) rounds it once.
template <class Operation>
double MpfrArithmetic::fl(Operation&& operation) const {
  const Draw drawn = step();
  if (!spec_.via) return operation(spec_.format, spec_.rounding, drawn);
  const double once = operation(*spec_.via, Rounding::rne, Draw{});
  return mpfr::round(once, spec_.format, spec_.rounding, drawn);
}

double MpfrArithmetic::round(double x) const {
  return fl([=](const FloatFormat& f, Rounding mode, Draw draw) {
    return mpfr::round(x, f, mode, draw);
  });
}

double MpfrArithmetic::add(double x, double y) const {
  return fl([=](const FloatFormat& f, Rounding mode, Draw draw) {
    return mpfr::add(x, y, f, mode, draw);
  });
}

double MpfrArithmetic::sub(double x, double y) const {
  return fl([=](const FloatFormat& f, Rounding mode, Draw draw) {
    return mpfr::sub(x, y, f, mode, draw);
  });
}

double MpfrArithmetic::mul(double x, double y) const {
  return fl([=](const FloatFormat& f, Rounding mode, Draw draw) {
    return mpfr::mul(x, y, f, mode, draw);
  });
}

double MpfrArithmetic::div(double x, double y) const {
  return fl([=](const FloatFormat& f, Rounding mode, Draw draw) {
    return mpfr::div(x, y, f, mode, draw);
  });
}

double MpfrArithmetic::mac(double a, double b, double c) const {
  if (spec_.operands) {
    mpfr::round_row(*spec_.operands, {&a, 1}, {&a, 1}, {}, spec_.operand_rounding);
    mpfr::round_row(*spec_.operands, {&b, 1}, {&b, 1}, {}, spec_.operand_rounding);
  }
  return mac_rounded(a, b, c);
}

double MpfrArithmetic::mac_rounded(double a, double b, double c) const {
  if (!spec_.product)
    return fl([=](const FloatFormat& f, Rounding mode, Draw draw) {
      return mpfr::fma(a, b, c, f, mode, draw);
    });
  return add(mpfr::mul(a, b, *spec_.product, spec_.rounding, draw(Purpose::product)), c);
}

double MpfrArithmetic::function(Function f, double x) const {
  return fl([=](const FloatFormat& format, Rounding mode, Draw draw) {
    return mpfr::evaluate(f, x, format, mode, draw);
  });
}

void MpfrArithmetic::function(Function f, std::span<const double> x, std::span<double> y) const {
  expects(x.size() == y.size(), "mpfr function: x.size() == y.size()");
  for (std::size_t i = 0; i < x.size(); ++i) y[i] = function(f, x[i]);
}

double MpfrArithmetic::multiterm_dot(const Multiterm& order, std::span<const double> x,
                                     std::span<const double> y, double c) const {
  for (std::size_t first = 0; first < x.size(); first += order.size) {
    const std::size_t count = std::min(order.size, x.size() - first);
    c = multiterm_step(spec_, order.fraction_bits, x.subspan(first, count), y.subspan(first, count),
                       c, step());
  }
  return c;
}

double MpfrArithmetic::split_engine_dot(const SplitEngine& order, std::span<const double> x,
                                        std::span<const double> y, double c) const {
  double sum = 0.0;
  const std::size_t size = (x.size() + order.parts - 1) / order.parts;
  for (std::size_t first = 0; first < x.size(); first += size) {
    const std::size_t count = std::min(size, x.size() - first);
    double part =
        engine_dot(spec_, order.step, x.subspan(first, count), y.subspan(first, count), 0.0);
    if (order.part) part = mpfr::round(part, *order.part, Rounding::rne);
    sum = add(sum, part);
  }
  return c == 0.0 && !std::signbit(c) ? sum : add(sum, c);
}

double MpfrArithmetic::run(const Program& program, Program::Result sum,
                           const std::optional<MacSpec>& block, std::span<const double> x,
                           std::span<const double> y, double c) const {
  MpfrArithmetic inner = *this;
  inner.spec_ = block ? *block : spec_;
  inner.purpose_ = Purpose::block;
  std::vector<double> results;
  for (const Program::Step& step : program.steps()) {
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
        results.push_back(mac_rounded(x[step.right], y[step.right], left()));
        break;
      case Program::Operation::block_mac:
        results.push_back(inner.mac_rounded(x[step.right], y[step.right], left()));
        break;
      case Program::Operation::to_part:
        results.push_back(mpfr::round(left(), program.part(), Rounding::rne));
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
  return results[sum];
}

double MpfrArithmetic::dot(const Order& order, const std::optional<MacSpec>& block,
                           std::span<const double> x, std::span<const double> y, double c,
                           std::optional<double> tensor) const {
  expects(x.size() == y.size(), "mpfr dot: x.size() == y.size()");
  const MacSpec& steps = block && row_of(order).has_blocks ? *block : spec_;
  if (!steps.operands) return dot_of_rounded(order, block, x, y, c);
  std::vector<double> a(x.size()), b(y.size());
  mpfr::round_row(*steps.operands, x, a, {}, steps.operand_rounding);
  mpfr::round_row(*steps.operands, y, b, tensor, steps.operand_rounding);
  return dot_of_rounded(order, block, a, b, c);
}

double dot(const Arithmetic& arithmetic, std::span<const double> x, std::span<const double> y,
           double c) {
  return MpfrArithmetic(arithmetic.mac, arithmetic.draws)
      .dot(arithmetic.order, arithmetic.block, x, y, c);
}

void gemm(const Arithmetic& arithmetic, MatrixView<const double> a, MatrixView<const double> b,
          MatrixView<double> out, Shape shape) {
  expects(a.cols == b.rows && out.rows == a.rows && out.cols == b.cols,
          "mpfr::gemm: a is (m, k), b is (k, n), out is (m, n)");
  const std::optional<NumberSystem>& operands = arithmetic.steps().operands;
  std::optional<double> tensor;
  if (operands && mpfr::reads_tensor(*operands)) tensor = largest_finite(b);
  std::vector<double> row(a.cols), column(a.cols);
  for (std::size_t i = 0; i < out.rows; ++i) {
    const std::size_t causal = shape.first_row + i + 1;
    const std::size_t terms =
        shape.kind == Shape::lower_operand ? std::min(causal, a.cols) : a.cols;
    const std::size_t outputs =
        shape.kind == Shape::lower_output ? std::min(causal, out.cols) : out.cols;
    for (std::size_t k = 0; k < terms; ++k) row[k] = a(i, k);
    for (std::size_t j = 0; j < outputs; ++j) {
      for (std::size_t k = 0; k < terms; ++k) column[k] = b(k, j);
      const MpfrArithmetic fl(arithmetic.mac, arithmetic.draws, i, j);
      out(i, j) = fl.dot(arithmetic.order, arithmetic.block, std::span(row).first(terms),
                         std::span(column).first(terms), 0.0, tensor);
    }
  }
}

}  // namespace lamp::mpfr
