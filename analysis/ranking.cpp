#include "analysis/ranking.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "analysis/not_finite.hpp"
#include "core/base/contract.hpp"
#include "core/selection/wide.hpp"

namespace lamp {
namespace {

bool has_nan(std::span<const double> x) {
  return std::any_of(x.begin(), x.end(), [](double value) { return std::isnan(value); });
}

std::vector<std::uint32_t> indices(std::size_t n) {
  expects(n <= std::numeric_limits<std::uint32_t>::max(), "ranking: at most 2^32 - 1 values");
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0U);
  return order;
}

/// Ascending, NaN below all else and equal to each other: a strict weak order.
bool less(double a, double b) { return a < b || (std::isnan(a) && !std::isnan(b)); }

/// Calls run(begin, end) for each run of places that `equal` says are ties of their neighbours.
template <class Equal, class Run>
void for_runs(std::size_t n, const Equal& equal, const Run& run) {
  for (std::size_t begin = 0, end = 0; begin < n; begin = end) {
    for (end = begin + 1; end < n && equal(end - 1, end);) ++end;
    run(begin, end);
  }
}

/// 2 rank - (n + 1): integers whose sum is 0.
std::vector<std::int64_t> centred_ranks(std::span<const double> x) {
  std::vector<std::uint32_t> order = indices(x.size());
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return less(x[a], x[b]); });
  std::vector<std::int64_t> ranks(x.size());
  const auto tied = [&](std::size_t a, std::size_t b) { return !less(x[order[a]], x[order[b]]); };
  for_runs(x.size(), tied, [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i)
      ranks[order[i]] =
          static_cast<std::int64_t>(begin + end) - static_cast<std::int64_t>(x.size());
  });
  return ranks;
}

int128 dot(std::span<const std::int64_t> x, std::span<const std::int64_t> y) {
  int128 sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += static_cast<int128>(x[i]) * y[i];
  return sum;
}

std::int64_t pairs(std::size_t n) {
  return static_cast<std::int64_t>(n % 2 == 0 ? n / 2 * (n - 1) : (n - 1) / 2 * n);
}

template <class Equal>
std::int64_t tied_pairs(std::size_t n, const Equal& equal) {
  std::int64_t count = 0;
  for_runs(n, equal, [&](std::size_t begin, std::size_t end) { count += pairs(end - begin); });
  return count;
}

/// Sorts x; returns the number of pairs i < j with x[i] > x[j].
std::int64_t sort_counting(std::span<double> x, std::vector<double>& scratch) {
  std::int64_t inversions = 0;
  scratch.resize(x.size());
  for (std::size_t width = 1; width < x.size(); width *= 2) {
    for (std::size_t begin = 0; begin < x.size(); begin += 2 * width) {
      const std::size_t middle = std::min(begin + width, x.size()),
                        end = std::min(begin + 2 * width, x.size());
      std::size_t left = begin, right = middle;
      for (std::size_t to = begin; to < end; ++to) {
        const bool take_right = left == middle || (right < end && x[right] < x[left]);
        if (take_right) inversions += static_cast<std::int64_t>(middle - left);
        scratch[to] = x[take_right ? right++ : left++];
      }
    }
    std::copy(scratch.begin(), scratch.end(), x.begin());
  }
  return inversions;
}

}  // namespace

std::vector<double> average_ranks(std::span<const double> x) {
  std::vector<double> ranks;
  ranks.reserve(x.size());
  const auto n = static_cast<std::int64_t>(x.size());
  for (const std::int64_t rank : centred_ranks(x))
    ranks.push_back(0.5 * static_cast<double>(rank + n + 1));
  return ranks;
}

double spearman(std::span<const double> x, std::span<const double> y) {
  expects(x.size() == y.size(), "spearman: two sides of one length");
  if (x.size() < 3 || has_nan(x) || has_nan(y)) return not_a_number;
  const std::vector<std::int64_t> rank_x = centred_ranks(x), rank_y = centred_ranks(y);
  const auto of_x = static_cast<double>(dot(rank_x, rank_x)),
             of_y = static_cast<double>(dot(rank_y, rank_y));
  return static_cast<double>(dot(rank_x, rank_y)) / std::sqrt(of_x * of_y);  // constant: 0 / 0
}

