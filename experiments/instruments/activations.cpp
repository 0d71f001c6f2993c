// Whole activations of the sites of record.activations, of the reference and of the runs that match
// record.where.
#include <algorithm>

#include "experiments/instruments/instrument.hpp"

namespace lamp::experiments {
namespace {

class Activations final : public Instrument {
 public:
  explicit Activations(const Recording& recording) : recording_(recording) {}

  std::vector<Reading<>> readings() override {
    std::vector<Reading<>> all;
    for (const Site site : recording_.config.record_activations)
      all.push_back(
          {quantity(site, "run", "values of the run"), [this, site] { return values_of(site); }});
    return all;
  }

  [[nodiscard]] std::vector<Reading<Reference>> reference_readings() const override {
    std::vector<Reading<Reference>> all;
    for (const Site site : recording_.config.record_activations)
      all.push_back({quantity(site, "reference", "values of the reference"),
                     [site, length = recording_.sequence_length()](const Reference& reference) {
                       return reference.sites.at(site).flat(length);
                     }});
    return all;
  }

  [[nodiscard]] bool listens(Site site) const override {
    const std::vector<Site>& asked = recording_.config.record_activations;
    return std::find(asked.begin(), asked.end(), site) != asked.end();
  }
  [[nodiscard]] bool needs_reference(Site site) const override { return listens(site); }
  [[nodiscard]] bool is_recorded(const Records& records) const override {
    return records.activations;
  }

  void begin(const Reference& reference, const PrecisionPlan&, const Records& records) override {
    run_.clear();
    if (!records.activations) return;
    for (const Site site : recording_.config.record_activations)
      run_.insert({site, SiteValues(recording_.model, site, reference.tokens.size())});
  }

  void values(const TapPoint& point, MatrixView<const double> x) override {
    if (const auto kept = run_.find(point.site); kept != run_.end()) kept->second.put(point, x);
  }

 private:
  /// Empty where the cell does not record them.
  [[nodiscard]] std::vector<double> values_of(Site site) const {
    const auto kept = run_.find(site);
    return kept == run_.end() ? std::vector<double>{}
                              : kept->second.flat(recording_.sequence_length());
  }

  [[nodiscard]] record::Quantity quantity(Site site, const std::string& name,
                                          const std::string& long_name) const {
    return whole_site_quantity(recording_.model, site, recording_.sequence_length(),
                               "/activations/" + std::string(info(site).name) + "/" + name,
                               long_name + recording_.beyond("NaN"));
  }

  Recording recording_;
  SiteValuesMap run_;  // of this cell; empty where it records none
};

}  // namespace

std::unique_ptr<Instrument> activations(const Recording& recording) {
  return recording.config.record_activations.empty() ? nullptr
                                                     : std::make_unique<Activations>(recording);
}

}  // namespace lamp::experiments
