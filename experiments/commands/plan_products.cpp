#include "experiments/commands/plan_products.hpp"

#include <algorithm>
#include <utility>

#include "experiments/commands/plan_cost.hpp"

namespace lamp::experiments {
namespace {

constexpr std::size_t most_timed_arithmetics = 12;  // of a site

/// An arithmetic of a product, and whether all its operands are binary32 numbers.
struct Use {
  Arithmetic arithmetic;
  bool binary32_operands;
  friend bool operator==(const Use&, const Use&) = default;
};

/// The different arithmetics, in the order in which they came; the one asked for last is found
/// first.
class Uses {
 public:
  void add(const Use& use) {
    if (last_ < list_.size() && list_[last_] == use) return;
    last_ = static_cast<std::size_t>(std::find(list_.begin(), list_.end(), use) - list_.begin());
    if (last_ == list_.size()) list_.push_back(use);
  }
  [[nodiscard]] const std::vector<Use>& list() const { return list_; }

 private:
  std::vector<Use> list_;
  std::size_t last_ = 0;
};

class Products {
 public:
  Products(const Experiment& experiment, TimeCost& time)
      : model_(experiment.model.config),
        length_(experiment.config.tokens.sequence_length),
        time_(time) {}

  /// The site's uses in every plan, those of the recomputing arithmetic apart.
  template <class Plans>
  void add(const SiteRow& row, const Plans& plans, const std::string& prefix) {
    Uses own, recomputed;
    for (const PrecisionPlan* plan : plans) {
      const SelectionPlan* selection = row.f ? plan->selection(row.site) : nullptr;
      for (std::size_t l = 0; l < layers_of(model_, row.site); ++l)
        for (std::size_t h = 0; h < heads_of(model_, row.site); ++h) {
          const bool binary32 = reads_binary32(model_, row, *plan, Layer{l}, Head{h});
          own.add({plan->at(row.site, Layer{l}, Head{h}), binary32});
          if (selection != nullptr) recomputed.add({selection->recompute, binary32});
        }
    }
    const std::string name = prefix + std::string(info(row.site).name);
    put(row, own.list(), name);
    put(row, recomputed.list(), name + " recomputed");
  }

  std::vector<ProductPlan> take() { return std::move(products_); }

 private:
  void put(const SiteRow& row, const std::vector<Use>& uses, const std::string& name) {
    const std::size_t terms = input_columns(model_, row, 0, Head{}, length_).count;
    const std::size_t step = uses.size() / most_timed_arithmetics + 1;
    for (std::size_t i = 0; i < uses.size(); ++i) {
      const Use& use = uses[i];
      const Evaluation evaluation =
          evaluation_of(use.arithmetic, length_, terms, use.binary32_operands);
      const bool timed = i % step == 0 || of(name, evaluation) == nullptr;
      const double seconds =
          timed ? time_.seconds_per_mac(row, use.arithmetic, use.binary32_operands) : 0.0;
      ProductPlan* product = of(name, evaluation);
      if (product == nullptr)
        product = &products_.emplace_back(ProductPlan{{name}, evaluation, 0, seconds, seconds});
      ++product->arithmetics;
      if (!timed) continue;
      product->fastest = std::min(product->fastest, seconds);
      product->slowest = std::max(product->slowest, seconds);
    }
  }

  ProductPlan* of(const std::string& name, Evaluation evaluation) {
    for (ProductPlan& product : products_)
      if (product.what.front() == name && product.evaluation == evaluation) return &product;
    return nullptr;
  }

  const ModelConfig& model_;
  std::size_t length_;
  TimeCost& time_;
  std::vector<ProductPlan> products_;
};

/// Joins those with one evaluation and equally many arithmetics, in the place of the first.
std::vector<ProductPlan> alike_together(const std::vector<ProductPlan>& products) {
  std::vector<ProductPlan> together;
  for (const ProductPlan& product : products) {
    const auto same = std::find_if(together.begin(), together.end(), [&](const ProductPlan& p) {
      return p.evaluation == product.evaluation && p.arithmetics == product.arithmetics;
    });
    if (same == together.end()) {
      together.push_back(product);
      continue;
    }
    same->what.push_back(product.what.front());
    same->fastest = std::min(same->fastest, product.fastest);
    same->slowest = std::max(same->slowest, product.slowest);
  }
  return together;
}

}  // namespace

std::vector<ProductPlan> products_of(const Experiment& experiment, const std::vector<Cell>& cells,
                                     TimeCost& time) {
  const ModelConfig& model = experiment.model.config;
  std::vector<const PrecisionPlan*> plans;
  for (const Cell& cell : cells) plans.push_back(&cell.plan);
  const std::vector<const PrecisionPlan*> reference{&experiment.grid.reference};
  Products of_cells(experiment, time), of_reference(experiment, time);
  for (const SiteRow& row : model.network->sites) {
    if (macs_of(model, row, experiment.config.tokens.sequence_length) == 0.0) continue;
    of_cells.add(row, plans, "");
    if (!is_unlimited(experiment.grid.reference.at(row.site)))
      of_reference.add(row, reference, "reference ");
  }
  std::vector<ProductPlan> products = alike_together(of_cells.take()),
                           others = alike_together(of_reference.take());
  if (others.size() == 1) others.front().what = {"reference"};
  products.insert(products.end(), others.begin(), others.end());
  return products;
}

}  // namespace lamp::experiments
