#include "core/arith/elementwise.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <type_traits>

#include "core/arith/scalar.hpp"
#include "core/arith/stochastic.hpp"
#include "core/base/contract.hpp"

// AVX2 and AVX-512; elsewhere scalar arithmetic.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/arith/elementwise.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
//
#include <hwy/highway.h>

#include "core/arith/vector/arithmetic-inl.hpp"

#ifndef LAMP_ARITH_ELEMENTWISE_OPERATION
#define LAMP_ARITH_ELEMENTWISE_OPERATION
namespace lamp::elementwise_detail {

/// fl of one operation, by any evaluator.
template <Operation operation, class Fl>
double one(const Fl& fl, double x, double y, double z) {
  if constexpr (operation == Operation::round) return fl.round(x);
  if constexpr (operation == Operation::add) return fl.add(x, y);
  if constexpr (operation == Operation::sub) return fl.sub(x, y);
  if constexpr (operation == Operation::mul) return fl.mul(x, y);
  if constexpr (operation == Operation::div) return fl.div(x, y);
  if constexpr (operation == Operation::mac) return fl.mac(x, y, z);
}

using Operands = std::array<Operand, 3>;

}  // namespace lamp::elementwise_detail
#endif

HWY_BEFORE_NAMESPACE();
namespace lamp::elementwise_detail::HWY_NAMESPACE {

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3

namespace hn = hwy::HWY_NAMESPACE;
using vector_detail::HWY_NAMESPACE::D64;
using vector_detail::HWY_NAMESPACE::everywhere;
using vector_detail::HWY_NAMESPACE::M64;
using vector_detail::HWY_NAMESPACE::V64;
using vector_detail::HWY_NAMESPACE::VectorArithmetic;

/// A vector of binary64 numbers, each of which is a binary32 one.
struct Narrow {
  static constexpr hn::Rebind<float, D64> narrow{};
  static HWY_INLINE auto down(V64 x) { return hn::DemoteTo(narrow, x); }
  template <class V>
  static HWY_INLINE V64 up(V x) {
    return hn::PromoteTo(D64(), x);
  }
};

struct Wide {
  static HWY_INLINE V64 down(V64 x) { return x; }
  static HWY_INLINE V64 up(V64 x) { return x; }
};

/// Fused binary64 or binary32, RNE, by the processor: Binary64Arithmetic and Binary32Arithmetic.
template <class To>
struct OfProcessor {
  HWY_INLINE V64 round(V64 x, M64&) const { return To::up(To::down(x)); }
  HWY_INLINE V64 add(V64 x, V64 y, M64&) const { return To::up(hn::Add(To::down(x), To::down(y))); }
  HWY_INLINE V64 sub(V64 x, V64 y, M64&) const { return To::up(hn::Sub(To::down(x), To::down(y))); }
  HWY_INLINE V64 mul(V64 x, V64 y, M64&) const { return To::up(hn::Mul(To::down(x), To::down(y))); }
  HWY_INLINE V64 div(V64 x, V64 y, M64&) const { return To::up(hn::Div(To::down(x), To::down(y))); }
  HWY_INLINE V64 mac(V64 a, V64 b, V64 c, M64&) const {
    return To::up(hn::MulAdd(To::down(a), To::down(b), To::down(c)));
  }
};

template <Operation operation, class Fl>
HWY_INLINE V64 of_vectors(const Fl& fl, V64 x, V64 y, V64 z, M64& sure) {
  if constexpr (operation == Operation::round) return fl.round(x, sure);
  if constexpr (operation == Operation::add) return fl.add(x, y, sure);
  if constexpr (operation == Operation::sub) return fl.sub(x, y, sure);
  if constexpr (operation == Operation::mul) return fl.mul(x, y, sure);
  if constexpr (operation == Operation::div) return fl.div(x, y, sure);
  if constexpr (operation == Operation::mac) return fl.mac(x, y, z, sure);
}

/// Vectors of the elements, the last of them padded with ones.
template <Operation operation, class Fl>
void evaluate_with(const Fl& fl, const MacSpec& mac, const Operands& x, std::span<double> out) {
  const D64 d;
  const std::size_t lanes = hn::Lanes(d), n = out.size();
  const auto load = [&](const Operand& operand, std::size_t i) HWY_ATTR {
    return operand.data() != nullptr ? hn::LoadU(d, operand.data() + i) : hn::Set(d, operand[0]);
  };
  const auto replace = [&](std::size_t i, std::size_t count, const double* operands, M64 sure,
                           double* to) HWY_ATTR {
    const GeneralArithmetic general(mac);
    std::uint8_t is_sure[8] = {};
    hn::StoreMaskBits(d, sure, is_sure);
    for (std::size_t lane = 0; lane < count; ++lane)
      if ((is_sure[0] >> lane & 1) == 0)
        to[i + lane] = one<operation>(general, operands[lane], operands[lanes + lane],
                                      operands[2 * lanes + lane]);
  };
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const V64 a = load(x[0], i), b = load(x[1], i), c = load(x[2], i);
    M64 sure = everywhere();
    const V64 y = of_vectors<operation>(fl, a, b, c, sure);
    if (hn::AllTrue(d, sure)) [[likely]] {
      hn::StoreU(y, d, out.data() + i);
      continue;
    }
    std::array<double, 24> operands;
    hn::StoreU(a, d, operands.data());
    hn::StoreU(b, d, operands.data() + lanes);
    hn::StoreU(c, d, operands.data() + 2 * lanes);
    hn::StoreU(y, d, out.data() + i);
    replace(i, lanes, operands.data(), sure, out.data());
  }
  if (i == n) return;
  std::array<double, 24> operands;
  std::array<double, 8> rest;
  for (std::size_t k = 0; k < 3; ++k)
    for (std::size_t lane = 0; lane < lanes; ++lane)
      operands[k * lanes + lane] = i + lane < n ? x[k][i + lane] : 1.0;
  M64 sure = everywhere();
  const V64 y = of_vectors<operation>(fl, hn::LoadU(d, operands.data()),
                                      hn::LoadU(d, operands.data() + lanes),
                                      hn::LoadU(d, operands.data() + 2 * lanes), sure);
  hn::StoreU(y, d, rest.data());
  if (!hn::AllTrue(d, sure)) replace(0, n - i, operands.data(), sure, rest.data());
  std::copy_n(rest.begin(), n - i, out.begin() + static_cast<std::ptrdiff_t>(i));
}

