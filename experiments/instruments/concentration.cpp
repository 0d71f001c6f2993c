// How concentrated the softmax is that a selection is for, and how much of that is left low, where
// record.concentration asks for it. To first order a row's output moves by z_j times the error of
// score j, so the sums of z_j^2 say how much of the squared error a selection leaves.
#include <cstdint>
#include <map>
#include <string>

#include "experiments/instruments/instrument.hpp"

namespace lamp::experiments {
namespace {

class Concentration final : public Instrument {
 public:
  explicit Concentration(const Recording& recording) : recording_(recording) {
    for (const SelectionConfig& selection : recording.config.selections)
      if (const SiteRow* row = find_row(recording.model.network->sites, selection.site);
          row != nullptr && row->f == Composition::softmax)
        sums_[row_of_f(recording.model.network->sites, *row)->site].selects = selection.site;
  }

  std::vector<Reading<>> readings() override {
    std::vector<Reading<>> all;
    for (auto& [f, sums] : sums_) {
      const std::string name(info(f).name), path = "/metrics/" + name + "_square";
      all.push_back({site_quantity(recording_.model, f, path, "1",
                                   "sum of the squares of " + name + " over rows and components"),
                     [&s = sums] { return s.all; }});
      all.push_back({site_quantity(recording_.model, f, path + "_low", "1",
                                   "the same over components that were not recomputed"),
                     [&s = sums] { return s.low; }});
    }
    return all;
  }

  [[nodiscard]] bool listens(Site site) const override {
    if (sums_.contains(site)) return true;
    for (const auto& [f, sums] : sums_)
      if (sums.selects == site) return true;
    return false;
  }

  void begin(const Reference&, const PrecisionPlan& plan, const Records&) override {
    for (auto& [f, sums] : sums_) {
      const std::size_t parts = layers_of(recording_.model, f) * heads_of(recording_.model, f);
      sums.all.assign(parts, 0.0), sums.low.assign(parts, 0.0);
      sums.is_selected = plan.selection(sums.selects) != nullptr;
      sums.marks.clear();
    }
  }

  void selected(const TapPoint& point, std::span<const std::uint8_t> marks) override {
    for (auto& [f, sums] : sums_)
      if (sums.selects == point.site)
        sums.marks[point.first_row].assign(marks.begin(), marks.end());
  }

  /// After the sets of its rows. In row order, components ascending, in binary64.
  void values(const TapPoint& point, MatrixView<const double> x) override {
    const auto found = sums_.find(point.site);
    if (found == sums_.end()) return;  // the low site itself
    Sums& sums = found->second;
    const std::size_t part = part_of(recording_.model, point);
    for (std::size_t i = 0; i < x.rows; ++i) {
      const std::size_t row = point.first_row + i, n = info(point.site).causal ? row + 1 : x.cols;
      const std::vector<std::uint8_t>* marks = sums.is_selected ? &sums.marks.at(row) : nullptr;
      for (std::size_t j = 0; j < n; ++j) {
        const double square = x(i, j) * x(i, j);
        sums.all[part] += square;
        if (marks == nullptr || (*marks)[j] == 0) sums.low[part] += square;
      }
    }
  }

 private:
  struct Sums {
    Site selects = Site::scores;
    bool is_selected = false;                                // in this cell
    std::map<std::size_t, std::vector<std::uint8_t>> marks;  // of the head under way, by row
    std::vector<double> all, low;                            // (layer, head)
  };
  Recording recording_;
  std::map<Site, Sums> sums_;  // by f
};

}  // namespace

std::unique_ptr<Instrument> concentration(const Recording& recording) {
  return recording.config.record_concentration ? std::make_unique<Concentration>(recording)
                                               : nullptr;
}

}  // namespace lamp::experiments
