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
#include <array>
#include <limits>
#include <numeric>

#include "core/base/contract.hpp"
#include "core/fp/binary64-inl.hpp"
#include "core/mpfr/kappa.hpp"
#include "core/selection/integers.hpp"
#include "core/selection/keys-inl.hpp"
#include "core/selection/lamp.hpp"
#include "core/selection/target.hpp"

HWY_BEFORE_NAMESPACE();
namespace lamp::HWY_NAMESPACE {

/// 1 + h, with an error of at most 2^-47 size, or of 2^-38 size where it is rough.
template <class R>
struct Condition {
  R value, size;
};

/// e^x with a relative error of 2^-40: of e^r, abs(r) <= ln(2)/2, the first eleven terms. x below
/// -708 counts as -708, above 709 as 709, where h is as good as its limit.
template <class R>
HWY_INLINE R rough_exp(R x) {
  constexpr double inverse_factorials[] = {1.0,         1.0,          1.0 / 2,      1.0 / 6,
                                           1.0 / 24,    1.0 / 120,    1.0 / 720,    1.0 / 5040,
                                           1.0 / 40320, 1.0 / 362880, 1.0 / 3628800};
  const R within = clamp(x, -708.0, 709.0);
  const R k_bits = mul_add(within, R(coefficients::log2_e), R(to_integer));
  const R k = k_bits - R(to_integer);
  const R r = mul_add(-k, R(coefficients::ln2_lo), mul_add(-k, R(coefficients::ln2_hi), within));
  return horner(inverse_factorials, r) * power_of_two(k_bits);
}

template <bool rough, class R>
HWY_INLINE R exponential(R x) {
  return rough ? rough_exp(x) : exp(x);
}

/// y 2 c0 (1 + 3 c1 y^2), over 1 + e^(2a). 2a has a relative error of 4 u, so e^(2a) one of |2a| 4
/// u, of which h feels at most its share e^(2a)/(1 + e^(2a)): |h 2a| < 2 for y > 0, |2a| e^(2a) < 1
/// below.
template <bool rough, class R>
HWY_INLINE R tanh_term(R y) {
  const R square = y * y;
  const R argument =
      y * mul_add(R(coefficients::gelu_cubic_hi), square, R(coefficients::gelu_linear_hi));
  const R slope =
      mul_add(R(3.0 * coefficients::gelu_cubic_hi), square, R(coefficients::gelu_linear_hi));
  return y * slope / (R(1.0) + exponential<rough>(argument));
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

/// The same for y > -39 with an error of 2^-38: no table, which vectors would read element by
/// element. With P = (1 + 2a) tail(a).
template <class R>
HWY_INLINE R rough_erf_term(R y) {
  const R a = bounded_magnitude(y, 39.0);
  const R factor = mul_add(R(2.0), a, R(1.0));
  const R p = horner(coefficients::rough_tail, (a - R(4.0)) / (a + R(4.0)));
  const R density = R(0.25 * coefficients::gelu_linear_hi) * factor;
  const auto negative = y < R(0.0);
  const R gauss = rough_exp(R(-0.5) * a * a);
  const R numerator = select(negative, density, density * gauss);
  return y * numerator / select(negative, p, mul_add(-gauss, p, factor));
}

template <Function phi, bool rough, class R>
HWY_INLINE Condition<R> condition(R y) {
  if constexpr (phi == Function::relu) {
    const R value = select(y < R(0.0), R(0.0), R(1.0));
    return {value, value};
  } else {
    R h = R(0.0);
    if constexpr (phi == Function::silu) h = y / (R(1.0) + exponential<rough>(y));
    if constexpr (phi == Function::gelu_tanh) h = tanh_term<rough>(y);
    if constexpr (phi == Function::gelu_erf && rough) h = rough_erf_term(y);
    if constexpr (phi == Function::gelu_erf && !rough) h = erf_term(y);
    return {R(1.0) + h, R(1.0) + magnitude(h)};
  }
}

/// kappa is between low w / a and high w / a; `known`: and nothing in between has left the range of
/// binary64.
template <class R>
struct Range {
  R low, high, w, a;
  decltype(R(0.0) < R(0.0)) known;
};

/// relative: w = |y|, not read, and w / a = 1.
template <Function phi, bool relative, bool rough, class R>
HWY_INLINE Range<R> range_of(R y, R w) {
  const R a = magnitude(y);
  const Condition<R> c = condition<phi, rough>(y);
  auto known = a < R(0x1p100);
  if constexpr (rough && phi == Function::gelu_erf) known = both(known, y > R(-39.0));
  if constexpr (!relative)
    known = both(both(known, a > R(0x1p-200)), both(w > R(0x1p-200), w < R(0x1p200)));
  const R kappa = magnitude(c.value),
          width = R(rough ? 0x1p-37 : 0x1p-46) * c.size;  // two more roundings are in it
  return {kappa - width, kappa + width, relative ? R(1.0) : w, relative ? R(1.0) : a, known};
}

/// 0 <= x <= 2^22 to p = 24, RNE, by adding and subtracting 1.5 2^29 of its power of two.
template <class R>
HWY_INLINE R to_24(R x) {
  const R shift = from_bits(bits(x) & (Bits64{0x7FF} << 52)) * R(0x1.8p29);
  return (x + shift) - shift;
}

/// kappa, at most 2^22, rounded to p = 24 and times 2^40.
template <class R>
HWY_INLINE R scaled(R kappa) {
  const R within =
      select(kappa < R(clamped_to), select(kappa > R(0.0), kappa, R(0.0)), R(clamped_to));
  return to_24(within) * R(fixed_point);
}

/// Both ends of a range.
template <class R>
HWY_INLINE std::array<R, 2> scaled(const Range<R>& range) {
  const R ratio = range.w / range.a;
  return {scaled(range.low * ratio), scaled(range.high * ratio)};
}

/// floor(kappa 2^40); sets `refused` where kappa is NaN.
template <Function phi, bool relative>
HWY_INLINE std::uint64_t key_of(double y, double w, bool& refused) {
  const Range<double> range = range_of<phi, relative, false>(y, w);
  const auto ends = scaled(range);
  const auto low = static_cast<std::int64_t>(ends[0]), high = static_cast<std::int64_t>(ends[1]);
  if (range.known && low == high) return static_cast<std::uint64_t>(low);
  const double kappa = relative ? mpfr::relative_kappa(phi, y) : mpfr::kappa(phi, y, w);
  refused = refused || std::isnan(kappa);
  return clamped_key(kappa);
}

/// Wants all keys.
struct AllKeys {
  std::uint64_t* keys;

#if LAMP_HAS_VECTOR
  HWY_INLINE VectorMask put(std::size_t j, const Range<Vector>& range) const {
    const D64 d;
    const auto ends = scaled(range);
    const auto low = hn::ConvertTo(I64(), ends[0].v), high = hn::ConvertTo(I64(), ends[1].v);
    hn::StoreU(hn::BitCast(U64(), low), U64(), keys + j);
    return both(range.known, {hn::RebindMask(d, hn::Eq(low, high))});
  }
#endif
  HWY_INLINE void put(std::size_t j, std::uint64_t key) const { keys[j] = key; }
};

/// Wants a mark where the key is above tau: no rounding, where kappa is not near tau + 2^-40.
class MarksAbove {
 public:
  MarksAbove(std::uint64_t tau, std::uint8_t* marks)
      : tau_(tau), next_((static_cast<double>(tau) + 1.0) / fixed_point), marks_(marks) {}

#if LAMP_HAS_VECTOR
  HWY_INLINE VectorMask put(std::size_t j, const Range<Vector>& range) const {
    const hn::Rebind<std::uint8_t, D64> bytes;
    const VectorMask above = range.low * range.w > Vector(next_ * (1.0 + 0x1p-22)) * range.a,
                     below = range.high * range.w < Vector(next_ * (1.0 - 0x1p-22)) * range.a;
    const auto mark =
        hn::IfThenElseZero(hn::RebindMask(U64(), above.m), hn::Set(U64(), std::uint64_t{1}));
    hn::StoreU(hn::TruncateTo(bytes, mark), bytes, marks_ + j);
    return both(range.known, {hn::Or(above.m, below.m)});
  }
#endif
  HWY_INLINE void put(std::size_t j, std::uint64_t key) const { marks_[j] = key > tau_ ? 1 : 0; }

 private:
  std::uint64_t tau_;
  [[maybe_unused]] double next_;  // a kappa of 24 bits has a key above tau from here on
  std::uint8_t* marks_;
};

/// Puts all components into `wanted`, which says of the ranges of a vector where one needs no
/// second look; false where a kappa is NaN.
template <Function phi, ErrorWeights weights, class Wanted>
HWY_INLINE bool put_all(std::span<const double> y, std::span<const double> given, Wanted wanted) {
  constexpr bool relative = weights == ErrorWeights::relative;
  bool refused = false;
  const auto put_one = [&](std::size_t j) HWY_ATTR {
    wanted.put(j, key_of<phi, relative>(y[j], weight_at(weights, given, j), refused));
  };
  std::size_t j = 0;
#if LAMP_HAS_VECTOR
  const D64 d;
  const std::size_t lanes = hn::Lanes(d);
  for (; j + lanes <= y.size(); j += lanes) {
    Vector w(1.0);
    if constexpr (weights == ErrorWeights::dot) w = hn::LoadU(d, given.data() + j);
    const VectorMask sure =
        wanted.put(j, range_of<phi, relative, true>(Vector(hn::LoadU(d, y.data() + j)), w));
    if (hn::AllTrue(d, sure.m)) [[likely]]
      continue;
    for (std::size_t lane = j; lane < j + lanes; ++lane) put_one(lane);
  }
#endif
  for (; j < y.size(); ++j) put_one(j);
  return !refused;
}

/// One for each activation, not inlined: beside the others its constants would leave the registers.
template <Function phi, class Wanted>
HWY_NOINLINE bool put_all_of(ErrorWeights weights, std::span<const double> y,
                             std::span<const double> given, Wanted wanted) {
  switch (weights) {
    case ErrorWeights::absolute:
      return put_all<phi, ErrorWeights::absolute>(y, given, wanted);
    case ErrorWeights::relative:
      return put_all<phi, ErrorWeights::relative>(y, given, wanted);
    case ErrorWeights::dot:
      return put_all<phi, ErrorWeights::dot>(y, given, wanted);
  }
  contract_violated("select_activation: known weights");
}

template <class Wanted>
bool put_any(Function phi, ErrorWeights weights, std::span<const double> y,
             std::span<const double> given, Wanted wanted) {
  if (phi == Function::gelu_tanh) return put_all_of<Function::gelu_tanh>(weights, y, given, wanted);
  if (phi == Function::gelu_erf) return put_all_of<Function::gelu_erf>(weights, y, given, wanted);
  if (phi == Function::silu) return put_all_of<Function::silu>(weights, y, given, wanted);
  return put_all_of<Function::relu>(weights, y, given, wanted);
}

bool keys_of_any(Function phi, ErrorWeights weights, std::span<const double> y,
                 std::span<const double> given, std::uint64_t* keys) {
  return put_any(phi, weights, y, given, AllKeys{keys});
}

bool marks_of_any(Function phi, ErrorWeights weights, std::span<const double> y,
                  std::span<const double> given, std::uint64_t tau, std::uint8_t* marks) {
  return put_any(phi, weights, y, given, MarksAbove(tau, marks));
}

}  // namespace lamp::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp {
namespace {

HWY_EXPORT(keys_of_any);
HWY_EXPORT(marks_of_any);

/// The weights of a row. Those that are made of something else than y are as good as a bound.
struct Weights {
  ErrorWeights kind;
  std::span<const double> given;

