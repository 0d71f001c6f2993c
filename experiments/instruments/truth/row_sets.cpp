// One row of each head end to end: all its sets, where the rest of the scores is exact and where it
// is low.
#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "analysis/not_finite.hpp"
#include "experiments/instruments/truth/part.hpp"

namespace lamp::experiments {
namespace {

class RowSets final : public TruthPart {
 public:
  using TruthPart::TruthPart;

  void add_readings(std::vector<Reading<>>& all) override {
    for (const bool low : {false, true}) {
      Best& best = low ? low_ : exact_;
      const std::string path = std::string("/truth/rows/") + (low ? "low" : "exact") + "_best_",
                        what = " of row " + std::to_string(asked.row_sets - 1) +
                               " recomputed, its others low, and all scores of other rows " +
                               (low ? "low" : "exact") + "; NaN where not evaluated";
      record::Quantity kl = quantity(path + "kl", "nat",
                                     "least KL(reference || run) with `recomputed` scores" + what);
      kl.dims = {"layer", "head", "recomputed"};
      kl.shape = {model.n_layer, model.n_head, asked.row_sets + 1};
      record::Quantity set = kl;
      set.path = path + "set", set.units = "1";
      set.long_name =
          "the set of that KL (bit j: key j), the smallest of several; 0 where not "
          "evaluated";
      all.push_back({std::move(kl), [&best] { return best.kl; }});
      all.push_back({std::move(set), [&best] { return best.set; }});
    }
  }

  void clear() override { exact_ = {}, low_ = {}; }

  bool evaluate(TruthOfCell& cell) override {
    return evaluate(cell, cell.exact, false, cell.exact_sets, exact_) &&
           evaluate(cell, cell.all_low, true, cell.low_sets, low_);
  }

 private:
  struct Best {
    std::vector<double> kl;  // (layer, head, size)
    std::vector<std::uint32_t> set;
  };

  /// `kl`: of every set S of every head, (layer, head, 2^n). `low`: the background's scores are
  /// low, and those of S take their other values; else those outside of S do.
  bool evaluate(const TruthOfCell& cell, const truth::Background& background, bool low,
                std::vector<double>& kl, Best& best) const {
    const std::size_t n = asked.row_sets, sets = std::size_t{1} << n;
    std::vector<std::vector<std::uint32_t>> keys(sets);  // that take their other values
    for (std::size_t s = 0; s < sets; ++s)
      for (std::uint32_t j = 0; j < n; ++j)
        if (((s >> j & 1) != 0) == low) keys[s].push_back(j);
    std::vector<truth::Change> changes;
    for (const truth::Row& row : cell.rows)
      if (row.query + 1 == n)
        for (std::size_t s = 0; s < sets; ++s) changes.push_back({row, keys[s]});
    const std::vector<truth::Effect> effects =
        background.effects(changes, cell.pass.options.threads, truth_is_stopped);
    if (effects.size() != changes.size()) return false;
    kl.assign(heads() * sets, not_a_number);
    best.kl.assign(heads() * (n + 1), not_a_number), best.set.assign(heads() * (n + 1), 0);
    for (std::size_t c = 0; c < changes.size(); ++c) {
      const truth::Row& row = changes[c].row;
      const std::size_t head = row.layer.value * model.n_head + row.head.value, s = c % sets,
                        at = head * (n + 1) + static_cast<std::size_t>(std::popcount(s));
      kl[head * sets + s] = effects[c].kl;
      if (!std::isnan(best.kl[at]) && !(effects[c].kl < best.kl[at])) continue;
      best.kl[at] = effects[c].kl, best.set[at] = static_cast<std::uint32_t>(s);
    }
    return true;
  }

  Best exact_, low_;
};

}  // namespace

std::unique_ptr<TruthPart> row_sets_truth(const Recording& recording) {
  return recording.config.truth->row_sets > 0 ? std::make_unique<RowSets>(recording) : nullptr;
}

}  // namespace lamp::experiments
