// The targets of activations z_j = phi(y_j): component j is worth kappa_j = |phi'(y_j)| w_j /
// |phi(y_j)|, the cost of a set is the largest kappa left out. phi'(y)/phi(y) = (1 + h(y))/y with h
// = y/(1 + e^y) of silu, 2 c0 y (1 + 3 c1 y^2)/(1 + e^(2a)) of gelu_tanh (a = c0 (y + c1 y^3)), y
// pdf(y)/cdf(y) of gelu_erf; relu has 1/y, or 0 for y < 0. kappa is correctly rounded to p = 24 by
// Ziv's strategy: binary64 with a bound of its error (of gelu_erf a rough one first),
// core/mpfr/kappa where that leaves two keys possible.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/selection/activations.cpp"
#include <hwy/foreach_target.h>  // compiles the rest of this file once for each target

#include <algorithm>
#include <limits>

#include "core/base/contract.hpp"
#include "core/fp/binary64-inl.hpp"
#include "core/mpfr/kappa.hpp"
#include "core/selection/integers.hpp"
#include "core/selection/lamp.hpp"
#include "core/selection/target.hpp"

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

/// 1 + h, with an error of at most 2^-47 size, or of 2^-38 size where it is rough.
template <class R>
struct Condition {
  R value, size;
};

/// y 2 c0 (1 + 3 c1 y^2), over 1 + e^(2a). 2a has a relative error of 4 u, so e^(2a) one of |2a| 4
/// u, of which h feels at most its share e^(2a)/(1 + e^(2a)): |h 2a| < 2 for y > 0, |2a| e^(2a) < 1
/// below.
template <class R>
HWY_INLINE R tanh_term(R y) {
  const R square = y * y;
  const R argument =
      y * mul_add(R(coefficients::gelu_cubic_hi), square, R(coefficients::gelu_linear_hi));
  const R slope =
      mul_add(R(3.0 * coefficients::gelu_cubic_hi), square, R(coefficients::gelu_linear_hi));
  return y * slope / (R(1.0) + exp(argument));
}

/// y pdf(y)/cdf(y), with cdf(-a) = e^(-a^2/2) tail(a): for y < 0 the exponentials cancel. Below -39
/// by the asymptotic series of pdf/cdf, whose next term is 8162/y^10 < 2^-50 y^2.
template <class R>
HWY_INLINE R erf_term(R y) {
  const R a = bounded_magnitude(y, 39.0);
  const TailTerms<R> terms = tail_terms(a);
  const R tail = terms.constant + terms.rest;
  const R density = R(0.25 * coefficients::gelu_linear_hi);  // 1/sqrt(2 pi)

  const auto negative = y < R(0.0);
  const R gauss = exp(R(-0.5) * a * a);
  const R numerator = select(negative, density, density * gauss);
  const R denominator = select(negative, tail, mul_add(-gauss, tail, R(1.0)));
  const R usual = y * numerator / denominator;

  const R square = y * y, q = R(1.0) / square;
  const R rest =
      mul_add(mul_add(mul_add(mul_add(R(706.0), q, R(-74.0)), q, R(10.0)), q, R(-2.0)), q, R(1.0));
  return select(y < R(-39.0), -(square + rest), usual);
}

/// The same for y > -39 with an error of 2^-39: no table, which vectors would read element by
/// element. With P = (1 + 2a) tail(a).
template <class R>
HWY_INLINE R rough_erf_term(R y) {
  const R a = bounded_magnitude(y, 39.0);
  const R factor = mul_add(R(2.0), a, R(1.0));
  const R p = horner(coefficients::rough_tail, (a - R(4.0)) / (a + R(4.0)));
  const R density = R(0.25 * coefficients::gelu_linear_hi) * factor;
  const auto negative = y < R(0.0);
  const R gauss = exp(R(-0.5) * a * a);
  const R numerator = select(negative, density, density * gauss);
  return y * numerator / select(negative, p, mul_add(-gauss, p, factor));
}

/// Whether a first look is less exact than the second.
template <Function phi>
inline constexpr bool has_rough = phi == Function::gelu_erf;

template <Function phi, bool rough, class R>
HWY_INLINE Condition<R> condition(R y) {
  if constexpr (phi == Function::relu) {
    const R value = select(y < R(0.0), R(0.0), R(1.0));
    return {value, value};
  } else {
    R h = R(0.0);
    if constexpr (phi == Function::silu) h = y / (R(1.0) + exp(y));
    if constexpr (phi == Function::gelu_tanh) h = tanh_term(y);
    if constexpr (phi == Function::gelu_erf && rough) h = rough_erf_term(y);
    if constexpr (phi == Function::gelu_erf && !rough) h = erf_term(y);
    return {R(1.0) + h, R(1.0) + magnitude(h)};
  }
}

