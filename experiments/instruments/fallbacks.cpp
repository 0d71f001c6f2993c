// How many rows a fallback recomputed whole.
#include <cstdint>
#include <map>
#include <string>

#include "experiments/instruments/instrument.hpp"

namespace lamp::experiments {
namespace {

/// Whether a fallback is asked for at a site, in the config or by an axis.
bool asks(const Config& config, const SelectionConfig& selection) {
  const std::string key = "lamp." + std::string(info(selection.site).name) + ".fallback.tolerance";
  return selection.fallback.tolerance || config.has_axis(key);
}

class Fallbacks final : public Instrument {
 public:
  explicit Fallbacks(const Recording& recording) : recording_(recording) {
    for (const SelectionConfig& selection : recording.config.selections)
      if (asks(recording.config, selection)) rows_[selection.site] = {};
  }

  [[nodiscard]] bool is_needed() const { return !rows_.empty(); }

  std::vector<Reading<>> readings() override {
    std::vector<Reading<>> all;
    for (const SiteRow& row : recording_.model.network->sites)  // not as the config lists them
      if (const Site site = row.site; listens(site))
        all.push_back({quantity(row), [this, site] { return share(site); }});
    return all;
  }

  [[nodiscard]] bool listens(Site site) const override { return rows_.contains(site); }

  void begin(const Reference& reference, const PrecisionPlan&, const Records&) override {
    length_ = reference.tokens.size();
    for (auto& [site, rows] : rows_) rows.assign(parts_of(site), 0);
  }

  void fell_back(const TapPoint& point, std::size_t rows) override {
    const SiteRow& row = row_of(*recording_.model.network, point.site);
    rows_.at(
        point.site)[is_across_heads(row) ? point.layer.value : part_of(recording_.model, point)] +=
        rows;
  }

 private:
  /// Whether a row of the selection is that of all heads.
  static bool is_across_heads(const SiteRow& row) { return row.f == Composition::linear_map; }

  [[nodiscard]] std::size_t parts_of(Site site) const {
    const bool is_one = is_across_heads(row_of(*recording_.model.network, site));
    return layers_of(recording_.model, site) * (is_one ? 1 : heads_of(recording_.model, site));
  }

  [[nodiscard]] record::Quantity quantity(const SiteRow& row) const {
    const std::string name(info(row.site).name);
    record::Quantity quantity =
        site_quantity(recording_.model, row.site, "/metrics/fallback_" + name, "1",
                      "share of the rows of " + name + " that the fallback recomputed whole");
    if (is_across_heads(row)) quantity.dims.pop_back(), quantity.shape.pop_back();
    return quantity;
  }

  /// Of the rows of one layer and head.
  [[nodiscard]] std::vector<double> share(Site site) const {
    std::vector<double> share;
    for (const std::uint64_t rows : rows_.at(site))
      share.push_back(static_cast<double>(rows) / static_cast<double>(length_));
    return share;
  }

  Recording recording_;
  std::size_t length_ = 0;                           // of the sequence
  std::map<Site, std::vector<std::uint64_t>> rows_;  // (layer, head)
};

}  // namespace

std::unique_ptr<Instrument> fallbacks(const Recording& recording) {
  auto made = std::make_unique<Fallbacks>(recording);
  return made->is_needed() ? std::move(made) : nullptr;
}

}  // namespace lamp::experiments