double kendall_tau_b(std::span<const double> x, std::span<const double> y) {
  expects(x.size() == y.size(), "kendall_tau_b: two sides of one length");
  const std::size_t n = x.size();
  if (n < 3 || has_nan(x) || has_nan(y)) return not_a_number;
  std::vector<std::uint32_t> order = indices(n);
  std::sort(order.begin(), order.end(), [&](auto a, auto b) {
    return x[a] != x[b] ? x[a] < x[b] : y[a] < y[b];  // ties of x ascend in y: no inversions
  });
  std::vector<double> sequence, scratch;
  for (const std::uint32_t i : order) sequence.push_back(y[i]);
  const auto tied_x = [&](std::size_t a, std::size_t b) { return x[order[a]] == x[order[b]]; };
  const auto tied_both = [&](std::size_t a, std::size_t b) {
    return tied_x(a, b) && y[order[a]] == y[order[b]];
  };
  const auto tied_y = [&](std::size_t a, std::size_t b) { return sequence[a] == sequence[b]; };
  const std::int64_t discordant = sort_counting(sequence, scratch);  // now ties of y lie together
  const std::int64_t in_y = tied_pairs(n, tied_y), only_in_y = in_y - tied_pairs(n, tied_both);
  const std::int64_t differ_x = pairs(n) - tied_pairs(n, tied_x), differ_y = pairs(n) - in_y;
  const std::int64_t concordant = differ_x - only_in_y - discordant;
  return static_cast<double>(concordant - discordant) /
         std::sqrt(static_cast<double>(differ_x) *
                   static_cast<double>(differ_y));  // constant: 0 / 0
}

std::vector<std::uint32_t> descending(std::span<const double> scores) {
  std::vector<std::uint32_t> order = indices(scores.size());
  std::sort(order.begin(), order.end(), [&](auto a, auto b) {
    return less(scores[b], scores[a]) || (!less(scores[a], scores[b]) && a < b);
  });
  return order;
}

std::vector<std::uint8_t> top(std::span<const double> scores, std::size_t k) {
  expects(k <= scores.size(), "top: k <= n");
  std::vector<std::uint8_t> marks(scores.size());
  const std::vector<std::uint32_t> order = descending(scores);
  for (std::size_t i = 0; i < k; ++i) marks[order[i]] = 1;
  return marks;
}

Overlap overlap(std::span<const std::uint8_t> selected, std::span<const std::uint8_t> truth) {
  expects(selected.size() == truth.size(), "overlap: sets of one row");
  std::size_t a = 0, b = 0, common = 0;
  for (std::size_t i = 0; i < selected.size(); ++i) {
    a += selected[i] != 0 ? 1 : 0;
    b += truth[i] != 0 ? 1 : 0;
    common += selected[i] != 0 && truth[i] != 0 ? 1 : 0;
  }
  const auto ratio = [](std::size_t part, std::size_t whole) {
    return static_cast<double>(part) / static_cast<double>(whole);  // 0 / 0 is NaN
  };
  return {.precision = ratio(common, a),
          .recall = ratio(common, b),
          .jaccard = ratio(common, a + b - common),
          .chance = ratio(a, selected.size())};
}

Overlap overlap_with_top(std::span<const std::uint8_t> selected, std::span<const double> truth) {
  const auto k = static_cast<std::size_t>(
      std::count_if(selected.begin(), selected.end(), [](std::uint8_t mark) { return mark != 0; }));
  return overlap(selected, top(truth, k));
}

BudgetCurve budget_curve(std::span<const double> scores, std::span<const double> benefits,
                         std::span<const std::size_t> counts) {
  expects(scores.size() == benefits.size(), "budget_curve: one benefit a score");
  std::vector<double> sums{0.0};  // of the first k
  for (const std::uint32_t i : descending(scores)) sums.push_back(sums.back() + benefits[i]);
  BudgetCurve curve;
  for (const double benefit : benefits) curve.total += benefit;
  for (const std::size_t k : counts) {
    expects(k <= scores.size(), "budget_curve: a budget of at most n");
    curve.caught.push_back(sums[k]);
  }
  return curve;
}

std::vector<double> BudgetCurve::shares() const {
  std::vector<double> shares;
  for (const double sum : caught) shares.push_back(total > 0.0 ? sum / total : not_a_number);
  return shares;
}

}  // namespace lamp
