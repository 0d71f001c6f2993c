// Every selected set of every cell, where record.selected asks for them.
#include <cstdint>
#include <map>
#include <string>

#include "experiments/instruments/instrument.hpp"

namespace lamp::experiments {
namespace {

class SelectedSets final : public Instrument {
 public:
  explicit SelectedSets(const Recording& recording) : recording_(recording) {
    for (const SelectionConfig& selection : recording.config.selections) sets_[selection.site] = {};
  }

  std::vector<Reading<>> readings() override {
    std::vector<Reading<>> all;
    for (const SiteRow& row : recording_.model.network->sites)  // not as the config lists them
      if (const Site site = row.site; listens(site))
        all.push_back({quantity(site), [this, site] { return sets_.at(site); }});
    return all;
  }

  [[nodiscard]] bool listens(Site site) const override { return sets_.contains(site); }

  void begin(const Reference&, const PrecisionPlan&, const Records&) override {
    for (auto& [site, sets] : sets_)
      sets.assign(layers_of(recording_.model, site) * heads_of(recording_.model, site) *
                      recording_.sequence_length() * bytes_of_row(site),
                  0);
  }

  void selected(const TapPoint& point, std::span<const std::uint8_t> marks) override {
    const std::size_t row =
        part_of(recording_.model, point) * recording_.sequence_length() + point.first_row;
    std::uint8_t* bytes = sets_.at(point.site).data() + row * bytes_of_row(point.site);
    for (std::size_t j = 0; j < marks.size(); ++j)
      bytes[j / 8] = static_cast<std::uint8_t>(bytes[j / 8] | (marks[j] << (j % 8)));
  }

 private:
  [[nodiscard]] std::size_t bytes_of_row(Site site) const {
    return (width_of(recording_.model, site, recording_.sequence_length()) + 7) / 8;
  }

  /// The group is one for all sites, and those other than the scores have rows of their own length.
  [[nodiscard]] record::Quantity quantity(Site site) const {
    const std::string name(info(site).name);
    record::Quantity quantity = site_quantity(
        recording_.model, site, "/selected/" + name, "1",
        "recomputed " + name + ": bit j of a row, the least significant first, is its component j" +
            recording_.beyond("0"));
    quantity.dims.insert(quantity.dims.end(),
                         {"query", site == Site::scores ? "byte" : "byte_" + name});
    quantity.shape.insert(quantity.shape.end(), {recording_.sequence_length(), bytes_of_row(site)});
    return quantity;
  }

  Recording recording_;
  std::map<Site, std::vector<std::uint8_t>> sets_;  // (layer, head, query, byte)
};

}  // namespace

std::unique_ptr<Instrument> selected_sets(const Recording& recording) {
  return recording.config.record_selected ? std::make_unique<SelectedSets>(recording) : nullptr;
}

}  // namespace lamp::experiments
