// Stochastic rounding as a site uses it: every rounding of an output has a random word of its own,
// named by its coordinates, so that a result depends neither on threads nor on the order in which
// outputs are computed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "core/arith/scalar.hpp"
#include "core/fp/stochastic.hpp"

namespace lamp {

/// What is drawn for: the last coordinate.
enum class DrawFor : std::uint32_t { sum = 0, product = 1, block = 2 };

/// (layer 2^9 + head) 2^7 + 4 site + what: what the draws of a site's outputs share. Pre: layer <
/// 2^16, head < 2^9, site < 2^5.
std::uint32_t place_of(const DrawStream& stream, DrawFor what);

/// The draw of one rounding: word 0 of Philox4x32-10 with key (seed, sequence) and counter
/// (step, column, row, place).
Draw draw_at(const DrawStream& stream, std::uint32_t row, std::uint32_t column, std::uint32_t step,
             DrawFor what, int bits);

constexpr bool is_stochastic(const MacSpec& mac) { return is_stochastic(mac.rounding); }
inline bool is_stochastic(const Arithmetic& arithmetic) {
  return is_stochastic(arithmetic.mac) || (arithmetic.block && is_stochastic(*arithmetic.block));
}

/// The arithmetic of one output, any MacSpec: GeneralArithmetic with a draw for every rounding. It
/// counts its steps: each call of add, sub, mul, div, mac, round or of a function is one, so
/// whoever evaluates an output in the defined order gets the defined draws.
class StochasticArithmetic {
 public:
  StochasticArithmetic(const MacSpec& spec, const DrawStream& stream, std::size_t row,
                       std::size_t column, std::uint32_t first_step = 0)
      : spec_(spec),
        stream_(stream),
        row_(static_cast<std::uint32_t>(row)),
        column_(static_cast<std::uint32_t>(column)),
        own_(first_step) {}
  StochasticArithmetic(const StochasticArithmetic& other)
      : spec_(other.spec_),
        stream_(other.stream_),
        row_(other.row_),
        column_(other.column_),
        what_(other.what_),
        own_(other.own_),
        step_(other.step_ == &other.own_ ? &own_ : other.step_) {}
  StochasticArithmetic& operator=(const StochasticArithmetic&) = delete;

  /// The arithmetic of a block of this output (order blocked): steps go on counting here, sums draw
  /// as `block`.
  [[nodiscard]] StochasticArithmetic block(const MacSpec& inner) const {
    StochasticArithmetic evaluator(inner, stream_, row_, column_);
    evaluator.what_ = DrawFor::block, evaluator.step_ = step_;
    return evaluator;
  }
  [[nodiscard]] const MacSpec& spec() const { return spec_; }
  /// The steps so far: the number of the next one.
  [[nodiscard]] std::uint32_t steps() const { return *step_; }

  [[nodiscard]] double round(double x) const {
    return lone([=](const auto&... to) { return lamp::round(x, to...); });
  }
  [[nodiscard]] double round(const ExactSum& sum) const {
    return lone([&](const auto&... to) { return sum.rounded(to...); });
  }
  [[nodiscard]] double round_by_engine(const ExactSum& sum) const {
    const Draw word = draw(what_);
    ++*step_;
    return sum.rounded_by_engine(spec_.format, spec_.rounding, word);
  }
  [[nodiscard]] double add(double x, double y) const {
    return lone([=](const auto&... to) { return lamp::add(x, y, to...); });
  }
  [[nodiscard]] double sub(double x, double y) const {
    return lone([=](const auto&... to) { return lamp::sub(x, y, to...); });
  }
  [[nodiscard]] double mul(double x, double y) const {
    return lone([=](const auto&... to) { return lamp::mul(x, y, to...); });
  }
  [[nodiscard]] double div(double x, double y) const {
    return lone([=](const auto&... to) { return lamp::div(x, y, to...); });
  }
  [[nodiscard]] double mac(double a, double b, double c) const {
    return mac_rounded(spec_.round_operand(a), spec_.round_operand(b), c);
  }
  [[nodiscard]] double mac_rounded(double a, double b, double c) const {
    if (!spec_.product) return lone([=](const auto&... to) { return lamp::fma(a, b, c, to...); });
    const double product = lamp::mul(a, b, *spec_.product, spec_.rounding, draw(DrawFor::product));
    return add(c, product);  // ends the step that the product began
  }
  [[nodiscard]] double function(Function f, double x) const {
    const auto value = [=](const FloatFormat& format, Rounding mode, const auto&... draw) {
      const bool random = mode == Rounding::sr || mode == Rounding::sre;
      if constexpr (sizeof...(draw) > 0)
        if (random) return evaluate(f, x, format, mode, draw...);
      return evaluate(f, x, format, mode);
    };
    return lone(value);
  }
  void function(Function f, std::span<const double> x, std::span<double> y) const {
    expects(x.size() == y.size(), "function: x.size() == y.size()");
    for (std::size_t i = 0; i < x.size(); ++i) y[i] = function(f, x[i]);
  }

 private:
  [[nodiscard]] Draw draw(DrawFor what) const {
    return draw_at(stream_, row_, column_, *step_, what, spec_.random_bits);
  }

  /// One step: fl of a lone operation, which value(format, mode[, draw]) rounds once.
  template <class Value>
  [[nodiscard]] double lone(Value&& value) const {
    const Draw word = draw(what_);
    ++*step_;
    if (!spec_.via) return value(spec_.format, spec_.rounding, word);
    return lamp::round(value(*spec_.via, Rounding::rne), spec_.format, spec_.rounding, word);
  }

  MacSpec spec_;
  DrawStream stream_;
  std::uint32_t row_, column_;
  DrawFor what_ = DrawFor::sum;
  mutable std::uint32_t own_;
  std::uint32_t* step_ = &own_;  // a block's: its output's
};

/// The evaluators of a site in a stochastic mode, output(row, column): each has draws of its own,
/// which start at `first_step`. An output's roundings must all go through one evaluator, in the
/// defined order. The arithmetic outlives it.
inline auto stochastic_outputs(const Arithmetic& arithmetic, std::uint32_t first_step = 0) {
  return [&arithmetic, first_step](std::size_t row, std::size_t column) {
    return StochasticArithmetic(arithmetic.mac, arithmetic.draws, arithmetic.draws.first_row + row,
                                column, first_step);
  };
}

/// Calls visitor(output), where output(row, column) is the evaluator of that output:
/// visit_arithmetic's for all of them, or in a stochastic mode one of its own.
template <class Visitor>
decltype(auto) visit_outputs(const Arithmetic& arithmetic, bool operands_are_binary32,
                             Visitor&& visitor) {
  if (is_stochastic(arithmetic)) return visitor(stochastic_outputs(arithmetic));
  return visit_arithmetic(
      arithmetic.mac, operands_are_binary32, [&](const auto& fl) -> decltype(auto) {
        return visitor([&fl](std::size_t, std::size_t) -> decltype(fl) { return fl; });
      });
}

/// Steps of one output of a sum of n terms in the arithmetic's order: where a site that goes on
/// with the output (a bias, the scaling of scores) has its first step.
std::uint32_t steps_of_sum(const Arithmetic& arithmetic, std::size_t n);

}  // namespace lamp