/// kappa, at most 2^22, between low and high, both rounded to p = 24 and times 2^40; `known`: and
/// nothing in between has left the range of binary64.
template <class R>
struct Keys {
  R low, high;
  decltype(R(0.0) < R(0.0)) known;
};

/// 0 <= x <= 2^22 to p = 24, RNE, by adding and subtracting 1.5 2^29 of its power of two.
template <class R>
HWY_INLINE R to_24(R x) {
  const R shift = from_bits(bits(x) & (Bits64{0x7FF} << 52)) * R(0x1.8p29);
  return (x + shift) - shift;
}

template <class R>
HWY_INLINE R scaled(R x) {
  const R within = select(x < R(clamped_to), select(x > R(0.0), x, R(0.0)), R(clamped_to));
  return to_24(within) * R(fixed_point);
}

/// relative: w = |y|, not read.
template <Function phi, bool relative, bool rough, class R>
HWY_INLINE Keys<R> keys_of(R y, R w) {
  const R a = magnitude(y);
  const Condition<R> c = condition<phi, rough>(y);
  auto known = a < R(0x1p100);
  if constexpr (rough) known = both(known, y > R(-39.0));
  R kappa = magnitude(c.value),
    width = R(rough ? 0x1p-37 : 0x1p-46) * c.size;  // two more roundings are in it
  if constexpr (!relative) {
    const R ratio = w / a;
    kappa = kappa * ratio, width = width * ratio;
    known = both(both(known, a > R(0x1p-200)), both(w > R(0x1p-200), w < R(0x1p200)));
  }
  return {scaled(kappa - width), scaled(kappa + width), known};
}

/// floor(kappa 2^40); sets `refused` where kappa is NaN.
template <Function phi, bool relative>
HWY_INLINE std::uint64_t key_of(double y, double w, bool& refused) {
  const Keys<double> keys = keys_of<phi, relative, false>(y, w);
  const auto low = static_cast<std::int64_t>(keys.low), high = static_cast<std::int64_t>(keys.high);
  if (keys.known && low == high) return static_cast<std::uint64_t>(low);
  const double kappa = relative ? mpfr::relative_kappa(phi, y) : mpfr::kappa(phi, y, w);
  refused = refused || std::isnan(kappa);
  return clamped_key(kappa);
}

template <Function phi, ErrorWeights weights>
HWY_INLINE bool fill(std::span<const double> y, std::span<const double> given,
                     std::uint64_t* keys) {
  constexpr bool relative = weights == ErrorWeights::relative;
  bool refused = false;
  std::size_t j = 0;
#if LAMP_HAS_VECTOR
  const D64 d;
  const hn::RebindToSigned<D64> integers;
  const hn::RebindToUnsigned<D64> words;
  const std::size_t lanes = hn::Lanes(d);
  for (; j + lanes <= y.size(); j += lanes) {
    Vector w(1.0);
    if constexpr (weights == ErrorWeights::dot) w = hn::LoadU(d, given.data() + j);
    const Keys<Vector> range =
        keys_of<phi, relative, has_rough<phi>>(Vector(hn::LoadU(d, y.data() + j)), w);
    const auto low = hn::ConvertTo(integers, range.low.v),
               high = hn::ConvertTo(integers, range.high.v);
    const auto sure = hn::And(range.known.m, hn::RebindMask(d, hn::Eq(low, high)));
    hn::StoreU(hn::BitCast(words, low), words, keys + j);
    if (hn::AllTrue(d, sure)) [[likely]]
      continue;
    for (std::size_t lane = j; lane < j + lanes; ++lane)
      keys[lane] = key_of<phi, relative>(y[lane], weight_at(weights, given, lane), refused);
  }
#endif
  for (; j < y.size(); ++j)
    keys[j] = key_of<phi, relative>(y[j], weight_at(weights, given, j), refused);
  return !refused;
}

