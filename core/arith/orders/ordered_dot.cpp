#include "core/arith/orders/ordered_dot.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

namespace lamp {
namespace {

using Row = std::span<const double>;

/// What definitions of orders add (core/arith/orders/row.hpp), as numbers: a[k] b[k] of rows that
/// are rounded already, in the arithmetic fl; `inner` is that of blocks.
template <ScalarArithmetic A, ScalarArithmetic Inner>
class SumOfProducts {
 public:
  using Value = double;
  const std::size_t n;
  const double c;

  SumOfProducts(const A& fl, const Inner& inner, Row a, Row b, double c_)
      : n(a.size()), c(c_), fl_(fl), inner_(inner), a_(a), b_(b) {}

  [[nodiscard]] double mac(std::size_t k, double x) const {
    return fl_.mac_rounded(a_[k], b_[k], x);
  }
  [[nodiscard]] double product(std::size_t k) const { return mac(k, 0.0); }
  [[nodiscard]] double add(double x, double y) const { return fl_.add(x, y); }
  [[nodiscard]] double sub(double x, double y) const { return fl_.sub(x, y); }
  static std::pair<double, double> by_magnitude(double x, double y) {
    return std::abs(x) >= std::abs(y) ? std::pair(x, y) : std::pair(y, x);
  }
  [[nodiscard]] double chain(std::size_t first, std::size_t last, std::size_t step = 1,
                             double x = 0.0) const {
    const A& fl = fl_;
    const Row a = a_, b = b_;
    for (std::size_t k = first; k < last; k += step) x = fl.mac_rounded(a[k], b[k], x);
    return x;
  }
  [[nodiscard]] double chain_down(std::size_t first, std::size_t last, double x) const {
    for (std::size_t k = last; k > first; --k) x = mac(k - 1, x);
    return x;
  }
  [[nodiscard]] double block(std::size_t first, std::size_t last) const {
    double x = 0.0;
    for (std::size_t k = first; k < last; ++k) x = inner_.mac_rounded(a_[k], b_[k], x);
    return x;
  }

  static double stored(double x, const std::optional<FloatFormat>& part) {
    return part ? lamp::round(x, *part) : x;
  }

  /// fl of c and all exact products.
  [[nodiscard]] double exact() const {
    ExactSum sum;
    sum.add(c);
    for (std::size_t k = 0; k < n; ++k) sum.add_product(a_[k], b_[k]);
    return fl_.round(sum);
  }
  /// x and the terms first .. last - 1 in one step of multiterm:N,F.
  [[nodiscard]] double multiterm_step(int fraction_bits, std::size_t first, std::size_t last,
                                      double x) const {
    return fl_.round_by_engine(aligned_sum(fl_.spec(), fraction_bits,
                                           a_.subspan(first, last - first),
                                           b_.subspan(first, last - first), x));
  }
  /// What the steps of a matrix engine start from.
  [[nodiscard]] double start_on_engine(double x) const { return fl_.round(x); }
  /// One pass of a matrix engine over x and the terms first + k, k < last - first, for which
  /// takes(k) holds.
  template <class Takes>
  [[nodiscard]] double engine_pass(const EngineStep& step, std::size_t first, std::size_t last,
                                   Takes&& takes, double x) const {
    left_.clear(), right_.clear();
    for (std::size_t k = first; k < last; ++k) {
      if (!takes(k - first)) continue;
      left_.push_back(a_[k]);
      right_.push_back(b_[k]);
    }
    const MacSpec pass{
        .operands = fl_.spec().operands, .format = step.output, .rounding = step.rounding};
    return aligned_sum(pass, step.fraction_bits, left_, right_, x, step.least_exponent)
        .rounded_by_engine(pass.format, pass.rounding);
  }
  [[nodiscard]] double engine(const EngineStep& step, std::size_t first, std::size_t last,
                              double x) const {
    return engine_steps(*this, step, first, last, x);
  }

