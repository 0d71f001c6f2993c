// Philox4x32-10 (core/base/philox.hpp) in the lanes of a vector: the draws of neighbouring columns.
// Included once for each Highway target (the guard toggles), after arithmetic-inl.hpp.
#include <hwy/highway.h>

#include <array>
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

/// Word 0 for the counters (step, column, row, place), of columns in the lanes: what they share is
/// evaluated once. Columns differ in one word of the counter, so that half of a round is the same
/// for all of them in rounds 2 and 3, and nothing else in round 1; of round 10 one product is
/// needed, for which the first is of the row.
class StepDraws {
 public:
  using Keys = std::array<std::array<std::uint64_t, 2>, 10>;  // of the rounds
  static Keys keys_of(PhiloxKey key) {
    Keys keys{};
    for (auto& of_round : keys) {
      of_round = {key[0], key[1]};
      key = {key[0] + philox::weyl0, key[1] + philox::weyl1};
    }
    return keys;
  }

  HWY_INLINE StepDraws(const Keys& keys, std::uint32_t step, std::uint32_t row, std::uint32_t place)
      : keys_(keys) {
    const auto [high0, low0] = halves(philox::multiplier0 * step);
    const auto [high1, low1] = halves(philox::multiplier1 * row);
    const auto [high2, low2] = halves(philox::multiplier1 * (high0 ^ place ^ keys_[0][1]));
    const auto [high3, low3] = halves(philox::multiplier0 * (high2 ^ low1 ^ keys_[1][0]));
    first_ = high1 ^ keys_[0][0];
    second_ = low0 ^ keys_[1][1];
    third_ = {low2 ^ keys_[2][0], high3 ^ keys_[2][1]};
    fourth_ = low3 ^ keys_[3][1];
  }

  /// The top `bits` bits, as whole numbers. 1 <= bits <= 32.
  HWY_INLINE V64 at(std::size_t column, int bits) const {
    const D64 d;
    const DU du;
    // 32-bit words are the lower halves of 64-bit lanes; what is in the upper ones is not read.
    auto product0 = product(hn::Xor(hn::Add(hn::Load(du, in_order), set(column)), set(first_)),
                            philox::multiplier0);
    auto product1 = product(hn::Xor(high(product0), set(second_)), philox::multiplier1);
    auto c0 = hn::Xor(high(product1), set(third_[0])), c1 = product1;
    auto c2 = hn::Xor(product0, set(third_[1])), c3 = set(fourth_);
#pragma GCC unroll 6
    for (std::size_t round = 3; round < 9; ++round) {
      product0 = product(c0, philox::multiplier0), product1 = product(c2, philox::multiplier1);
      c0 = hn::Xor(high(product1), hn::Xor(c1, set(keys_[round][0])));
      c1 = product1;
      // fourth_ has the key of its round already.
      c2 = hn::Xor(high(product0), round == 3 ? c3 : hn::Xor(c3, set(keys_[round][1])));
      c3 = product0;
    }
    const auto last =
        hn::Xor(high(product(c2, philox::multiplier1)), hn::Xor(c1, set(keys_[9][0])));
    const auto word = hn::And(last, set(0xFFFFFFFFU));
    const auto top = hn::ShiftRightSame(word, 32 - bits);
    constexpr std::uint64_t two_to_52 =
        0x4330000000000000U;  // with a whole number in its last bits
    return hn::Sub(hn::BitCast(d, hn::Or(top, set(two_to_52))), all(0x1p52));
  }

 private:
  /// Highway's Iota writes them to memory in AVX2, one by one, and the load waits for that.
  alignas(64) static constexpr std::uint64_t in_order[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  using DU = hn::RebindToUnsigned<D64>;
  using VU = hn::Vec<DU>;

  static HWY_INLINE std::array<std::uint64_t, 2> halves(std::uint64_t product) {
    return {product >> 32, product & 0xFFFFFFFFU};
  }
  static HWY_INLINE VU set(std::uint64_t x) { return hn::Set(DU(), x); }
  static HWY_INLINE VU high(VU product) { return hn::ShiftRight<32>(product); }
  static HWY_INLINE VU product(VU x, std::uint64_t factor) {
    const hn::Repartition<std::uint32_t, D64> d32;
    return hn::MulEven(hn::BitCast(d32, x), hn::BitCast(d32, set(factor)));
  }

  const Keys& keys_;
  std::uint64_t first_, second_, fourth_;
  std::array<std::uint64_t, 2> third_;
};

#endif  // LAMP_HAS_VECTOR_ROUNDING

}  // namespace lamp::vector_detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // toggled guard
