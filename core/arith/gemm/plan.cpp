#include "core/arith/gemm/plan.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <type_traits>
#include <utility>

namespace lamp::gemm_detail {
namespace {

template <class T>
constexpr FloatFormat lanes_format = std::is_same_v<T, float> ? binary32 : binary64;

/// Rounding by Round::full knows gradual underflow, signed zeros, and overflow to infinity where
/// the format has infinities.
bool regular(const FloatFormat& f) {
  return f.p >= 2 && f.subnormals && f.signed_zero && !f.is_unsigned &&
         f.infinities == (f.overflow == Overflow::infinity);
}

template <class T>
std::optional<Round> round_in_lanes(const FloatFormat& f) {
  constexpr FloatFormat lanes = lanes_format<T>;
  const int k = lanes.p - f.p;
  if (!regular(f)) return std::nullopt;
  const bool whole_range =
      f.emin == lanes.emin && f.emax == lanes.emax && f.infinities && f.top_codes_lost == 0;
  if (whole_range && k == 0) return Round::none;
  if (whole_range && k >= 1 && lanes == binary32) return Round::integer;
  if (k < 2 || f.emin - (f.p - 1) < lanes.emin || f.emin > f.emax || f.emax + k >= lanes.emax)
    return std::nullopt;
  return f.overflow == Overflow::largest ? Round::saturating : Round::full;
}

template <class T>
Target<T> target_in_lanes(const FloatFormat& f) {
  const int k = lanes_format<T>.p - f.p;
  const std::optional<Round> round = round_in_lanes<T>(f);
  if (!round) return {};  // a field of the specification that the kernel does not use
  return {.scale = static_cast<T>((*round == Round::integer ? 1.0 : 1.5) * pow2(k)),
          .last_bit = static_cast<T>(pow2(1 - f.p)),
          .smallest_normal = static_cast<T>(pow2(f.emin)),
          .largest = static_cast<T>(xmax(f)),
          .overflow = f.overflow == Overflow::nan ? std::numeric_limits<T>::quiet_NaN()
                                                  : std::numeric_limits<T>::infinity(),
          .half = k >= 1 && k < 32 ? std::uint32_t{1} << (k - 1) : 0U};
}

/// A sum rounded to odd in the lanes and then to `f` is rounded once: two bits more suffice.
template <class T>
bool odd_serves(const FloatFormat& f) {
  return f.p <= lanes_format<T>.p - 2;
}

/// The sum of two numbers of `f`, rounded RNE to the lanes' p and then to f's, is rounded once
/// (Figueroa 1995); a sum below 2^emin is exact.
template <class T>
bool double_rounding_is_innocuous(const FloatFormat& f) {
  return lanes_format<T>.p >= 2 * f.p + 2;
}

/// Every product of two numbers of `operands` is a number of the lanes.
template <class T>
constexpr bool products_are_exact(const FloatFormat& operands) {
  constexpr FloatFormat lanes = lanes_format<T>;
  return 2 * operands.p <= lanes.p &&
         2 * (operands.emin - operands.p + 1) >= lanes.emin - lanes.p + 1 &&
         2 * (operands.emax + 1) <= lanes.emax + 1;
}
static_assert(!products_are_exact<float>(bfloat16) && products_are_exact<float>(binary16) &&
              products_are_exact<double>(binary32));

/// The two decisions of a directed mode; only in lanes of binary32, for formats with their range.
/// Through binary32 any mode follows a rounding to nearest; else a sum in the same direction, or to
/// odd. Nothing where a sum would be rounded before in another way.
template <class T>
std::optional<std::pair<Sum, Round>> directed(const MacSpec& mac) {
  const std::optional<Round> rne = round_in_lanes<T>(mac.format);
  const bool via = mac.via.has_value();
  if (!std::is_same_v<T, float> || !rne || (via && *mac.via != binary32)) return std::nullopt;
  const bool whole = *rne == Round::none;  // the format is the lanes'
  if ((!whole && *rne != Round::integer) || (whole && via)) return std::nullopt;
  if (!via && !whole && !odd_serves<T>(mac.format)) return std::nullopt;
  const auto both = [&](Sum sum, Round round) {
    return std::pair(via ? Sum::nearest : sum, whole ? Round::none : round);
  };
  switch (mac.rounding) {
    case Rounding::rtz:
      return both(Sum::toward_zero, Round::toward_zero);
    case Rounding::rtp:
      return both(Sum::up, Round::up);
    case Rounding::rtn:
      return both(Sum::down, Round::down);
    case Rounding::rto:
      if (whole) return std::nullopt;
      return both(Sum::odd, Round::to_odd);
    case Rounding::rna:
      if (whole) return std::nullopt;
      return both(Sum::odd, Round::away);
    case Rounding::rne:
    case Rounding::sr:
    case Rounding::sre:
      return std::nullopt;
  }
  contract_violated("plan: a known rounding mode");
}

/// The three decisions, or nothing. One Round serves product, via and format: Target makes the
/// difference.
template <class T>
std::optional<StepShape> step_shape(const MacSpec& mac, bool exact_products) {
  constexpr FloatFormat lanes = lanes_format<T>;
  if (const auto pair = directed<T>(mac); pair && !mac.product)
    return StepShape{.sum = pair->first, .round = pair->second};
  const std::optional<Round> round = round_in_lanes<T>(mac.format);
  if (!round || mac.rounding != Rounding::rne) return std::nullopt;
  StepShape shape{.round = *round};
  if (mac.product && *mac.product == lanes) {
    shape.product = exact_products ? Product::fused : Product::lanes;
  } else if (mac.product) {
    if (round_in_lanes<T>(*mac.product) != round || !odd_serves<T>(*mac.product))
      return std::nullopt;
    shape.product = exact_products ? Product::rounded_exact : Product::rounded;
  }
  const bool via = mac.via && *mac.via != mac.format;
  if (mac.format == lanes || (via && *mac.via == lanes)) {
    shape.sum = Sum::nearest;
  } else if (via) {
    if (round_in_lanes<T>(*mac.via) != round || !odd_serves<T>(*mac.via)) return std::nullopt;
    shape.sum = Sum::odd_via;
  } else if (mac.product == mac.format && double_rounding_is_innocuous<T>(mac.format)) {
    shape.sum = Sum::nearest;
  } else {
    if (!odd_serves<T>(mac.format)) return std::nullopt;
    shape.sum = Sum::odd;
  }
  // Those kernels lose the sign of a sum that underflows to zero; numbers of the format itself have
  // no such sum.
  if (is_rounded(shape.product) && shape.sum == Sum::nearest && *mac.product != mac.format)
    return std::nullopt;
  // via = another format than the format, while the format is the lanes': a rounding before that
  // none of the kernels has.
  if (mac.format == lanes && via) return std::nullopt;
  return shape;
}

/// The kernel of a shape. Where a set has no sums to nearest after products rounded to odd, a sum
/// to odd has the same bits: `nearest` stands there for two roundings that are one.
template <class T>
Kernel<T> kernel_of(const StepShape& shape, Kernel<T> (*find)(StepShape)) {
  if (find == nullptr) return nullptr;
  Kernel<T> kernel = find(shape);
  if (kernel == nullptr && shape.product == Product::rounded && shape.sum == Sum::nearest)
    kernel = find({shape.product, Sum::odd, shape.round});
  return kernel;
}

template <class T>
StepConstants<T> constants(const MacSpec& mac) {
  StepConstants<T> c;
  c.format = target_in_lanes<T>(mac.format);
  if (mac.product) c.product = target_in_lanes<T>(*mac.product);
  if (mac.via) c.via = target_in_lanes<T>(*mac.via);
  return c;
}

/// How lone additions of any numbers of the lanes are rounded: what these were rounded to does not
/// matter.
template <class T>
std::optional<std::pair<Sum, Round>> addition_shape(const MacSpec& mac) {
  constexpr FloatFormat lanes = lanes_format<T>;
  if (const auto pair = directed<T>(mac)) return pair;
  const std::optional<Round> round = round_in_lanes<T>(mac.format);
  const bool via = mac.via && *mac.via != mac.format;
  if (!round || mac.rounding != Rounding::rne) return std::nullopt;
  if (via && (*mac.via != lanes || mac.format == lanes)) return std::nullopt;
  const bool nearest = via || mac.format == lanes;
  if (!nearest && !odd_serves<T>(mac.format)) return std::nullopt;
  return std::pair(nearest ? Sum::nearest : Sum::odd, *round);
}

template <class T>
std::optional<AdditionPlan<T>> additions(const MacSpec& mac, AdderPair<T> (*find)(Sum, Round)) {
  const auto shape = addition_shape<T>(mac);
  if (!shape || find == nullptr) return std::nullopt;
  const AdditionPlan<T> plan{find(shape->first, shape->second), constants<T>(mac)};
  return plan.adders.add == nullptr ? std::nullopt : std::optional(plan);
}

/// The additions of a summation are rounded as the sums of steps are, which has to be what lone
/// additions need.
template <class T>
std::optional<Plan<T>> summation_plan(const MacSpec& mac, std::optional<StepShape> shape,
                                      Summation summation, Kernel<T> (*find)(StepShape)) {
  const auto additions = addition_shape<T>(mac);
  if (!shape || !additions || *additions != std::pair(shape->sum, shape->round))
    return std::nullopt;
  shape->summation = summation;
  if (find == nullptr || find(*shape) == nullptr) return std::nullopt;
  return Plan<T>{.kernel = find(*shape), .constants = constants<T>(mac)};
}

std::optional<StepShape> shape32(const MacSpec& mac) {
  return step_shape<float>(
      mac, mac.float_operands() && products_are_exact<float>(*mac.float_operands()));
}

// `normal`. Below: an operand of exponent e is a multiple of 2^(e - 23), so with ea, eb the
// smallest exponents every product, and (rounding to nearest keeps multiples or goes to coarser
// ones) every partial sum is a multiple of 2^(ea + eb - 46). If that is at least 2^-126, a sum that
// is not zero is normal before and after rounding, nothing underflows, and an exact zero sum from
// +0 is +0. Products of numbers of up to 12 bits are then numbers of binary32.
//
// Above: let every product be at most 2^E. While |c| <= 2^(E + p), |c + ab| <= 2^(E + p) + 2^E, and
// the right side is halfway between 2^(E + p) and its successor among numbers of p bits, or below;
// ties go to even, to 2^(E + p), and rounding is monotone (of a product, which 2^E bounds still; of
// a sum through binary32 or to odd too: the tie is a binary32 number). So |c| never exceeds 2^(E +
// p), and no sum before rounding reaches 2^(E + p + 1). Round::normal is right below 2^(128 - k) =
// 2^(104 + p). Hence E <= 103, for every p.
//
// `bounded`: nothing overflows where 2^(E + p) <= 2^emax. (Where products are below 2^emin, E is
// emin.)
Guard guard_of_normal() { return {.largest = 0x1p103, .lowest = 46 - 126}; }
Guard guard_of_bounded(const FloatFormat& f) {
  const bool possible = f.emax - f.p >= f.emin && xmax(f) >= pow2(f.emax);
  return {.largest = possible ? pow2(f.emax - f.p) : -1.0};
}

/// The faster kernel of a shape, and what it needs.
void add_guarded(const MacSpec& mac, StepShape shape, const KernelSet& set, Plan<float>& plan) {
  if (shape.round == Round::integer) {
    shape.round = Round::normal;
    const FloatFormat* operands = mac.float_operands();
    if (shape.product == Product::rounded && operands != nullptr && 2 * operands->p <= binary32.p)
      shape.product = Product::rounded_exact;
    plan.guard = guard_of_normal();
  } else if ((shape.round == Round::full || shape.round == Round::saturating) &&
             shape.sum != Sum::odd_via &&
             (!is_rounded(shape.product) || mac.product == mac.format)) {
    shape.round = Round::bounded;
    plan.guard = guard_of_bounded(mac.format);
  } else {
    return;
  }
  plan.guarded_kernel = kernel_of(shape, set.kernel32);
}

}  // namespace

std::optional<Plan<float>> plan32(const MacSpec& mac, const KernelSet& set) {
  const std::optional<StepShape> shape = shape32(mac);
  if (!shape) return std::nullopt;
  Plan<float> plan{.kernel = kernel_of(*shape, set.kernel32), .constants = constants<float>(mac)};
  if (plan.kernel == nullptr) return std::nullopt;
  add_guarded(mac, *shape, set, plan);
  return plan;
}

std::optional<Plan<double>> plan64(const MacSpec& mac, bool binary32_operands,
                                   const KernelSet& set) {
  const std::optional<StepShape> shape = step_shape<double>(mac, binary32_operands);
  if (!shape) return std::nullopt;
  Plan<double> plan{.kernel = kernel_of(*shape, set.kernel64), .constants = constants<double>(mac)};
  if (plan.kernel == nullptr) return std::nullopt;
  return plan;
}

std::optional<Plan<float>> summation32(const MacSpec& mac, Summation summation,
                                       const KernelSet& set) {
  return summation_plan<float>(mac, shape32(mac), summation, set.kernel32);
}
std::optional<Plan<double>> summation64(const MacSpec& mac, Summation summation,
                                        const KernelSet& set) {
  return summation_plan<double>(mac, step_shape<double>(mac, false), summation, set.kernel64);
}

std::optional<AdditionPlan<float>> additions32(const MacSpec& mac, const KernelSet& set) {
  return additions<float>(mac, set.adders32);
}
std::optional<AdditionPlan<double>> additions64(const MacSpec& mac, const KernelSet& set) {
  return additions<double>(mac, set.adders64);
}

std::optional<Round> round32(const FloatFormat& format) { return round_in_lanes<float>(format); }
Target<float> target32(const FloatFormat& format) { return target_in_lanes<float>(format); }

bool holds(const Guard& guard, MagnitudeRange a, MagnitudeRange b) {
  const auto number = [](std::uint32_t magnitude) {
    return static_cast<double>(std::bit_cast<float>(magnitude));
  };
  const double product = number(a.largest) * number(b.largest);  // exact; NaN where one operand is
  if (!(product <= guard.largest)) return false;
  if (product == 0.0) return true;  // all products are zeros
  return exponent32(a.smallest_less_one + 1) + exponent32(b.smallest_less_one + 1) >= guard.lowest;
}

}  // namespace lamp::gemm_detail