/// One for each activation, not inlined: beside the others its constants would leave the registers.
template <Function phi>
HWY_NOINLINE bool fill_of(ErrorWeights weights, std::span<const double> y,
                          std::span<const double> given, std::uint64_t* keys) {
  switch (weights) {
    case ErrorWeights::absolute:
      return fill<phi, ErrorWeights::absolute>(y, given, keys);
    case ErrorWeights::relative:
      return fill<phi, ErrorWeights::relative>(y, given, keys);
    case ErrorWeights::dot:
      return fill<phi, ErrorWeights::dot>(y, given, keys);
  }
  contract_violated("select_activation: known weights");
}

bool fill_any(Function phi, ErrorWeights weights, std::span<const double> y,
              std::span<const double> given, std::uint64_t* keys) {
  if (phi == Function::gelu_tanh) return fill_of<Function::gelu_tanh>(weights, y, given, keys);
  if (phi == Function::gelu_erf) return fill_of<Function::gelu_erf>(weights, y, given, keys);
  if (phi == Function::silu) return fill_of<Function::silu>(weights, y, given, keys);
  return fill_of<Function::relu>(weights, y, given, keys);
}

std::size_t mark_above(std::span<const std::uint64_t> keys, std::uint64_t tau,
                       std::uint8_t* selected) {
  std::size_t size = 0;
  for (std::size_t j = 0; j < keys.size(); ++j) {
    selected[j] = keys[j] > tau ? 1 : 0;
    size += selected[j];
  }
  return size;
}

}  // namespace lamp::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp {
namespace {

HWY_EXPORT(fill_any);
HWY_EXPORT(mark_above);

}  // namespace

/// Weights that are made of something else than y are as good as a bound.
template <Function phi>
bool kappas_of_activation(const SelectionSpec& spec, const SelectionRow& row,
                          SelectionScratch& scratch) {
  const std::size_t n = row.size();
  std::span<const double> given = given_weights(spec.weights, row);
  expects(row.y.size() == n && (spec.weights == ErrorWeights::absolute || given.size() == n),
          "select_activation: one y and w for every component");
  ErrorWeights weights = spec.weights;
  if (weights == ErrorWeights::relative && !row.g.empty()) {
    scratch.weights.resize(n);
    for (std::size_t j = 0; j < n; ++j) scratch.weights[j] = std::fabs(given[j]);
    given = scratch.weights, weights = ErrorWeights::dot;
  }
  scratch.keys.resize(n);
  return HWY_DYNAMIC_DISPATCH(fill_any)(phi, weights, row.y, given, scratch.keys.data());
}

template <Function phi>
std::size_t select_activation(const SelectionSpec& spec, const SelectionRow& row,
                              std::span<std::uint8_t> selected, SelectionScratch& scratch) {
  if (!kappas_of_activation<phi>(spec, row, scratch)) {
    std::fill(selected.begin(), selected.end(), std::uint8_t{1});
    return selected.size();
  }
  if (spec.rate)
    return mark(scratch.keys, cut_of_size(scratch, count_of_rate(*spec.rate, selected.size())),
                selected);
  const auto tau = static_cast<std::uint64_t>(
      std::min<int128>(ceil_tau(*spec.tau), std::numeric_limits<std::int64_t>::max()));
  return HWY_DYNAMIC_DISPATCH(mark_above)(scratch.keys, tau, selected.data());
}

template <Function phi>
double cost_of_activation(const SelectionSpec& spec, const SelectionRow& row,
                          std::span<const std::uint8_t> selected, SelectionScratch& scratch) {
  if (!kappas_of_activation<phi>(spec, row, scratch))
    return std::numeric_limits<double>::infinity();
  std::uint64_t largest = 0;
  for (std::size_t j = 0; j < selected.size(); ++j)
    if (selected[j] == 0) largest = std::max(largest, scratch.keys[j]);
  return static_cast<double>(largest) / fixed_point;
}

#define LAMP_ACTIVATION(phi)                                                                 \
  template std::size_t select_activation<phi>(const SelectionSpec&, const SelectionRow&,     \
                                              std::span<std::uint8_t>, SelectionScratch&);   \
  template double cost_of_activation<phi>(const SelectionSpec&, const SelectionRow&,         \
                                          std::span<const std::uint8_t>, SelectionScratch&); \
  template bool kappas_of_activation<phi>(const SelectionSpec&, const SelectionRow&,         \
                                          SelectionScratch&);
LAMP_ACTIVATION(Function::gelu_tanh)
LAMP_ACTIVATION(Function::gelu_erf)
LAMP_ACTIVATION(Function::silu)
LAMP_ACTIVATION(Function::relu)
#undef LAMP_ACTIVATION

}  // namespace lamp
#endif  // HWY_ONCE
