// Tables of the two halves of a row, and the search over all pairs of their entries, vectorised: an
// error depends on a set only through what these tables say of its halves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "analysis/truth/local.hpp"

namespace lamp::truth {

/// Sets of one half of a row. They are in groups, one for each size; in a group they ascend. With
/// `lanes` > 1 a group is filled up to whole blocks of that many by its last set once more.
struct HalfTable {
  static constexpr std::size_t lanes = 8;

  std::size_t first, count;          // the components are first .. first + count - 1
  std::size_t block;                 // sets a block
  std::vector<std::size_t> begin{};  // of group k; begin[count + 1] is the end of the last
  std::vector<std::uint64_t> set{};  // as a set of the row
  std::vector<double> sum{};         // of e_j, index ascending; NaN where it is not finite
  std::vector<double> high{},
      low{};                // extremes of e_j / e_ref,j over z_ref,j > 0; -inf, inf of none
  std::vector<double> e{};  // of each block, count times `block`: e_j of each of its sets
};

/// The sets whose number within the half is in [from, to).
HalfTable half_table(const LocalRow& row, std::size_t first, std::size_t count, std::size_t block,
                     std::uint32_t from, std::uint32_t to);

struct BestSet {
  double error;
  std::uint64_t set;
};

/// best[k], k = 0 .. n: replaced where a set of k components, one entry of each table, is better:
/// of less error, or of the same, finite, and a smaller number. Pre: a.block = 1, b.block = lanes.
void search_rel(const LocalRow& row, const HalfTable& a, const HalfTable& b,
                std::span<BestSet> best);
void search_l1(const LocalRow& row, const HalfTable& a, const HalfTable& b,
               std::span<BestSet> best);

}  // namespace lamp::truth
