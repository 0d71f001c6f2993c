// Philox4x32-10 (core/base/philox.hpp) in the lanes of a vector: the draws of neighbouring columns.
// Included once for each Highway target (the guard toggles), after arithmetic-inl.hpp.
#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

#include "core/arith/vector/arithmetic-inl.hpp"
#include "core/base/philox.hpp"

#if defined(LAMP_ARITH_VECTOR_PHILOX_INL_HPP) == defined(HWY_TARGET_TOGGLE)
#ifdef LAMP_ARITH_VECTOR_PHILOX_INL_HPP
#undef LAMP_ARITH_VECTOR_PHILOX_INL_HPP
#else
#define LAMP_ARITH_VECTOR_PHILOX_INL_HPP
#endif

HWY_BEFORE_NAMESPACE();
namespace lamp::vector_detail::HWY_NAMESPACE {

#if LAMP_HAS_VECTOR_ROUNDING

/// The top `bits` bits of word 0 for the counters (step, column + lane, row, place), as whole
/// numbers. 1 <= bits <= 32.
HWY_INLINE V64 random_numbers(std::uint32_t step, std::size_t column, std::uint32_t row,
                              std::uint32_t place, PhiloxKey key, int bits) {
  const D64 d;
  const hn::RebindToUnsigned<D64> du;
  const hn::Repartition<std::uint32_t, D64> d32;
  const auto set = [&](std::uint64_t x) HWY_ATTR { return hn::Set(du, x); };
  // The 32-bit words are the lower halves of 64-bit lanes; what is in the upper ones is not read.
  const auto product = [&](hn::Vec<decltype(du)> x, std::uint64_t factor) HWY_ATTR {
    return hn::MulEven(hn::BitCast(d32, x), hn::BitCast(d32, set(factor)));
  };
  auto c0 = set(step), c1 = hn::Iota(du, column), c2 = set(row), c3 = set(place);
  for (int round = 0; round < 10; ++round) {
    const auto product0 = product(c0, philox::multiplier0);
    const auto product1 = product(c2, philox::multiplier1);
    c0 = hn::Xor(hn::ShiftRight<32>(product1), hn::Xor(c1, set(key[0])));
    c1 = product1;
    c2 = hn::Xor(hn::ShiftRight<32>(product0), hn::Xor(c3, set(key[1])));
    c3 = product0;
    key = {key[0] + philox::weyl0, key[1] + philox::weyl1};
  }
  const auto word = hn::And(c0, set(0xFFFFFFFFU));
  const auto top = hn::ShiftRightSame(word, 32 - bits);
  constexpr std::uint64_t two_to_52 = 0x4330000000000000U;  // with a whole number in its last bits
  return hn::Sub(hn::BitCast(d, hn::Or(top, set(two_to_52))), all(0x1p52));
}

#endif  // LAMP_HAS_VECTOR_ROUNDING

}  // namespace lamp::vector_detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
