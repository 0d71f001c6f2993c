// An instrument sees a cell's pass and says what is recorded of it. It declares every quantity
// together with the function that gives its values: no value finds its name by position.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "analysis/metrics.hpp"
#include "core/model/forward.hpp"
#include "core/record/contents.hpp"
#include "experiments/config/grid.hpp"
#include "experiments/instruments/site_values.hpp"

namespace lamp::experiments {

/// What instruments are made for; it must outlive them.
struct Recording {
  const Config& config;
  const ModelConfig& model;
  /// Of a sequence, or of the longest that there may be: a sequence's own is that of
  /// Reference::tokens.
  [[nodiscard]] std::size_t sequence_length() const { return config.tokens.sequence_length; }
  /// The end of a long_name: what is at positions that a sequence has not; "" where all have all.
  [[nodiscard]] std::string beyond(std::string_view fill) const {
    return config.tokens.lengths_vary() ? "; " + std::string(fill) + " beyond the sequence's length"
                                        : "";
  }
};

/// What the passes of one sequence are compared with.
struct Reference {
  ReferenceDistribution distribution;
  std::vector<TokenId> tokens;
  SiteValuesMap sites;                  // those that an instrument needs
  std::vector<TokenId> continuation{};  // empty where the config asks for none
};

/// A quantity and the function that gives its values: of the instrument's last pass, Reading<>, or
/// of a sequence's reference, Reading<Reference>.
template <class... Of>
struct Reading {
  /// `f` returns a vector, the last dimension fastest; its elements give the quantity its type. An
  /// empty one: this cell does not record the quantity.
  template <class F>
  Reading(record::Quantity what, F f) : quantity(std::move(what)) {
    using Vector = std::invoke_result_t<F&, const Of&...>;
    static_assert(!std::is_same_v<Vector, record::Values>, "return a vector of one element type");
    quantity.prototype = Vector{};
    values = std::move(f);
  }

  record::Quantity quantity;
  std::function<record::Values(const Of&...)> values;
};

/// What was passed, for an instrument that goes on from there with passes of its own.
struct Pass {
  const Model& model;
  std::span<const TokenId> tokens;
  const PrecisionPlan& plan;
  const PassOptions& options;
  Workspace& workspace;
};

/// For each cell: begin(), the taps, end(), then the values of its readings. Each thread of a run
/// has its own.
class Instrument : public TapSink {
 public:
  Instrument() = default;
  Instrument(const Instrument&) = delete;  // its readings refer to it
  Instrument& operator=(const Instrument&) = delete;

  /// What is recorded of every cell, and once a sequence of the reference. The same lists each
  /// time.
  [[nodiscard]] virtual std::vector<Reading<>> readings() = 0;
  [[nodiscard]] virtual std::vector<Reading<Reference>> reference_readings() const { return {}; }
  /// Coordinates of dimensions, where they are not 0, 1, ..
  [[nodiscard]] virtual std::vector<record::Axis> axes() const { return {}; }

  /// Whether it is shown the values, local values and selections of a site.
  [[nodiscard]] virtual bool listens(Site) const { return false; }
  /// Whether Reference::sites must have a site.
  [[nodiscard]] virtual bool needs_reference(Site) const { return false; }

  /// Whether a cell that records so much has its readings; they are empty in others.
  [[nodiscard]] virtual bool is_recorded(const Records&) const { return true; }

  /// Before a pass of a cell.
  virtual void begin(const Reference&, const PrecisionPlan&, const Records&) {}
  void values(const TapPoint&, MatrixView<const double>) override {}
  void selected(const TapPoint&, std::span<const std::uint8_t>) override {}
  virtual void end(const Pass&) {}
  /// Whether end() came to its end: false where a signal stopped it, and then nothing is recorded.
  [[nodiscard]] virtual bool is_complete() const { return true; }
  /// After a sequence's reference pass: what cells are compared with besides the sites.
  virtual void end_reference(const Pass&, Reference&) const {}
};

/// Makes an instrument, or nothing where the config does not ask for it.
using InstrumentMaker = std::unique_ptr<Instrument> (*)(const Recording&);

/// All that lamp has, in the order of their quantities in a shard (list.cpp).
std::span<const InstrumentMaker> all_instruments();

}  // namespace lamp::experiments