 private:
  const A& fl_;
  const Inner& inner_;
  Row a_, b_;
  mutable std::vector<double> left_, right_;  // operands of a pass
};

bool is_positive_zero(double x) { return x == 0.0 && !std::signbit(x); }

/// The sum in order o by the evaluators fl and, inside blocks, inner.
template <class O, ScalarArithmetic A, ScalarArithmetic Inner>
double sum_in(const O& o, const A& fl, const Inner& inner, Row a, Row b, double c) {
  if constexpr (O::row.c != CEnters::last) {
    return o.sum(SumOfProducts(fl, inner, a, b, c));
  } else {
    const double sum = a.empty() ? 0.0 : o.sum(SumOfProducts(fl, inner, a, b, 0.0));
    return is_positive_zero(c) ? sum : fl.add(sum, c);
  }
}

/// The evaluator of everything that happens once for many steps: one that rounds exact sums and
/// takes any operands.
const GeneralArithmetic& general(const GeneralArithmetic& fl) { return fl; }
const StochasticArithmetic& general(const StochasticArithmetic& fl) { return fl; }
GeneralArithmetic general(const ScalarArithmetic auto& fl) { return GeneralArithmetic(fl.spec()); }

/// Calls visitor(fl, inner) with the evaluators of a sum and of its blocks.
template <class Visitor>
double visit_blocks(const StochasticArithmetic& fl, const Arithmetic& arithmetic,
                    Visitor&& visitor) {
  return visitor(fl, fl.block(arithmetic.steps()));
}
template <ScalarArithmetic A, class Visitor>
double visit_blocks(const A& fl, const Arithmetic& arithmetic, Visitor&& visitor) {
  if (!arithmetic.block) return visitor(fl, fl);
  // fl may be for binary32 operands only, and a block's sum may be any number.
  return visit_arithmetic(*arithmetic.block, std::is_same_v<A, Binary32Arithmetic>,
                          [&](const auto& inner) { return visitor(general(fl), inner); });
}

template <ScalarArithmetic A>
double dot_of_rounded(const A& fl, const Arithmetic& arithmetic, Row a, Row b, double c) {
  const auto in_order = [&]<class O>(const O& o) {
    if constexpr (O::row.fixed_length)
      expects(a.empty() || o.terms() == a.size(),
              "ordered_dot: a sum of the order's length (check_length)");
    if constexpr (requires { o.part; })  // what is added may be no binary32 number
      if (std::is_same_v<A, Binary32Arithmetic> && o.part && !contains(binary32, *o.part)) {
        decltype(auto) any = general(fl);
        return sum_in(o, any, any, a, b, c);
      }
    if constexpr (O::row.kind == SumKind::steps || O::row.kind == SumKind::exact) {
      decltype(auto) any = general(fl);
      return sum_in(o, any, any, a, b, c);
    } else if constexpr (O::row.has_blocks) {
      return visit_blocks(fl, arithmetic, [&](const auto& outer, const auto& inner) {
        return sum_in(o, outer, inner, a, b, c);
      });
    } else {
      return sum_in(o, fl, fl, a, b, c);
    }
  };
  return std::visit(in_order, arithmetic.order);
}

template <ScalarArithmetic A>
double dot_of(const A& fl, const Arithmetic& arithmetic, Row a, Row b, double c) {
  expects(a.size() == b.size(), "ordered_dot: a.size() == b.size()");
  const MacSpec& steps = arithmetic.steps();
  if (!steps.operands) return dot_of_rounded(fl, arithmetic, a, b, c);
  std::vector<double> x(a.size()), y(b.size());
  steps.round_operands(a, x);
  steps.round_operands(b, y);
  return dot_of_rounded(fl, arithmetic, x, y, c);
}

}  // namespace

double ordered_dot(const GeneralArithmetic& fl, const Arithmetic& arithmetic, Row a, Row b,
                   double c) {
  return dot_of(fl, arithmetic, a, b, c);
}
double ordered_dot(const Binary64Arithmetic& fl, const Arithmetic& arithmetic, Row a, Row b,
                   double c) {
  return dot_of(fl, arithmetic, a, b, c);
}
double ordered_dot(const Binary32Arithmetic& fl, const Arithmetic& arithmetic, Row a, Row b,
                   double c) {
  return dot_of(fl, arithmetic, a, b, c);
}
double ordered_dot(const StochasticArithmetic& fl, const Arithmetic& arithmetic, Row a, Row b,
                   double c) {
  return dot_of(fl, arithmetic, a, b, c);
}

}  // namespace lamp
