#include "core/arith/gemm/columns.hpp"

#include <algorithm>
#include <optional>

// Only targets with a fused multiply-add, as in kernels.cpp.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/arith/gemm/columns.cpp"
#include <hwy/foreach_target.h>  // IWYU pragma: keep
//
#include <hwy/highway.h>

#include "core/arith/vector/arithmetic-inl.hpp"
#include "core/arith/vector/philox-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace lamp::gemm_detail::HWY_NAMESPACE {

#if HWY_TARGET == HWY_AVX2 || HWY_TARGET == HWY_AVX3

namespace hn = hwy::HWY_NAMESPACE;
using namespace vector_detail::HWY_NAMESPACE;  // NOLINT: vectors of binary64

constexpr std::size_t lanes = hn::MaxLanes(D64());
constexpr std::size_t vectors = PackedMatrix::panel_cols / lanes;
constexpr std::size_t together = 4;  // vectors whose steps do not wait for each other

Unsure unsure_lanes(M64 sure, std::size_t v) {
  std::array<std::uint8_t, 8> bits{};
  hn::StoreMaskBits(D64(), sure, bits.data());
  const Unsure here = ~Unsure{bits[0]} & ((Unsure{1} << lanes) - 1);
  return here << (v * lanes);
}

/// The draws of one row's columns, of a few steps at a time: in a loop of their own they wait for
/// no sum.
class Draws {
 public:
  static constexpr std::size_t steps = 8;

  explicit Draws(const ColumnSpec& spec)  // NOLINT: Numbers
      : draws_(*spec.draws),
        of_products_(spec.spec.product.has_value()),
        keys_(StepDraws::keys_of({draws_.stream.seed, draws_.stream.sequence})),
        place_(place_of(draws_.stream, spec.what)),
        place_of_products_(place_of(draws_.stream, DrawFor::product)) {}

  /// Those of `count` steps from `first` on.
  void fill(std::uint32_t first, std::size_t count) {
    fill(first, count, place_, sums_);
    if (of_products_) fill(first, count, place_of_products_, products_);
  }
  /// Of vector v, the k-th step that was filled in.
  HWY_INLINE Random at(std::size_t v, std::size_t k) const {
    const D64 d;
    Random random = no_draws();
    random.sum = hn::Load(d, sums_[k] + v * lanes);
    if (of_products_) random.product = hn::Load(d, products_[k] + v * lanes);
    return random;
  }

 private:
  using Numbers = double[steps][PackedMatrix::panel_cols];  // NOLINT: filled in where they are read

  void fill(std::uint32_t first, std::size_t count, std::uint32_t place, Numbers& numbers) const {
    for (std::size_t k = 0; k < count; ++k) {
      const StepDraws step(keys_, first + static_cast<std::uint32_t>(k), draws_.row, place);
#pragma GCC unroll 4
      for (std::size_t v = 0; v < vectors; ++v)
        hn::Store(step.at(draws_.first_column + v * lanes, draws_.bits), D64(),
                  numbers[k] + v * lanes);
    }
  }

  const ColumnDraws& draws_;
  bool of_products_;
  StepDraws::Keys keys_;
  std::uint32_t place_, place_of_products_;
  alignas(64) Numbers sums_, products_;
};

/// Runs step(v, x, y, k, sum, sure): sum += x y in vector v.
template <bool panels, class Step>
HWY_INLINE Unsure each_term(TermOperands a, TermOperands b, std::size_t terms, Columns& c,
                            const Step& step) {
  const D64 d;
  Unsure unsure = 0;
  for (std::size_t v0 = 0; v0 < vectors; v0 += together) {
    V64 sum[together];
    M64 sure[together];
    for (std::size_t v = 0; v < together; ++v) {
      sum[v] = hn::LoadU(d, c.x.data() + (v0 + v) * lanes);
      sure[v] = everywhere();
    }
    const double *left = a.first, *right = b.first;
    for (std::size_t k = 0; k < terms; ++k, left += a.step, right += b.step) {
#pragma GCC unroll 4
      for (std::size_t v = 0; v < together; ++v) {
        const std::size_t at = (v0 + v) * lanes;
        const V64 x = panels ? hn::LoadU(d, left + at) : hn::Set(d, *left);
        step(v0 + v, x, hn::LoadU(d, right + at), k, sum[v], sure[v]);
      }
    }
    for (std::size_t v = 0; v < together; ++v) {
      hn::StoreU(sum[v], d, c.x.data() + (v0 + v) * lanes);
      unsure |= unsure_lanes(sure[v], v0 + v);
    }
  }
  return unsure;
}

