// The ground truth of [truth], as one instrument of several parts.
#include <array>
#include <utility>

#include "experiments/instruments/truth/part.hpp"
#include "experiments/instruments/truth/rows.hpp"
#include "experiments/run/interrupt.hpp"

namespace lamp::experiments {
namespace {

class Truth final : public Instrument {
 public:
  explicit Truth(const Recording& recording) : recording_(recording) {
    for (const auto make :
         {end_to_end_truth, local_truth, coarse_truth, row_sets_truth, forward_truth, ranked_rules})
      if (std::unique_ptr<TruthPart> part = make(recording)) parts_.push_back(std::move(part));
  }

  std::vector<Reading<>> readings() override {
    std::vector<Reading<>> all;
    for (const auto& part : parts_) part->add_readings(all);
    return all;
  }
  [[nodiscard]] std::vector<record::Axis> axes() const override {
    std::vector<record::Axis> all;
    for (const auto& part : parts_)
      for (record::Axis& axis : part->axes()) all.push_back(std::move(axis));
    return all;
  }
  [[nodiscard]] bool is_recorded(const Records& records) const override { return records.truth; }
  [[nodiscard]] bool is_complete() const override { return complete_; }

  void begin(const Reference&, const PrecisionPlan&, const Records& records) override {
    recorded_ = records.truth;
    complete_ = true;
    for (const auto& part : parts_) part->clear();
  }

  void end(const Pass& pass) override {
    if (!recorded_) return;
    const PrecisionPlan& reference = *pass.options.local_reference;
    const SelectionPlan* selection = pass.plan.selection(Site::scores);
    const truth::Question question{
        .model = pass.model,
        .tokens = pass.tokens,
        .options = pass.options,
        .reference = reference,
        .low = pass.plan,
        .high = selection != nullptr ? selection->recompute : reference.at(Site::scores)};
    truth::Background exact = truth::Background::reference(question),
                      all_low = truth::Background::all_low(question, exact);
    TruthOfCell cell{.pass = pass,
                     .question = question,
                     .exact = std::move(exact),
                     .all_low = std::move(all_low),
                     .rows = rows_of_truth(*recording_.config.truth, recording_.model,
                                           recording_.sequence_length(), pass.options),
                     .low_kl = {},
                     .high_kl = {},
                     .low_rel = {},
                     .exact_sets = {},
                     .low_sets = {}};
    for (const auto& part : parts_) complete_ = complete_ && part->evaluate(cell);
  }

 private:
  Recording recording_;
  std::vector<std::unique_ptr<TruthPart>> parts_;
  bool recorded_ = false, complete_ = true;
};

}  // namespace

bool truth_is_stopped() { return interrupted_by() != 0; }

record::Quantity TruthPart::quantity(std::string path, std::string units,
                                     std::string long_name) const {
  return {.path = std::move(path),
          .dims = {},
          .shape = {},
          .units = std::move(units),
          .long_name = std::move(long_name),
          .constant_over = axes_beside_truth(config)};
}

record::Quantity TruthPart::of_scores(std::string path, std::string units,
                                      std::string long_name) const {
  return of_rows(std::move(path), std::move(units),
                 std::move(long_name) + "; NaN above the diagonal and where not evaluated", "key",
                 length());
}

record::Quantity TruthPart::of_rows(std::string path, std::string units, std::string long_name,
                                    std::string last, std::size_t size) const {
  record::Quantity q = quantity(std::move(path), std::move(units), std::move(long_name));
  q.dims = {"layer", "head", "query"};
  q.shape = {model.n_layer, model.n_head, length()};
  if (!last.empty()) q.dims.push_back(std::move(last)), q.shape.push_back(size);
  return q;
}

std::unique_ptr<Instrument> truth_of_scores(const Recording& recording) {
  return recording.config.truth ? std::make_unique<Truth>(recording) : nullptr;
}

}  // namespace lamp::experiments
