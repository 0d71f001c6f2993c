#include "analysis/truth/subsets.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "analysis/not_finite.hpp"
#include "analysis/truth/subset_tables.hpp"
#include "core/base/contract.hpp"

namespace lamp::truth {
namespace {

/// Entry m of `all` becomes with(entry m, j) with component j in the set, and without: the entries
/// of the sets of one component more. So every entry meets its components in ascending order.
template <class Step>
std::vector<double> over_sets(std::size_t count, double none, const Step& step) {
  std::vector<double> all{none};
  for (std::size_t j = 0; j < count; ++j) {
    const std::size_t sets = all.size();
    all.resize(2 * sets);
    for (std::size_t m = 0; m < sets; ++m)
      all[m + sets] = step(all[m], j, true), all[m] = step(all[m], j, false);
  }
  return all;
}

/// Numbers of sets from .. to - 1, by size, and where each size begins; filled up to whole blocks.
std::vector<std::uint32_t> by_size(HalfTable& table, std::uint32_t from, std::uint32_t to) {
  std::vector<std::vector<std::uint32_t>> groups(table.count + 1);
  for (std::uint32_t m = from; m < to; ++m)
    groups[static_cast<std::size_t>(std::popcount(m))].push_back(m);
  std::vector<std::uint32_t> numbers;
  table.begin.assign(1, 0);
  for (const std::vector<std::uint32_t>& group : groups) {
    numbers.insert(numbers.end(), group.begin(), group.end());
    while (numbers.size() % table.block != 0) numbers.push_back(group.back());
    table.begin.push_back(numbers.size());
  }
  return numbers;
}

}  // namespace

HalfTable half_table(const LocalRow& row, std::size_t first, std::size_t count, std::size_t block,
                     std::uint32_t from, std::uint32_t to) {
  HalfTable table{.first = first, .count = count, .block = block};
  const std::span<const double> e_low = row.e_low().subspan(first, count),
                                e_reference = row.e_reference().subspan(first, count),
                                z_reference = row.z_reference().subspan(first, count);
  const auto e_of = [&](std::size_t j, bool in) { return in ? e_reference[j] : e_low[j]; };
  const auto ratio = [&](std::size_t j, bool in) { return e_of(j, in) / e_reference[j]; };
  const std::vector<double> sums =
      over_sets(count, 0.0, [&](double s, std::size_t j, bool in) { return s + e_of(j, in); });
  const std::vector<double> highs =
      over_sets(count, -positive_infinity, [&](double r, std::size_t j, bool in) {
        return z_reference[j] > 0.0 ? std::max(r, ratio(j, in)) : r;
      });
  const std::vector<double> lows =
      over_sets(count, positive_infinity, [&](double r, std::size_t j, bool in) {
        return z_reference[j] > 0.0 ? std::min(r, ratio(j, in)) : r;
      });
  const std::vector<std::uint32_t> numbers = by_size(table, from, to);
  for (const std::uint32_t m : numbers) {
    table.set.push_back(std::uint64_t{m} << first);
    table.sum.push_back(sums[m] < positive_infinity ? sums[m] : std::nan(""));
    table.high.push_back(highs[m]), table.low.push_back(lows[m]);
  }
  table.e.resize(numbers.size() * count);
  for (std::size_t i = 0; i < numbers.size(); ++i)
    for (std::size_t j = 0; j < count; ++j)
      table.e[(i / block * count + j) * block + i % block] = e_of(j, (numbers[i] >> j & 1U) != 0);
  return table;
}

std::optional<std::size_t> BestSets::smallest(double tolerance) const {
  for (std::size_t k = 0; k < error.size(); ++k)
    if (error[k] <= tolerance) return k;
  return std::nullopt;
}

void BestSets::merge(const BestSets& other) {
  expects(error.size() == other.error.size(), "BestSets::merge: of one row");
  for (std::size_t k = 0; k < error.size(); ++k)
    if (other.error[k] < error[k] || (other.error[k] == error[k] && other.set[k] < set[k]))
      error[k] = other.error[k], set[k] = other.set[k];
}

BestSets best_sets(const LocalRow& row, SetError error, SubsetPart part) {
  const std::size_t n = row.size(), half = n / 2;
  expects(n <= largest_subset_row, "best_sets: a row of at most 24 components");
  BestSets result;
  std::vector<BestSet> best;
  for (std::size_t k = 0; k <= n; ++k)
    best.push_back({positive_infinity, (std::uint64_t{1} << k) - 1});
  if (n == 0) best[0].error = 0.0;
  const std::uint32_t last = std::min(part.last, std::uint32_t{1} << (n - half));
  if (row.regular() && n > 0 && part.first < last) {
    const HalfTable a = half_table(row, 0, half, 1, 0, std::uint32_t{1} << half);
    const HalfTable b = half_table(row, half, n - half, HalfTable::lanes, part.first, last);
    error == SetError::rel ? search_rel(row, a, b, best) : search_l1(row, a, b, best);
  }
  for (const BestSet& each : best) {
    result.error.push_back(each.error);
    result.set.push_back(static_cast<std::uint32_t>(each.set));
  }
  return result;
}

}  // namespace lamp::truth
