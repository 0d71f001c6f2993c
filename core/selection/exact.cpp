// Two searches, the first coarse. As t rises, more components may be left out and the budget falls,
// so the key up to which they are left out (the cut) only falls: one sweep over the a ascending and
// the keys descending serves all t. Sorting is what costs, so the components go into logarithmic
// buckets of a and of b first, O(n), and a sweep over those bounds what each bucket's thresholds
// leave out. Only the buckets that may hold the best threshold, and only keys that its cut may run
// through, are sorted.
#include "core/selection/exact.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "core/selection/buckets.hpp"
#include "core/selection/sort.hpp"

namespace lamp {
namespace {

/// What the coarse search leaves to the fine one.
struct Window {
  int first_diagonal, last_diagonal;  // buckets of the thresholds that may be best
  int first_key, last_key;            // buckets that their cuts may run through
  std::uint64_t sum;  // of the keys in lower buckets of a and in buckets of b up to last_key, and
                      // their number
  std::uint32_t count;
};

constexpr int diagonal_buckets = 160, diagonal_fraction = 2;  // 40 powers of two
constexpr int key_buckets = 192, key_fraction = 3;            // 24
constexpr std::size_t nowhere = diagonal_buckets;  // components that no threshold leaves out

class Search {
 public:
  Search(int128 budget, std::uint64_t sum, std::int64_t largest, SelectionScratch& scratch)
      : budget_(static_cast<std::int64_t>(
            std::min<int128>(budget, std::numeric_limits<std::int64_t>::max()))),
        top_(std::max<std::int64_t>(0, std::min(largest, budget_))),
        scratch_(scratch),
        by_diagonal_(diagonal_buckets, diagonal_fraction, static_cast<std::uint64_t>(top_)),
        by_key_(key_buckets, key_fraction, std::min(sum, static_cast<std::uint64_t>(budget_))) {}

  /// Finds the two buckets of every component and sorts the components by the first.
  void distribute() {
    const std::size_t n = scratch_.keys.size(), half = n / 2;
    scratch_.codes.resize(n), scratch_.order.resize(n);
    bucket_codes(scratch_.keys.data(), scratch_.diagonal.data(), n, budget_, top_, by_diagonal_,
                 by_key_, scratch_.codes.data());
    const auto bucket_at = [codes = scratch_.codes.data()](std::size_t j) {
      return codes[j] >> 16;
    };
    // The two halves take turns and count apart, because neighbours are often in one bucket and
    // would wait for each other.
    std::array<std::array<std::uint32_t, nowhere + 1>, 2> next{};
    for (std::size_t j = 0; j < half; ++j) ++next[0][bucket_at(j)], ++next[1][bucket_at(half + j)];
    if (n % 2 != 0) ++next[1][bucket_at(n - 1)];
    std::uint32_t start = 0;
    for (std::size_t i = 0; i <= nowhere; ++i) {
      const std::uint32_t first = next[0][i], second = next[1][i];
      start_[i] = next[0][i] = start;
      next[1][i] = start + first;
      start += first + second;
    }
    for (std::size_t j = 0; j < half; ++j) {
      scratch_.order[next[0][bucket_at(j)]++] = static_cast<std::uint32_t>(j);
      scratch_.order[next[1][bucket_at(half + j)]++] = static_cast<std::uint32_t>(half + j);
    }
    if (n % 2 != 0) scratch_.order[next[1][bucket_at(n - 1)]++] = static_cast<std::uint32_t>(n - 1);
  }

  /// The bucket of a component's key. Pre: not nowhere.
  [[nodiscard]] int key_bucket(std::uint32_t j) const {
    return static_cast<int>(scratch_.codes[j] & 0xffff);
  }
  [[nodiscard]] std::span<const std::uint32_t> members(int bucket) const {
    const auto i = static_cast<std::size_t>(bucket);
    return {scratch_.order.data() + start_[i], start_[i + 1] - start_[i]};
  }

