// The precision plan: which arithmetic each (site, layer, head) runs in, where LAMP selects, and
// what values are kept in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "core/arith/spec.hpp"
#include "core/base/index.hpp"
#include "core/model/site.hpp"
#include "core/model/storage.hpp"
#include "core/selection/selection.hpp"
#include "core/selection/shift.hpp"

namespace lamp {

/// A site, or the site in one layer, or in one head of one layer.
struct SitePath {
  Site site = Site::embed;
  std::optional<Layer> layer{};
  std::optional<Head> head{};
  friend auto operator<=>(const SitePath&, const SitePath&) = default;
};

/// Selection at a site g: S is chosen on the low values, then recomputed in `recompute`; the values
/// outside of S are shifted, rounded RNE to the format of `recompute`.
struct SelectionPlan {
  SelectionSpec spec;
  Arithmetic recompute;
  Shift shift = Shift::none;
};

class PrecisionPlan {
 public:
  explicit PrecisionPlan(const Arithmetic& everywhere) : default_(everywhere) {}

  /// The most specific of the paths that were set wins: head over layer over site over the default.
  void set(const SitePath& path, const Arithmetic& arithmetic) {
    overrides_.insert_or_assign(path, arithmetic);
  }
  void set(Site site, const Arithmetic& arithmetic) { set(SitePath{.site = site}, arithmetic); }

  [[nodiscard]] const Arithmetic& at(Site site, Layer layer = Layer{}, Head head = Head{}) const {
    for (const SitePath& path :
         {SitePath{site, layer, head}, SitePath{site, layer, {}}, SitePath{site, {}, {}}})
      if (const auto found = overrides_.find(path); found != overrides_.end()) return found->second;
    return default_;
  }

  void select(Site site, const SelectionPlan& selection) {
    selections_.insert_or_assign(site, selection);
  }
  [[nodiscard]] const SelectionPlan* selection(Site site) const {
    const auto found = selections_.find(site);
    return found == selections_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] bool selects() const { return !selections_.empty(); }

  /// What values are kept in. Of its weights a pass takes note where its model is made.
  void store(Storage storage) { storage_ = std::move(storage); }
  [[nodiscard]] const Storage& storage() const { return storage_; }

 private:
  Arithmetic default_;
  std::map<SitePath, Arithmetic> overrides_;
  std::map<Site, SelectionPlan> selections_;
  Storage storage_;
};

}  // namespace lamp