  Weights(const SelectionSpec& spec, const SelectionRow& row, SelectionScratch& scratch)
      : kind(spec.weights), given(given_weights(spec.weights, row)) {
    const std::size_t n = row.size();
    expects(row.y.size() == n && (kind == ErrorWeights::absolute || given.size() == n),
            "select_activation: one y and w for every component");
    if (kind != ErrorWeights::relative || row.g.empty()) return;
    scratch.weights.resize(n);
    for (std::size_t j = 0; j < n; ++j) scratch.weights[j] = std::fabs(given[j]);
    given = scratch.weights, kind = ErrorWeights::dot;
  }
};

}  // namespace

template <Function phi>
bool kappas_of_activation(const SelectionSpec& spec, const SelectionRow& row,
                          SelectionScratch& scratch) {
  const Weights weights(spec, row, scratch);
  scratch.keys.resize(row.size());
  return HWY_DYNAMIC_DISPATCH(keys_of_any)(phi, weights.kind, row.y, weights.given,
                                           scratch.keys.data());
}

template <Function phi>
std::size_t select_activation(const SelectionSpec& spec, const SelectionRow& row,
                              std::span<std::uint8_t> selected, SelectionScratch& scratch) {
  bool usual = true;
  if (spec.rate) {
    usual = kappas_of_activation<phi>(spec, row, scratch);
    if (usual)
      return mark(scratch.keys, cut_of_size(scratch, count_of_rate(*spec.rate, selected.size())),
                  selected);
  } else {
    const Weights weights(spec, row, scratch);
    const auto tau = static_cast<std::uint64_t>(
        std::min<int128>(ceil_tau(*spec.tau), std::numeric_limits<std::int64_t>::max()));
    usual = HWY_DYNAMIC_DISPATCH(marks_of_any)(phi, weights.kind, row.y, weights.given, tau,
                                               selected.data());
  }
  if (!usual) std::fill(selected.begin(), selected.end(), std::uint8_t{1});
  return static_cast<std::size_t>(std::accumulate(selected.begin(), selected.end(), 0));
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
