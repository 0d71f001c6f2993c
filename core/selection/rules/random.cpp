// At random, with LAMP's budget for the same row: over its causal entries, or over the whole row as
// the reference code of [LAMP] does, which loses what falls on masked entries.
#include "core/selection/rules/random.hpp"

#include <algorithm>

#include "core/base/contract.hpp"
#include "core/base/philox.hpp"

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

}  // namespace

void select_random(std::size_t count, const DrawCoordinates& where,
                   std::span<std::uint8_t> selected) {
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

std::size_t mark_at_random(const RuleInput& input, std::span<std::uint8_t> selected,
                           SelectionScratch& scratch) {
  const std::size_t count = mark_by_lamp(input, selected, scratch);
  select_random(count, input.where, selected);
  return count;
}

std::size_t mark_in_full_row(const RuleInput& input, std::span<std::uint8_t> selected,
                             SelectionScratch& scratch) {
  const std::size_t n = selected.size(), count = mark_by_lamp(input, selected, scratch);
  expects(input.row.row_length >= n, "select_row: row_length counts the masked entries too");
  scratch.marks.resize(input.row.row_length);
  select_random(count, input.where, scratch.marks);
  std::copy_n(scratch.marks.begin(), n, selected.begin());
  return static_cast<std::size_t>(std::count(selected.begin(), selected.end(), std::uint8_t{1}));
}

}  // namespace lamp
