// Scalar arithmetic of a site: the steps every naive loop, elementwise site and small sum is
// written in. One concept, several evaluators with the same bits; visit_arithmetic hoists the
// choice out of loops.
#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>

#include "core/arith/exact_sum.hpp"
#include "core/arith/spec.hpp"
#include "core/fp/elementary.hpp"

namespace lamp {

/// add, sub, mul, div: fl of a lone operation. mac(a, b, c): a lone multiply-accumulate c + a*b,
/// the operands rounded as the specification says, each a row of one. mac_rounded: one of a sum,
/// whose rows are rounded already. function: fl(f(x)). round: fl of an exact value. All on binary64
/// values.
template <class A>
concept ScalarArithmetic = requires(const A& fl, double x, std::span<const double> in,
                                    std::span<double> out) {
  { fl.round(x) } -> std::same_as<double>;
  { fl.add(x, x) } -> std::same_as<double>;
  { fl.sub(x, x) } -> std::same_as<double>;
  { fl.mul(x, x) } -> std::same_as<double>;
  { fl.div(x, x) } -> std::same_as<double>;
  { fl.mac(x, x, x) } -> std::same_as<double>;
  { fl.mac_rounded(x, x, x) } -> std::same_as<double>;
  { fl.function(Function::exp, x) } -> std::same_as<double>;
  { fl.function(Function::exp, in, out) } -> std::same_as<void>;
};

/// Any MacSpec, by THE rounding routine. The definition among the fast evaluators.
class GeneralArithmetic {
 public:
  explicit GeneralArithmetic(const MacSpec& spec) : spec_(spec) {}
  [[nodiscard]] const MacSpec& spec() const { return spec_; }

  [[nodiscard]] double round(double x) const {
    return spec_.via ? last(lamp::round(x, *spec_.via)) : last(x);
  }
  [[nodiscard]] double round(const ExactSum& sum) const {
    return spec_.via ? last(sum.rounded(*spec_.via, Rounding::rne))
                     : sum.rounded(spec_.format, spec_.rounding);
  }
  [[nodiscard]] double round_by_engine(const ExactSum& sum) const {
    return sum.rounded_by_engine(spec_.format, spec_.rounding);
  }
  [[nodiscard]] double add(double x, double y) const {
    return spec_.via ? last(lamp::add(x, y, *spec_.via))
                     : lamp::add(x, y, spec_.format, spec_.rounding);
  }
  [[nodiscard]] double sub(double x, double y) const {
    return spec_.via ? last(lamp::sub(x, y, *spec_.via))
                     : lamp::sub(x, y, spec_.format, spec_.rounding);
  }
  [[nodiscard]] double mul(double x, double y) const {
    return spec_.via ? last(lamp::mul(x, y, *spec_.via))
                     : lamp::mul(x, y, spec_.format, spec_.rounding);
  }
  [[nodiscard]] double div(double x, double y) const {
    return spec_.via ? last(lamp::div(x, y, *spec_.via))
                     : lamp::div(x, y, spec_.format, spec_.rounding);
  }
  [[nodiscard]] double mac(double a, double b, double c) const {
    return mac_rounded(spec_.round_operand(a), spec_.round_operand(b), c);
  }
  [[nodiscard]] double mac_rounded(double a, double b, double c) const {
    if (spec_.product) return add(c, lamp::mul(a, b, *spec_.product, spec_.rounding));
    return spec_.via ? last(lamp::fma(a, b, c, *spec_.via))
                     : lamp::fma(a, b, c, spec_.format, spec_.rounding);
  }
  [[nodiscard]] double function(Function f, double x) const {
    return spec_.via ? last(evaluate(f, x, *spec_.via))
                     : evaluate(f, x, spec_.format, spec_.rounding);
  }
  void function(Function f, std::span<const double> x, std::span<double> y) const {
    evaluate(f, x, y, spec_.via ? *spec_.via : spec_.format,
             spec_.via ? Rounding::rne : spec_.rounding);
    if (spec_.via)
      for (double& value : y) value = last(value);
  }

 private:
  [[nodiscard]] double last(double x) const { return lamp::round(x, spec_.format, spec_.rounding); }
  MacSpec spec_;
};

/// Fused binary64, RNE: the processor's own operations.
struct Binary64Arithmetic {
  static MacSpec spec() { return {.format = binary64}; }
  static double round(double x) { return x; }
  static double add(double x, double y) { return x + y; }
  static double sub(double x, double y) { return x - y; }
  static double mul(double x, double y) { return x * y; }
  static double div(double x, double y) { return x / y; }
  static double mac(double a, double b, double c) { return std::fma(a, b, c); }
  static double mac_rounded(double a, double b, double c) { return mac(a, b, c); }
  static double accumulate(double x, double sum) { return sum + x; }  // mac(x, 1, sum)
  static double function(Function f, double x) { return evaluate(f, x, binary64); }
  static void function(Function f, std::span<const double> x, std::span<double> y) {
    evaluate(f, x, y, binary64);
  }
};

/// Fused binary32, RNE. Pre: every operand is a binary32 number.
struct Binary32Arithmetic {
  static MacSpec spec() { return {.format = binary32}; }
  static double round(double x) { return static_cast<double>(static_cast<float>(x)); }
  static double add(double x, double y) {
    return static_cast<double>(static_cast<float>(x) + static_cast<float>(y));
  }
  static double sub(double x, double y) {
    return static_cast<double>(static_cast<float>(x) - static_cast<float>(y));
  }
  static double mul(double x, double y) {
    return static_cast<double>(static_cast<float>(x) * static_cast<float>(y));
  }
  static double div(double x, double y) {
    return static_cast<double>(static_cast<float>(x) / static_cast<float>(y));
  }
  static double mac(double a, double b, double c) {
    return static_cast<double>(
        std::fma(static_cast<float>(a), static_cast<float>(b), static_cast<float>(c)));
  }
  static double mac_rounded(double a, double b, double c) { return mac(a, b, c); }
  static float accumulate(double x, float sum) {  // mac(x, 1, sum)
    return sum + static_cast<float>(x);
  }
  static double function(Function f, double x) { return evaluate(f, x, binary32); }
  static void function(Function f, std::span<const double> x, std::span<double> y) {
    evaluate(f, x, y, binary32);
  }
};

/// Calls visitor(fl) with the fastest evaluator that has the specification's bits.
/// `operands_are_binary32` promises that every operand of every operation is a binary32 number.
template <class Visitor>
decltype(auto) visit_arithmetic(const MacSpec& spec, bool operands_are_binary32,
                                Visitor&& visitor) {
  const bool plain = !spec.operands && !spec.product && spec.rounding == Rounding::rne &&
                     (!spec.via || *spec.via == spec.format);
  if (plain && spec.format == binary64) return visitor(Binary64Arithmetic{});
  if (plain && spec.format == binary32 && operands_are_binary32)
    return visitor(Binary32Arithmetic{});
  return visitor(GeneralArithmetic(spec));
}

/// Every value is a binary32 number (NaN and infinities count).
bool all_binary32(std::span<const double> values);

/// sum over k of x[k] y[k] in the arithmetic's order, from c. Pre: x.size() == y.size().
double dot(const Arithmetic& arithmetic, std::span<const double> x, std::span<const double> y,
           double c = 0.0);

}  // namespace lamp