  [[nodiscard]] Window window() {
    struct Bounds {
      std::uint32_t most;  // components that a threshold of the bucket leaves out, at most
      std::int16_t bucket, before, after;  // the bucket that the cut runs through before its first
                                           // threshold, and after its last
      std::uint32_t count;  // in and below that bucket before its first threshold, and their sum
      std::uint64_t sum;
    };
    std::array<Bounds, diagonal_buckets> bounds;
    std::size_t used = 0;
    std::uint32_t best = 0;  // some threshold leaves out this many
    sums_.fill(0), counts_.fill(0);
    for (int i = 0; i < diagonal_buckets; ++i) {
      const std::span<const std::uint32_t> here = members(i);
      if (here.empty()) continue;
      Bounds& bound = bounds[used++];
      bound.bucket = static_cast<std::int16_t>(i), bound.before = static_cast<std::int16_t>(cut_);
      bound.sum = sum_, bound.count = count_;
      if (cut_ < key_buckets)
        bound.sum += sums_[static_cast<std::size_t>(cut_)],
            bound.count += counts_[static_cast<std::size_t>(cut_)];
      std::int64_t smallest = top_, largest = 0;
      for (const std::uint32_t j : here) {
        const std::int64_t a = std::max<std::int64_t>(scratch_.diagonal[j], 0);
        smallest = std::min(smallest, a), largest = std::max(largest, a);
        const auto k = static_cast<std::size_t>(key_bucket(j));
        const bool below = static_cast<int>(k) < cut_;
        sums_[k] += scratch_.keys[j], counts_[k] += 1;
        sum_ += below ? scratch_.keys[j] : 0, count_ += below ? 1 : 0;
      }
      bound.most = lower_cut(static_cast<std::uint64_t>(budget_ - smallest), true);
      best = std::max(best, lower_cut(static_cast<std::uint64_t>(budget_ - largest), false));
      bound.after = static_cast<std::int16_t>(cut_);
    }
    Window window{diagonal_buckets, -1, 0, key_buckets, 0, 0};
    for (std::size_t i = 0; i < used; ++i) {
      if (bounds[i].most < best) continue;
      if (window.last_diagonal < 0)
        window = {bounds[i].bucket, -1, 0, bounds[i].before, bounds[i].sum, bounds[i].count};
      window.last_diagonal = bounds[i].bucket, window.first_key = bounds[i].after;
    }
    return window;
  }

  /// The smallest key that lies in no bucket below this one.
  [[nodiscard]] std::uint64_t first_key(int bucket) const { return by_key_.first(bucket); }

 private:
  /// Lowers the cut until the whole buckets below it fit into the budget. Returns a bound on the
  /// number of components that fit: at most this many, or at least. Keys of a bucket differ by less
  /// than an eighth, but in bucket 0.
  std::uint32_t lower_cut(std::uint64_t budget, bool at_most) {
    while (sum_ > budget) {
      --cut_;
      sum_ -= sums_[static_cast<std::size_t>(cut_)],
          count_ -= counts_[static_cast<std::size_t>(cut_)];
    }
    if (cut_ == key_buckets) return count_;
    const std::uint32_t there = counts_[static_cast<std::size_t>(cut_)];
    if (there == 0 || cut_ == 0) return count_ + (at_most ? there : 0);
    const auto remainder =
        static_cast<double>(static_cast<std::int64_t>(budget - sum_)) * static_cast<double>(there);
    const double fit =
        remainder /
        static_cast<double>(static_cast<std::int64_t>(sums_[static_cast<std::size_t>(cut_)])) *
        (at_most ? 1.126 : 0.888);
    return count_ + std::min(there, static_cast<std::uint32_t>(std::min(fit, 1e9)));
  }

  std::int64_t budget_, top_;
  SelectionScratch& scratch_;
  Buckets by_diagonal_;  // of top - a, descending
  Buckets by_key_;
  std::array<std::uint32_t, nowhere + 1> start_;
  std::array<std::uint64_t, key_buckets> sums_;
  std::array<std::uint32_t, key_buckets> counts_;
  int cut_ = key_buckets;  // sum_ and count_ are of the buckets below
  std::uint64_t sum_ = 0;
  std::uint32_t count_ = 0;
};

/// The definition's sweep over some of the components; every threshold leaves the others out, or
/// none does.
class Sweep {
 public:
  /// sum, count: of what is left out before the first threshold.
  Sweep(int128 budget, std::uint64_t sum, std::size_t count, SelectionScratch& scratch)
      : budget_(budget), sum_(static_cast<int128>(sum)), count_(count), scratch_(scratch) {
    scratch_.thresholds.clear(), scratch_.admitted.clear();
  }

  /// A component whose a is a threshold, or only one that the cut may pass.
  void threshold(std::uint32_t j) {
    scratch_.thresholds.push_back({scratch_.diagonal[j], j});
    passed(j);
  }
  void passed(std::uint32_t j) {
    scratch_.admitted.push_back({static_cast<std::int64_t>(scratch_.keys[j]), j});
  }

