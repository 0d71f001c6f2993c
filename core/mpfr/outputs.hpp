// The arithmetic of one output of a site, as core/mpfr/steps.hpp calls it: any Arithmetic on
// binary64 numbers, or N bits without exponent limits on MPFR numbers.
#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>
#include <optional>
#include <span>

#include "core/arith/spec.hpp"
#include "core/mpfr/arithmetic.hpp"
#include "core/mpfr/functions.hpp"
#include "core/mpfr/number.hpp"
#include "core/mpfr/number_system.hpp"

namespace lamp::mpfr {

/// An output is evaluated by the calls of one such object, in the defined order: each rounds once,
/// and in a stochastic mode draws once.
template <class Output>
concept OutputArithmetic = requires(const Output& fl, const typename Output::Value& x,
                                    std::span<const typename Output::Value> terms) {
  { fl.exactly(1.0) } -> std::same_as<typename Output::Value>;
  { fl.add(x, x) } -> std::same_as<typename Output::Value>;
  { fl.sub(x, x) } -> std::same_as<typename Output::Value>;
  { fl.mul(x, x) } -> std::same_as<typename Output::Value>;
  { fl.div(x, x) } -> std::same_as<typename Output::Value>;
  { fl.mac(x, x, x) } -> std::same_as<typename Output::Value>;
  { fl.function(Function::exp, x) } -> std::same_as<typename Output::Value>;
  { fl.dot(terms, terms) } -> std::same_as<typename Output::Value>;  // from +0
};

/// Any Arithmetic: MpfrArithmetic with its order.
class RoundedOutput : public MpfrArithmetic {
 public:
  using Value = double;
  RoundedOutput(const Arithmetic& arithmetic, std::size_t row, std::size_t column)
      : MpfrArithmetic(arithmetic.mac, arithmetic.draws, row, column), arithmetic_(&arithmetic) {}
  static double exactly(double x) { return x; }
  /// `tensor`: as MpfrArithmetic's.
  [[nodiscard]] double dot(std::span<const double> x, std::span<const double> y,
                           std::optional<double> tensor = {}) const {
    return MpfrArithmetic::dot(arithmetic_->order, arithmetic_->block, x, y, 0.0, tensor);
  }

 private:
  const Arithmetic* arithmetic_;
};

/// p bits, RNE, no exponent limits (MPFR's own), one fused step per k ascending, correctly rounded
/// functions. Operands may have any precision. GELU below 2^-1,000,000,000 in magnitude is a zero.
/// Pre: the exponent range of the thread is widest_of_all.
class UnlimitedOutput {
 public:
  using Value = Number;
  explicit UnlimitedOutput(const FloatFormat& format) : format_(format) {}
  /// In p bits where mpfr_fma is then faster: 40 ns instead of 60 up to 128 bits, 47 instead of 67
  /// at 256, slower from 512 on.
  [[nodiscard]] Number exactly(double x) const {
    Number exact(format_.p >= 53 && format_.p <= 256 ? format_.p : 53);
    mpfr_set_d(exact.get(), x, MPFR_RNDN);
    return exact;
  }
  [[nodiscard]] Number add(const Number& x, const Number& y) const {
    return rounded(mpfr_add, x, y);
  }
  [[nodiscard]] Number sub(const Number& x, const Number& y) const {
    return rounded(mpfr_sub, x, y);
  }
  [[nodiscard]] Number mul(const Number& x, const Number& y) const {
    return rounded(mpfr_mul, x, y);
  }
  [[nodiscard]] Number div(const Number& x, const Number& y) const {
    return rounded(mpfr_div, x, y);
  }
  [[nodiscard]] Number mac(const Number& a, const Number& b, const Number& c) const {
    return rounded(mpfr_fma, a, b, c);
  }
  [[nodiscard]] Number function(Function f, const Number& x) const {
    free_cache_with_thread();
    if (f == Function::exp) return rounded(mpfr_exp, x);
    if (f == Function::rsqrt) return rounded(mpfr_rec_sqrt, x);
    Number y(format_.p);
    evaluate(y, f, x, format_, Rounding::rne, {});
    return y;
  }
  [[nodiscard]] Number dot(std::span<const Number> x, std::span<const Number> y,
                           std::optional<double> = {}) const {
    expects(x.size() == y.size(), "mpfr dot: x.size() == y.size()");
    Number sum(format_.p);
    mpfr_set_zero(sum.get(), 1);
    for (std::size_t k = 0; k < x.size(); ++k)
      mpfr_fma(sum.get(), x[k].get(), y[k].get(), sum.get(), MPFR_RNDN);
    return sum;
  }

 private:
  template <class Operation, class... Operands>
  [[nodiscard]] Number rounded(Operation* operation, const Operands&... x) const {
    Number r(format_.p);
    operation(r.get(), x.get()..., MPFR_RNDN);
    return r;
  }
  FloatFormat format_;
};

/// The outputs of a site in one Arithmetic. Pre: the arithmetic outlives it.
struct RoundedOutputs {
  using Value = double;
  const Arithmetic& arithmetic;
  /// The operands ask for the largest magnitude of a whole tensor.
  [[nodiscard]] bool reads_tensor() const {
    const std::optional<NumberSystem>& operands = arithmetic.steps().operands;
    return operands && mpfr::reads_tensor(*operands);
  }
  RoundedOutput operator()(std::size_t row, std::size_t column) const {
    return {arithmetic, row, column};
  }
};

struct UnlimitedOutputs {
  using Value = Number;
  const Arithmetic& arithmetic;
  static bool reads_tensor() { return false; }
  UnlimitedOutput operator()(std::size_t, std::size_t) const {
    return UnlimitedOutput(arithmetic.mac.format);
  }
};

static_assert(OutputArithmetic<RoundedOutput> && OutputArithmetic<UnlimitedOutput>);

/// What both kinds of value can do.
inline bool is_nan(double x) { return std::isnan(x); }
inline bool is_nan(const Number& x) { return mpfr_nan_p(x.get()) != 0; }
inline bool is_less(double x, double y) { return x < y; }
inline bool is_less(const Number& x, const Number& y) { return mpfr_less_p(x.get(), y.get()) != 0; }
/// RNE to binary64.
inline double to_binary64(double x) { return x; }
inline double to_binary64(const Number& x) { return mpfr_get_d(x.get(), MPFR_RNDN); }
inline double copy_of(double x) { return x; }
inline Number copy_of(const Number& x) {
  Number y(mpfr_get_prec(x.get()));
  mpfr_set(y.get(), x.get(), MPFR_RNDN);
  return y;
}

}  // namespace lamp::mpfr
