// What a cell's products cost beside a plan that computes all of them high at once, and the share
// that was done again.
#include <algorithm>
#include <cstdint>
#include <map>
#include <string>

#include "experiments/instruments/instrument.hpp"
#include "experiments/instruments/products.hpp"

namespace lamp::experiments {
namespace {

constexpr std::string_view high_plan =
    "the all-high plan: each product once, in the arithmetic that its selection recomputes in, or "
    "where nothing is selected in the costliest one that a product of the cell has";

class Costs final : public Instrument {
 public:
  explicit Costs(const Recording& recording) : recording_(recording) {
    for (const SelectionConfig& selection : recording.config.selections)
      redone_[selection.site] = {};
  }

  std::vector<Reading<>> readings() override {
    std::vector<Reading<>> all;
    if (!redone_.empty())
      all.push_back({scalar("/metrics/recomputed_macs",
                            "multiply-accumulates done again / all multiply-accumulates of a pass"),
                     [this] { return std::vector{share_redone()}; }});
    all.push_back({scalar("/metrics/cost",
                          "multiply-accumulates times their cost, low and recomputed, / those of " +
                              std::string(high_plan)),
                   [this] { return cost(&MacCost::product, &MacCost::accumulation); }});
    if (!recording_.config.costs.empty()) return all;
    all.push_back({scalar("/metrics/cost_product", "the part of cost that products p_a p_b are"),
                   [this] { return cost(&MacCost::product); }});
    all.push_back({scalar("/metrics/cost_accumulation", "the part of cost that sums p_acc are"),
                   [this] { return cost(&MacCost::accumulation); }});
    return all;
  }

  [[nodiscard]] bool listens(Site site) const override { return redone_.contains(site); }

  void begin(const Reference& reference, const PrecisionPlan&, const Records& records) override {
    costs_ = records.costs;
    count_products(reference.tokens.size());
    for (auto& [site, macs] : redone_)
      macs.assign(layers_of(recording_.model, site) * heads_of(recording_.model, site), 0);
  }

  void selected(const TapPoint& point, std::span<const std::uint8_t> marks) override {
    const SiteRow& row = row_of(*recording_.model.network, point.site);
    redone_.at(point.site)[part_of(recording_.model, point)] +=
        static_cast<std::uint64_t>(std::count(marks.begin(), marks.end(), 1)) *
        terms_of(recording_.model, row, point.first_row);
  }

 private:
  struct Product {
    const SiteRow* row;
    double macs;  // in one layer and head
  };

  /// Of a sequence; those of the last one stay where the next has as many tokens.
  void count_products(std::size_t length) {
    if (length == length_) return;
    length_ = length;
    products_.clear();
    for (const SiteRow& row : recording_.model.network->sites)
      if (const double macs = macs_of(recording_.model, row, length); macs > 0.0)
        products_.push_back({&row, macs});
  }

  static record::Quantity scalar(std::string_view path, std::string long_name) {
    return {.path = std::string(path),
            .dims = {},
            .shape = {},
            .units = "1",
            .long_name = std::move(long_name)};
  }

  /// Calls visit(row, macs, those that were done again, layer, head) for every evaluation of a
  /// product.
  template <class Visit>
  void for_each_product(const Visit& visit) const {
    for (const auto& [row, macs] : products_) {
      const auto redone = redone_.find(row->site);
      const std::size_t heads = heads_of(recording_.model, row->site);
      for (std::size_t l = 0; l < layers_of(recording_.model, row->site); ++l)
        for (std::size_t h = 0; h < heads; ++h)
          visit(*row, macs,
                redone == redone_.end() ? 0.0 : static_cast<double>(redone->second[l * heads + h]),
                Layer{l}, Head{h});
    }
  }

  [[nodiscard]] double share_redone() const {
    double again = 0.0, all = 0.0;
    for_each_product([&](const SiteRow&, double macs, double redone, Layer, Head) {
      again += redone, all += macs;
    });
    return all > 0.0 ? again / all : 0.0;
  }

  [[nodiscard]] MacCost costliest() const {
    MacCost most;
    const auto take = [&](const MacCost& cost) {
      if (cost.total() > most.total()) most = cost;
    };
    for_each_product([&](const SiteRow& row, double, double, Layer layer, Head head) {
      take(costs_->at(row.site, layer, head));
      if (const auto* again = costs_->recomputation(row.site)) take(again->cost);
    });
    return most;
  }

  /// The terms of the realised cost over all of the all-high plan's. Binary64, in the order of the
  /// table; with costs that are integers the sums are exact.
  template <class... Terms>
  [[nodiscard]] std::vector<double> cost(Terms... terms) const {
    if (costs_ == nullptr) return {};  // a pass of no cell
    const MacCost most = costliest();
    double realised = 0.0, high = 0.0;
    const auto of = [&](const MacCost& cost) { return ((cost.*terms) + ...); };
    for_each_product([&](const SiteRow& row, double macs, double redone, Layer layer, Head head) {
      const PlanCosts::Recomputation* again = costs_->recomputation(row.site);
      if (again == nullptr || !again->is_all)
        realised += macs * of(costs_->at(row.site, layer, head));
      if (again != nullptr) realised += redone * of(again->cost);
      high += macs * (again != nullptr ? again->cost : most).total();
    });
    return {high > 0.0 ? realised / high : 0.0};
  }

  Recording recording_;
  std::shared_ptr<const PlanCosts> costs_;  // of the cell
  std::size_t length_ = 0;                  // of the sequence that they are of
  std::vector<Product> products_;
  std::map<Site, std::vector<std::uint64_t>> redone_;  // multiply-accumulates, (layer, head)
};

}  // namespace

std::unique_ptr<Instrument> costs(const Recording& recording) {
  const Config& config = recording.config;
  return config.selections.empty() && config.costs.empty() ? nullptr
                                                           : std::make_unique<Costs>(recording);
}

}  // namespace lamp::experiments
