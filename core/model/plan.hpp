// The precision plan: which arithmetic each (site, layer, head) runs in, where LAMP selects, and
// what values are kept in.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "core/arith/spec.hpp"
#include "core/base/index.hpp"
#include "core/base/names.hpp"
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

/// What the most specific path to a head says: head over layer over site; null where none is
/// there.
template <class T>
const T* most_specific(const std::map<SitePath, T>& all, Site site, Layer layer, Head head) {
  for (const SitePath& path :
       {SitePath{site, layer, head}, SitePath{site, layer, {}}, SitePath{site, {}, {}}})
    if (const auto found = all.find(path); found != all.end()) return &found->second;
  return nullptr;
}

/// What is recomputed beside S where the first-order bound on what S leaves exceeds `tolerance`:
/// cost(S) u, u the unit roundoff of the low arithmetic. `row`: that row, whole; `layer`: all rows
/// of the layer (and head) where any row's bound does. A bound that is NaN exceeds.
struct Fallback {
  enum class What : std::uint8_t { row, layer };
  double tolerance = 0.0;
  What what = What::row;
  friend bool operator==(const Fallback&, const Fallback&) = default;
};

inline constexpr std::array<NamedValue<Fallback::What>, 2> fallback_names{
    {{"row", Fallback::What::row}, {"layer", Fallback::What::layer}}};
static_assert(names_all(fallback_names));

/// Selection at a site g: S is chosen on the low values, then recomputed in `recompute`; the values
/// outside of S are shifted, rounded RNE to the format of `recompute`.
struct SelectionPlan {
  SelectionSpec spec;
  Arithmetic recompute;
  Shift shift = Shift::none;
  std::optional<Fallback> fallback{};
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
    const Arithmetic* found = most_specific(overrides_, site, layer, head);
    return found == nullptr ? default_ : *found;
  }

  /// The most specific path wins here too. Pre: where a layer or head of a site selects, so does
  /// the site.
  void select(const SitePath& path, const SelectionPlan& selection) {
    selections_.insert_or_assign(path, selection);
  }
  void select(Site site, const SelectionPlan& selection) { select(SitePath{site}, selection); }

  /// Of the site as a whole: whether it selects, and how where no layer or head says otherwise.
  [[nodiscard]] const SelectionPlan* selection(Site site) const {
    const auto found = selections_.find(SitePath{site});
    return found == selections_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] const SelectionPlan* selection(Site site, Layer layer, Head head = Head{}) const {
    return most_specific(selections_, site, layer, head);
  }
  [[nodiscard]] bool selects() const { return !selections_.empty(); }

  /// What values are kept in. Of its weights a pass takes note where its model is made.
  void store(Storage storage) { storage_ = std::move(storage); }
  [[nodiscard]] const Storage& storage() const { return storage_; }

 private:
  Arithmetic default_;
  std::map<SitePath, Arithmetic> overrides_;
  std::map<SitePath, SelectionPlan> selections_;
  Storage storage_;
};

}  // namespace lamp