/// As Fl of visit_arithmetic; spec: of GeneralArithmetic.
template <Operation operation, class Fl>
void evaluate(const MacSpec& mac, [[maybe_unused]] const VectorSpec* spec, const Operands& x,
              std::span<double> out) {
  if constexpr (std::is_same_v<Fl, Binary64Arithmetic>)
    evaluate_with<operation>(OfProcessor<Wide>(), mac, x, out);
  else if constexpr (std::is_same_v<Fl, Binary32Arithmetic>)
    evaluate_with<operation>(OfProcessor<Narrow>(), mac, x, out);
  else
    evaluate_with<operation>(VectorArithmetic(*spec), mac, x, out);
}

#else

template <Operation, class>
void evaluate(const MacSpec&, const VectorSpec*, const Operands&, std::span<double>) {
  contract_violated("Elementwise: vectors of AVX2 or AVX-512");
}

#endif

}  // namespace lamp::elementwise_detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp {
namespace {

using namespace elementwise_detail;  // NOLINT: this file is its other half

template <Operation operation, class Fl>
void evaluate_by([[maybe_unused]] Backend backend, [[maybe_unused]] const MacSpec& mac,
                 [[maybe_unused]] const VectorSpec* spec, [[maybe_unused]] const Operands& x,
                 [[maybe_unused]] std::span<double> out) {
#if HWY_TARGETS & HWY_AVX3
  if (backend == Backend::avx512) return N_AVX3::evaluate<operation, Fl>(mac, spec, x, out);
#endif
#if HWY_TARGETS & HWY_AVX2
  if (backend == Backend::avx2) return N_AVX2::evaluate<operation, Fl>(mac, spec, x, out);
#endif
  contract_violated("Elementwise: an instruction set that it has vectors for");
}

/// One of fl's operations on every element; spec: of the general evaluator, null where it has no
/// vectors.
template <Operation operation, class Fl>
void evaluate_each(Backend backend, const Fl& fl, const MacSpec& mac, const VectorSpec* spec,
                   const Operands& x, std::span<double> out) {
  constexpr bool general = std::is_same_v<Fl, GeneralArithmetic>;
  if (backend != Backend::scalar && (!general || spec != nullptr))
    return evaluate_by<operation, Fl>(backend, mac, spec, x, out);
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = one<operation>(fl, x[0][i], x[1][i], x[2][i]);
}

/// Whether 1 / y is one too, so that a division by y is a product of the same value.
bool is_power_of_two(double y) {
  int exponent = 0;
  return y > 0x1p-1000 && y < 0x1p1000 && std::frexp(y, &exponent) == 0.5;
}

}  // namespace

