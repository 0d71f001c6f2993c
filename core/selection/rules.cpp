// The rules LAMP is compared with, at LAMP's own budget.
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/base/contract.hpp"
#include "core/base/philox.hpp"
#include "core/selection/integers.hpp"
#include "core/selection/selection.hpp"

namespace lamp {
namespace {

/// The words of one row's draw, and unbiased integers made of them.
class Draws {
 public:
  explicit Draws(const DrawCoordinates& where)
      : key_{where.seed, where.sequence},
        counter_{0, 0, where.row, (((where.layer << 9) + where.head) << 7) + where.site * 4 + 3} {
    expects(where.layer < 1U << 16 && where.head < 1U << 9 && where.site < 1U << 5,
            "select_random: layer < 2^16, head < 2^9, site < 2^5");
  }

  /// Uniform in 0..bound-1: the high word of word * bound; the words that would favour a value are
  /// rejected (Lemire, "Fast random integer generation in an interval", ACM TOMACS 2019).
  std::uint32_t below(std::uint32_t bound) {
    std::uint64_t product = std::uint64_t{word()} * bound;
    if (static_cast<std::uint32_t>(product) < bound) {
      const std::uint32_t rejected = (0U - bound) % bound;  // 2^32 mod bound
      while (static_cast<std::uint32_t>(product) < rejected)
        product = std::uint64_t{word()} * bound;
    }
    return static_cast<std::uint32_t>(product >> 32);
  }

 private:
  std::uint32_t word() {
    if (next_ == 4) words_ = philox4x32(counter_, key_), ++counter_[0], next_ = 0;
    return words_[next_++];
  }
  PhiloxKey key_;
  PhiloxCounter counter_;
  PhiloxCounter words_{};
  std::size_t next_ = 4;
};

/// Total order of the numbers as unsigned integers; the zeros are one number.
std::uint64_t ordered(double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x + 0.0);
  return (bits >> 63) != 0 ? ~bits : bits | (std::uint64_t{1} << 63);
}

}  // namespace

void select_random(std::size_t count, const DrawCoordinates& where,
                   std::span<std::uint8_t> selected, SelectionScratch&) {
  const std::size_t n = selected.size();
  expects(count <= n && n <= UINT32_MAX, "select_random: count <= selected.size() < 2^32");
  const bool few = count <= n / 2;  // else draw those that stay unmarked
  const std::uint8_t drawn = few ? 1 : 0;
  std::fill(selected.begin(), selected.end(), static_cast<std::uint8_t>(1 - drawn));
  Draws draws(where);
  // R. W. Floyd's sampling (Bentley, "Programming pearls: a sample of brilliance", CACM 1987): one
  // integer per member.
  for (std::size_t last = n - (few ? count : n - count); last < n; ++last) {
    const std::size_t j = draws.below(static_cast<std::uint32_t>(last + 1));
    selected[selected[j] == drawn ? last : j] = drawn;
  }
}

void select_largest(std::size_t count, std::span<const double> y, std::span<std::uint8_t> selected,
                    SelectionScratch& scratch) {
  const std::size_t n = y.size();
  expects(selected.size() == n && count <= n,
          "select_largest: one mark for every y, count <= y.size()");
  scratch.keys.resize(n);
  std::transform(y.begin(), y.end(), scratch.keys.begin(), ordered);
  mark(scratch.keys, cut_of_size(scratch, count), selected);
}

std::size_t select_row(const SelectionSpec& spec, const SoftmaxRow& row,
                       const DrawCoordinates& where, std::span<std::uint8_t> selected,
                       SelectionScratch& scratch) {
  const std::size_t n = row.z.size();
  expects(selected.size() == n, "select_row: one mark for every z");
  const auto by_lamp = [&] { return select_softmax(spec, row, selected, scratch); };
  switch (spec.rule) {
    case Rule::none:
      return std::fill(selected.begin(), selected.end(), std::uint8_t{0}), 0;
    case Rule::all:
      return std::fill(selected.begin(), selected.end(), std::uint8_t{1}), n;
    case Rule::lamp:
      return by_lamp();
    case Rule::random: {
      const std::size_t count = by_lamp();
      return select_random(count, where, selected, scratch), count;
    }
    case Rule::largest_logit: {
      const std::size_t count = by_lamp();
      return select_largest(count, row.y, selected, scratch), count;
    }
    case Rule::random_full_row: {
      const std::size_t count = by_lamp();
      expects(row.row_length >= n, "select_row: row_length counts the masked entries too");
      scratch.marks.resize(row.row_length);
      select_random(count, where, scratch.marks, scratch);
      std::copy_n(scratch.marks.begin(), n, selected.begin());
      return static_cast<std::size_t>(
          std::count(selected.begin(), selected.end(), std::uint8_t{1}));
    }
    case Rule::truth:
      break;  // known after the ground truth only
  }
  contract_violated("select_row: any rule but `truth`");
}

}  // namespace lamp