  /// Marks the set of the first threshold that leaves out most; returns its size. end_of_keys: keys
  /// from here on were not given.
  std::size_t run(std::uint64_t end_of_keys, std::span<std::uint8_t> selected) {
    using Ranked = SelectionScratch::Ranked;
    std::vector<Ranked>&thresholds = scratch_.thresholds, &order = scratch_.admitted;
    sort_ranked(thresholds, scratch_.words);
    sort_ranked(order, scratch_.words);
    const auto n = static_cast<std::uint32_t>(selected.size());
    const Ranked end{static_cast<std::int64_t>(std::min<std::uint64_t>(
                         end_of_keys, std::numeric_limits<std::int64_t>::max())),
                     n};
    Ranked cut = end, best_cut = end;
    std::int64_t best_threshold = 0;
    std::size_t best = 0, next = order.size();
    for (std::size_t i = 0; i < thresholds.size();) {
      const std::int64_t t = thresholds[i].value;
      for (; i < thresholds.size() && thresholds[i].value == t; ++i) {
        const std::uint32_t j = thresholds[i].index;
        if (precedes(j, cut)) sum_ += static_cast<int128>(scratch_.keys[j]), ++count_;
      }
      while (sum_ > left_at(t) && next > 0) {
        cut = order[--next];
        if (scratch_.diagonal[cut.index] <= t) sum_ -= cut.value, --count_;
      }
      if (count_ > best) best = count_, best_threshold = t, best_cut = cut;
    }
    if (best == 0)
      best_cut = {0, n};
    else if (left_at(best_threshold) < best_cut.value)
      best_cut = {static_cast<std::int64_t>(left_at(best_threshold)) + 1, n};
    const std::uint64_t* keys = scratch_.keys.data();
    const std::int64_t* diagonal = scratch_.diagonal.data();
    const auto end_key = static_cast<std::uint64_t>(best_cut.value);
    for (std::uint32_t j = 0; j < n; ++j)
      selected[j] = static_cast<std::uint8_t>((diagonal[j] > best_threshold ? 1U : 0U) |
                                              (keys[j] >= end_key ? 1U : 0U));
    for (std::uint32_t j = best_cut.index + 1; j < n; ++j)
      if (keys[j] == end_key && diagonal[j] <= best_threshold) selected[j] = 0;
    return n - best;
  }

 private:
  [[nodiscard]] int128 left_at(std::int64_t t) const {
    return budget_ - std::max<std::int64_t>(t, 0);
  }
  [[nodiscard]] bool precedes(std::uint32_t j, const SelectionScratch::Ranked& cut) const {
    const auto key = static_cast<std::int64_t>(scratch_.keys[j]);
    return key < cut.value || (key == cut.value && j > cut.index);
  }

  int128 budget_, sum_ = 0;
  std::size_t count_ = 0;
  SelectionScratch& scratch_;
};

}  // namespace

std::size_t select_exact(int128 budget, int128 tau, uint128 sum, std::int64_t largest,
                         std::span<std::uint8_t> selected, SelectionScratch& scratch) {
  const auto n = static_cast<std::uint32_t>(scratch.keys.size());
  constexpr uint128 coarse_below = uint128{1} << 62;
  constexpr std::uint32_t coarse_from = 48;  // components; fewer are sorted at once
  if (budget < 0 || n < coarse_from || sum >= coarse_below) {
    Sweep sweep(budget, 0, 0, scratch);
    for (std::uint32_t j = 0; j < n; ++j) {
      const std::int64_t a = std::max<std::int64_t>(scratch.diagonal[j], 0);
      if (a <= tau && static_cast<int128>(scratch.keys[j]) + a <= budget) sweep.threshold(j);
    }
    return sweep.run(std::numeric_limits<std::uint64_t>::max(), selected);
  }
  if (budget > tau &&
      largest > tau) {  // a > tau is in every S: a key beyond the budget, below 2^62 + tau, says so
    for (std::uint32_t j = 0; j < n; ++j)
      if (scratch.diagonal[j] > tau) scratch.keys[j] = static_cast<std::uint64_t>(coarse_below);
  }
  Search search(budget, static_cast<std::uint64_t>(sum), largest, scratch);
  search.distribute();
  const Window window = search.window();
  Sweep sweep(budget, window.sum, window.count, scratch);
  for (int i = 0; i <= window.last_diagonal; ++i)
    for (const std::uint32_t j : search.members(i)) {
      const int k = search.key_bucket(j);
      if (k > window.last_key || (i < window.first_diagonal && k < window.first_key)) continue;
      if (i < window.first_diagonal)
        sweep.passed(j);
      else
        sweep.threshold(j);
    }
  return sweep.run(search.first_key(window.last_key + 1), selected);
}

}  // namespace lamp