Elementwise::Elementwise(const Arithmetic& arithmetic, bool operands_are_binary32,
                         std::uint32_t first_step, Backend backend)
    : arithmetic_(arithmetic),
      binary32_(operands_are_binary32),
      first_step_(first_step),
      backend_(resolved(backend)) {
  if (backend_ != Backend::scalar && !is_stochastic(arithmetic.mac))
    vectors_ = vector_spec(arithmetic.mac);
}

template <elementwise_detail::Operation operation>
void Elementwise::evaluate(const Operands& x, std::span<double> out, Place at) const {
  for (const Operand& operand : x) expects(operand.fits(out.size()), "Elementwise: equal lengths");
  if (is_stochastic(arithmetic_)) {
    const auto output = stochastic_outputs(arithmetic_, first_step_ + at.step);
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = one<operation>(output(at.row, at.column + i), x[0][i], x[1][i], x[2][i]);
    return;
  }
  visit_arithmetic(arithmetic_.mac, binary32_, [&](const auto& fl) {
    evaluate_each<operation>(backend_, fl, arithmetic_.mac, vectors_ ? &*vectors_ : nullptr, x,
                             out);
  });
}

void Elementwise::round(Operand x, std::span<double> out, Place at) const {
  evaluate<Operation::round>({x, 0.0, 0.0}, out, at);
}
void Elementwise::add(Operand x, Operand y, std::span<double> out, Place at) const {
  evaluate<Operation::add>({x, y, 0.0}, out, at);
}
void Elementwise::sub(Operand x, Operand y, std::span<double> out, Place at) const {
  evaluate<Operation::sub>({x, y, 0.0}, out, at);
}
void Elementwise::mul(Operand x, Operand y, std::span<double> out, Place at) const {
  evaluate<Operation::mul>({x, y, 0.0}, out, at);
}
void Elementwise::div(Operand x, Operand y, std::span<double> out, Place at) const {
  if (y.data() == nullptr && is_power_of_two(y[0])) return mul(x, 1.0 / y[0], out, at);
  evaluate<Operation::div>({x, y, 0.0}, out, at);
}
void Elementwise::mac(Operand a, Operand b, Operand c, std::span<double> out, Place at) const {
  evaluate<Operation::mac>({a, b, c}, out, at);
}

void Elementwise::function(Function f, std::span<const double> x, std::span<double> out,
                           Place at) const {
  expects(x.size() == out.size(), "Elementwise: equal lengths");
  const MacSpec& mac = arithmetic_.mac;
  if (is_stochastic(arithmetic_)) {
    const auto output = stochastic_outputs(arithmetic_, first_step_ + at.step);
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = output(at.row, at.column + i).function(f, x[i]);
    return;
  }
  if (!mac.via) return lamp::evaluate(f, x, out, mac.format, mac.rounding);
  lamp::evaluate(f, x, out, *mac.via);
  const MacSpec last{.format = mac.format, .rounding = mac.rounding};
  const std::optional<VectorSpec> spec = vectors_ ? vector_spec(last) : std::nullopt;
  evaluate_each<Operation::round>(backend_, GeneralArithmetic(last), last, spec ? &*spec : nullptr,
                                  {out, 0.0, 0.0}, out);
}

}  // namespace lamp
#endif