Unsure chain(const ColumnSpec& spec, TermOperands a, TermOperands b, std::size_t terms,
             std::uint32_t step, Columns& c) {
  const VectorArithmetic fl(spec.spec);
  if (spec.draws == nullptr)
    return each_term<false>(a, b, terms, c,
                            [&](std::size_t, V64 x, V64 y, std::size_t, V64& sum, M64& sure)
                                HWY_ATTR { sum = fl.mac_rounded(x, y, sum, sure); });
  Draws draws(spec);
  Unsure unsure = 0;
  for (std::size_t first = 0; first < terms; first += Draws::steps) {
    const std::size_t count = std::min(Draws::steps, terms - first);
    draws.fill(step + static_cast<std::uint32_t>(first), count);
    const auto from = [&](TermOperands all) {
      return TermOperands{all.first + static_cast<std::ptrdiff_t>(first) * all.step, all.step};
    };
    unsure |=
        each_term<false>(from(a), from(b), count, c,
                         [&](std::size_t v, V64 x, V64 y, std::size_t k, V64& sum, M64& sure)
                             HWY_ATTR { sum = fl.mac_rounded(x, y, sum, sure, draws.at(v, k)); });
  }
  return unsure;
}

Unsure chain_of_panels(const ColumnSpec& spec, TermOperands a, TermOperands b, std::size_t terms,
                       const Columns* lengths, Columns& c) {
  const VectorArithmetic fl(spec.spec);
  if (lengths == nullptr)
    return each_term<true>(a, b, terms, c,
                           [&](std::size_t, V64 x, V64 y, std::size_t, V64& sum, M64& sure)
                               HWY_ATTR { sum = fl.mac_rounded(x, y, sum, sure); });
  return each_term<true>(a, b, terms, c,
                         [&](std::size_t v, V64 x, V64 y, std::size_t k, V64& sum, M64& sure)
                             HWY_ATTR {
                               const V64 length = hn::LoadU(D64(), lengths->x.data() + v * lanes);
                               const M64 there = hn::Gt(length, all(static_cast<double>(k)));
                               M64 here = everywhere();
                               sum = hn::IfThenElse(there, fl.mac_rounded(x, y, sum, here), sum);
                               sure = hn::And(sure, hn::Or(here, hn::Not(there)));
                             });
}

template <bool negated>
Unsure add(const ColumnSpec& spec, const Columns& y, std::uint32_t step, Columns& x) {
  const D64 d;
  const VectorArithmetic fl(spec.spec);
  std::optional<Draws> draws;
  if (spec.draws != nullptr) draws.emplace(spec).fill(step, 1);
  Unsure unsure = 0;
  for (std::size_t v = 0; v < vectors; ++v) {
    const V64 left = hn::LoadU(d, x.x.data() + v * lanes);
    V64 right = hn::LoadU(d, y.x.data() + v * lanes);
    if (negated) right = hn::Neg(right);
    M64 sure = everywhere();
    const V64 sum = draws ? fl.add(left, right, sure, draws->at(v, 0)) : fl.add(left, right, sure);
    hn::StoreU(sum, d, x.x.data() + v * lanes);
    unsure |= unsure_lanes(sure, v);
  }
  return unsure;
}

void by_magnitude(Columns& x, Columns& y) {
  const D64 d;
  for (std::size_t v = 0; v < vectors; ++v) {
    const V64 a = hn::LoadU(d, x.x.data() + v * lanes), b = hn::LoadU(d, y.x.data() + v * lanes);
    const M64 in_order = hn::Ge(hn::Abs(a), hn::Abs(b));
    hn::StoreU(hn::IfThenElse(in_order, a, b), d, x.x.data() + v * lanes);
    hn::StoreU(hn::IfThenElse(in_order, b, a), d, y.x.data() + v * lanes);
  }
}

const ColumnKernels& kernels_of_columns() {
  static constexpr ColumnKernels kernels{.chain = &chain,
                                         .chain_of_panels = &chain_of_panels,
                                         .add = &add<false>,
                                         .subtract = &add<true>,
                                         .by_magnitude = &by_magnitude};
  return kernels;
}

#else

const ColumnKernels& kernels_of_columns() { contract_violated("column_kernels: AVX2 or AVX-512"); }

#endif

}  // namespace lamp::gemm_detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lamp::gemm_detail {

const ColumnKernels& column_kernels([[maybe_unused]] Backend backend) {
#if HWY_TARGETS & HWY_AVX3
  if (backend == Backend::avx512) return N_AVX3::kernels_of_columns();
#endif
#if HWY_TARGETS & HWY_AVX2
  if (backend == Backend::avx2) return N_AVX2::kernels_of_columns();
#endif
  return HWY_STATIC_DISPATCH(kernels_of_columns)();
}

}  // namespace lamp::gemm_detail
#endif
