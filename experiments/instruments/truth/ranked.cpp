// The rules of truth.rules against the truth: rank correlations and overlaps row by row, and what
// their rankings are worth when a budget is spent by them.
#include <algorithm>
#include <cmath>
#include <utility>

#include "analysis/not_finite.hpp"
#include "analysis/ranking.hpp"
#include "analysis/truth/budgets.hpp"
#include "analysis/truth/evidence.hpp"
#include "analysis/truth/local.hpp"
#include "core/base/side_by_side.hpp"
#include "core/selection/lamp.hpp"
#include "experiments/instruments/truth/part.hpp"

namespace lamp::experiments {
namespace {

using truth::Evidence;
using truth::Predictor;

constexpr std::array<std::size_t, 4> row_sizes{1, 2, 4, 8};

/// What is known of one rule, in one repetition or as the mean over them; arrays (layer, head,
/// query), NaN where not evaluated.
struct Comparison {
  std::vector<double> precision, jaccard, spearman, kendall, spearman_high, kendall_high, local_rel;
  std::vector<double> cost, largest_error, error, violations;  // of a form of LAMP
  std::vector<double> curve, row_curve;                        // by budget
  std::vector<double> row_exact, row_low;                      // (layer, head, size)
};
constexpr std::array comparisons{
    &Comparison::precision, &Comparison::jaccard,       &Comparison::spearman,
    &Comparison::kendall,   &Comparison::spearman_high, &Comparison::kendall_high,
    &Comparison::local_rel, &Comparison::cost,          &Comparison::largest_error,
    &Comparison::error,     &Comparison::violations};

class RankedRules final : public TruthPart {
 public:
  explicit RankedRules(const Recording& recording) : TruthPart(recording) {
    for (const std::string& name : asked.rules) ranked_.push_back({truth::predictor_named(name)});
  }

  void add_readings(std::vector<Reading<>>& all) override {
    all.push_back({of_scores("/selection/lamp_set", "1",
                             "1 where LAMP recomputes the score, as [lamp.scores] has it"),
                   [this] { return set_; }});
    for (Ranked& ranked : ranked_) add_readings(all, ranked);
  }

  [[nodiscard]] std::vector<record::Axis> axes() const override {
    std::vector<double> sizes;
    for (const std::size_t size : row_sizes) sizes.push_back(static_cast<double>(size));
    return {{.name = "rate", .values = asked.budgets, .long_name = "share of all scores"},
            {.name = "row_size", .values = sizes, .long_name = "recomputed scores of each row"}};
  }

  void clear() override {
    size_.clear(), set_.clear();
    for (Ranked& ranked : ranked_) ranked.priority.clear(), ranked.mean = {};
  }

  bool evaluate(TruthOfCell& cell) override {
    size_.assign(heads() * length(), not_a_number);
    set_.assign(heads() * length() * length(), not_a_number);
    if (!find_derivatives(cell)) return false;
    choose(cell);
    for (Ranked& ranked : ranked_)
      if (!compare(cell, ranked)) return false;
    return true;
  }

 private:
  struct Ranked {
    const Predictor* predictor = nullptr;
    std::vector<double> priority{};  // (layer, head, query, key), of the first repetition
    Comparison mean{};
  };

  void add_readings(std::vector<Reading<>>& all, Ranked& ranked) {
    const std::string path = "/selection/" + std::string(ranked.predictor->name) + "/";
    all.push_back(
        {of_scores(path + "priority", "1",
                   "the larger, the sooner recomputed: " + std::string(ranked.predictor->meaning)),
         [&ranked] { return ranked.priority; }});
    const auto add = [&](const char* name, std::vector<double> Comparison::*values,
                         const char* meaning) {
      all.push_back(
          {of_rows(path + name, "1", meaning), [&ranked, values] { return ranked.mean.*values; }});
    };
    if (has_low()) {
      add("precision", &Comparison::precision,
          "share of the rule's first `size` scores that are among the true first by one_low_kl");
      add("recall", &Comparison::precision,
          "share of the true first `size` scores that the rule has; equal to precision");
      add("jaccard", &Comparison::jaccard, "common scores of both sets over those of either");
      add("spearman", &Comparison::spearman, "Spearman's rho of priority and one_low_kl");
      add("kendall", &Comparison::kendall, "Kendall's tau-b of priority and one_low_kl");
    }
    if (has_high()) {
      add("spearman_high", &Comparison::spearman_high,
          "Spearman's rho of priority and all_low_kl - one_high_kl");
      add("kendall_high", &Comparison::kendall_high,
          "Kendall's tau-b of priority and all_low_kl - one_high_kl");
    }
    all.push_back({of_rows(path + "size", "1",
                           "scores compared: as many as LAMP recomputes of the row, as "
                           "[lamp.scores] has it"),
                   [this] { return size_; }});
    if (ranked.predictor->form) {
      add("cost", &Comparison::cost, "cost of the rule's first `size` scores");
      add("largest_error", &Comparison::largest_error, "largest abs(dy_j) / w_j outside of them");
      add("error", &Comparison::error,
          ranked.predictor->form->norm == Norm::normwise1
              ? "1-norm of the error of softmax with them recomputed"
              : "largest relative error of softmax with them recomputed");
      add("violations", &Comparison::violations,
          "1 where that error exceeds cost times largest_error by more than its roundings: first "
          "order fails");
    }
    add("local_rel", &Comparison::local_rel,
        "largest relative error of softmax with the rule's first `size` scores recomputed");
    const auto add_row = [&](const char* name, std::vector<double> Comparison::*values,
                             const char* rest) {
      record::Quantity q = quantity(
          path + name, "nat",
          std::string("KL(reference || run) with the rule's first `recomputed` scores of that row "
                      "recomputed, its others low, and all scores of other rows ") +
              rest);
      q.dims = {"layer", "head", "recomputed"};
      q.shape = {model.n_layer, model.n_head, asked.row_sets + 1};
      all.push_back({std::move(q), [&ranked, values] { return ranked.mean.*values; }});
    };
    if (asked.row_sets > 0) {
      add_row("row_exact_kl", &Comparison::row_exact, "exact");
      add_row("row_low_kl", &Comparison::row_low, "low");
    }
    const auto add_curve = [&](const char* name, const char* dimension, std::size_t size,
                               std::vector<double> Comparison::*values, const char* meaning) {
      record::Quantity q = quantity(path + name, "nat", meaning);
      q.dims = {dimension}, q.shape = {size};
      all.push_back({std::move(q), [&ranked, values] { return ranked.mean.*values; }});
    };
    add_curve("curve_error", "rate", asked.budgets.size(), &Comparison::curve,
              "KL(reference || run) with the first ceil(rate N) of all N scores recomputed, all "
              "others low");
    add_curve("row_curve_error", "row_size", row_sizes.size(), &Comparison::row_curve,
              "KL(reference || run) with the first row_size scores of each row recomputed, all "
              "others low");
  }

  [[nodiscard]] bool asks(OneChange change) const {
    return std::find(asked.end_to_end.begin(), asked.end_to_end.end(), change) !=
           asked.end_to_end.end();
  }
  [[nodiscard]] bool has_low() const { return asks(OneChange::low); }
  [[nodiscard]] bool has_high() const { return asks(OneChange::high); }

  /// Derivatives that a rule needs, of the rows that are asked for. Those of the reference are the
  /// same in all cells of a sequence, of one model and seed.
  bool find_derivatives(const TruthOfCell& cell) {
    const PassOptions& options = cell.pass.options;
    const DerivativesOf of{.model = &cell.pass.model,
                           .tokens = {cell.pass.tokens.begin(), cell.pass.tokens.end()},
                           .seed = asked.sample ? options.seed : 0,
                           .sequence = options.sequence};
    if (of != derivatives_of_) {
      derivatives_of_ = {};
      if (!find(cell, &truth::Needs::derivative, cell.exact, derivatives_)) return false;
      derivatives_of_ = of;
    }
    return find(cell, &truth::Needs::low_derivative, cell.all_low, low_derivatives_);
  }

  bool find(const TruthOfCell& cell, bool truth::Needs::*needed,
            const truth::Background& background, std::vector<truth::Derivative>& out) const {
    out.clear();
    if (std::none_of(ranked_.begin(), ranked_.end(),
                     [&](const Ranked& r) { return r.predictor->needs.*needed; }))
      return true;
    const std::vector<truth::Derivative> found =
        background.derivatives(cell.rows, cell.pass.options.threads, truth_is_stopped);
    if (found.empty() && !cell.rows.empty()) return false;
    out.assign(heads() * length() * length(), {not_a_number, not_a_number, not_a_number});
    std::size_t at = 0;
    for (const truth::Row& row : cell.rows)
      for (std::size_t j = 0; j <= row.query; ++j) out[place(row, length()) + j] = found[at++];
    return true;
  }

  /// The set of LAMP in each row.
  void choose(const TruthOfCell& cell) {
    const SelectionPlan* plan = cell.pass.plan.selection(site);
    SelectionSpec spec = plan != nullptr ? plan->spec : SelectionSpec{};
    spec.rule = rule_named("lamp");
    SelectionScratch scratch;
    std::vector<std::uint8_t> marks;
    for (std::size_t l = 0; l < model.n_layer; ++l)
      for (std::size_t h = 0; h < model.n_head; ++h) {
        truth::HeadEvidence head(cell.question, cell.exact, Layer{l}, Head{h});
        for (std::size_t i = 0; i < length(); ++i) {
          const truth::Row row{Layer{l}, Head{h}, i};
          marks.assign(i + 1, 0);
          size_[place(row, 1)] = static_cast<double>(
              select_lamp(spec, targets::softmax, head.of_row(i).row, marks, scratch));
          std::copy(marks.begin(), marks.end(),
                    set_.begin() + static_cast<std::ptrdiff_t>(place(row, length())));
        }
      }
  }

  /// Whether the cost of a set bounds the error that it leaves.
  static void check_bound(const truth::LampForm& form, const Evidence& e,
                          std::span<const std::uint8_t> marks, const truth::RowErrors& errors,
                          std::size_t at, Comparison& out) {
    const SelectionSpec spec{.weights = form.weights, .norm = form.norm};
    out.cost[at] = cost_of_set(spec, targets::softmax, e.row, marks);
    double largest = 0.0;
    for (std::size_t j = 0; j < marks.size(); ++j) {
      if (marks[j] != 0 || e.error[j] == 0.0) continue;
      const double w = form.weights == ErrorWeights::absolute   ? 1.0
                       : form.weights == ErrorWeights::relative ? std::abs(e.row.y[j])
                                                                : e.row.w[j];
      largest = std::max(largest, std::abs(e.error[j]) / w);
    }
    out.largest_error[at] = largest;
    out.error[at] = form.norm == Norm::normwise1 ? errors.l1 : errors.rel;
    const double roundings = static_cast<double>(marks.size() + 8) * 0x1p-53;  // of the error
    out.violations[at] = out.error[at] > out.cost[at] * largest + roundings ? 1.0 : 0.0;
  }

  bool compare(const TruthOfCell& cell, Ranked& ranked) {
    const std::uint32_t repetitions = ranked.predictor->repetitions;
    std::vector<Comparison> all(repetitions);
    for (std::uint32_t r = 0; r < repetitions; ++r) {
      std::vector<double> priority(heads() * length() * length(), not_a_number);
      for (const auto list : comparisons) (all[r].*list).assign(heads() * length(), not_a_number);
      compare_rows(cell, *ranked.predictor, r, priority, all[r]);
      look_up(cell, priority, cell.exact_sets, all[r].row_exact);
      look_up(cell, priority, cell.low_sets, all[r].row_low);
      if (!spend(cell, *ranked.predictor, priority, all[r])) return false;
      if (r == 0) ranked.priority = std::move(priority);
    }
    ranked.mean = all[0];
    const auto average = [&](std::vector<double> Comparison::*list) {
      std::vector<double>& to = ranked.mean.*list;
      for (std::uint32_t r = 1; r < repetitions; ++r)
        for (std::size_t i = 0; i < to.size(); ++i) to[i] += (all[r].*list)[i];
      for (double& value : to) value /= static_cast<double>(repetitions);
    };
    if (repetitions > 1) {
      for (const auto list : comparisons) average(list);
      average(&Comparison::curve), average(&Comparison::row_curve);
      average(&Comparison::row_exact), average(&Comparison::row_low);
    }
    return true;
  }

  void compare_rows(const TruthOfCell& cell, const Predictor& predictor, std::uint32_t repetition,
                    std::vector<double>& priority, Comparison& out) {
    SelectionScratch scratch;
    const double all_low = cell.all_low.effect().kl;
    std::vector<double> benefit, low_error;
    for (std::size_t l = 0; l < model.n_layer; ++l)
      for (std::size_t h = 0; h < model.n_head; ++h) {
        truth::HeadEvidence head(cell.question, cell.exact, Layer{l}, Head{h});
        for (std::size_t i = 0; i < length(); ++i) {
          const truth::Row row{Layer{l}, Head{h}, i};
          const std::size_t n = i + 1, first = place(row, length()), at = place(row, 1);
          Evidence e = head.of_row(i);
          const auto part = [&](const auto& values) {
            return values.empty()
                       ? std::span<const typename std::decay_t<decltype(values)>::value_type>{}
                       : std::span(values).subspan(first, n);
          };
          e.derivative = part(derivatives_), e.low_derivative = part(low_derivatives_);
          e.one_low = part(cell.low_kl), e.local = part(cell.low_rel);
          benefit.clear(), low_error.clear();
          for (const double kl : part(cell.high_kl)) benefit.push_back(all_low - kl);
          const std::span<const double> own = cell.all_low.own(row),
                                        other = cell.all_low.other(row);
          for (std::size_t j = 0; j < n; ++j) low_error.push_back(own[j] - other[j]);
          e.benefit = benefit, e.low_error = low_error;
          if (!has_evidence(predictor, e)) continue;
          const std::span<double> ranks = std::span(priority).subspan(first, n);
          predictor.rank(e, repetition, ranks, scratch);
          const std::vector<std::uint8_t> chosen = top(ranks, static_cast<std::size_t>(size_[at]));
          const truth::RowErrors errors =
              truth::LocalRow(e.row.y, head.recomputed(i)).errors(chosen);
          out.local_rel[at] = errors.rel;
          if (predictor.form) check_bound(*predictor.form, e, chosen, errors, at, out);
          if (!e.one_low.empty() && !std::isnan(e.one_low[0])) {
            const Overlap common = overlap_with_top(chosen, e.one_low);
            out.precision[at] = common.precision, out.jaccard[at] = common.jaccard;
            out.spearman[at] = spearman(ranks, e.one_low);
            out.kendall[at] = kendall_tau_b(ranks, e.one_low);
          }
          if (!benefit.empty() && !std::isnan(benefit[0])) {
            out.spearman_high[at] = spearman(ranks, benefit);
            out.kendall_high[at] = kendall_tau_b(ranks, benefit);
          }
        }
      }
  }

  /// The KL of the first k of the row whose sets were all evaluated, k = 0 .. n.
  void look_up(const TruthOfCell& cell, const std::vector<double>& priority,
               const std::vector<double>& kl, std::vector<double>& out) const {
    if (asked.row_sets == 0) return;
    const std::size_t n = asked.row_sets;
    out.assign(heads() * (n + 1), not_a_number);
    for (const truth::Row& row : cell.rows) {
      const std::span<const double> ranks = std::span(priority).subspan(place(row, length()), n);
      if (row.query + 1 != n || std::isnan(ranks[0])) continue;
      const std::size_t head = row.layer.value * model.n_head + row.head.value;
      const std::vector<std::uint32_t> order = descending(ranks);
      std::size_t set = 0;
      for (std::size_t k = 0; k <= n; ++k) {
        out[head * (n + 1) + k] = kl[(head << n) + set];
        if (k < n) set |= std::size_t{1} << order[k];
      }
    }
  }

  /// Whether the row has what the predictor reads; rows outside of a sample have not.
  static bool has_evidence(const Predictor& predictor, const Evidence& e) {
    const truth::Needs& needs = predictor.needs;
    const auto known = [](std::span<const double> values) {
      return !values.empty() && !std::isnan(values[0]);
    };
    const auto known_derivative = [](std::span<const truth::Derivative> values) {
      return !values.empty() && !std::isnan(values[0].half_variance);
    };
    return (!needs.derivative || known_derivative(e.derivative)) &&
           (!needs.low_derivative || known_derivative(e.low_derivative)) &&
           (!needs.one_low || known(e.one_low)) && (!needs.one_high || known(e.benefit)) &&
           (!needs.local || known(e.local));
  }

  /// Whole passes at each budget; NaN where some row has no priorities.
  bool spend(const TruthOfCell& cell, const Predictor& predictor,
             const std::vector<double>& priority, Comparison& out) const {
    const truth::Needs& needs = predictor.needs;
    const bool of_rows_asked_for =
        needs.derivative || needs.low_derivative || needs.one_low || needs.one_high || needs.local;
    const bool asked_for_all = cell.rows.size() == heads() * length();
    const bool known = !of_rows_asked_for || (asked_for_all && !std::isnan(priority[0]));
    if (!known) {
      out.curve.assign(asked.budgets.size(), not_a_number),
          out.row_curve.assign(row_sizes.size(), not_a_number);
      return true;
    }
    std::optional<truth::BudgetKl> kl = truth::kl_of_budgets(
        cell.question, cell.exact.target(), priority,
        {.shares = asked.budgets, .row_sizes = {row_sizes.begin(), row_sizes.end()}},
        cell.pass.options.threads, truth_is_stopped);
    if (!kl) return false;
    out.curve = std::move(kl->shares), out.row_curve = std::move(kl->row_sizes);
    return true;
  }

  /// What derivatives_ are of; seed and sequence decide which rows are sampled.
  struct DerivativesOf {
    const Model* model = nullptr;
    std::vector<TokenId> tokens{};
    std::uint32_t seed = 0, sequence = 0;
    friend bool operator==(const DerivativesOf&, const DerivativesOf&) = default;
  };

  std::vector<Ranked> ranked_;
  std::vector<double> size_, set_;  // (layer, head, query); with keys
  std::vector<truth::Derivative> derivatives_, low_derivatives_;
  DerivativesOf derivatives_of_;
};

}  // namespace

std::unique_ptr<TruthPart> ranked_rules(const Recording& recording) {
  return recording.config.truth->rules.empty() ? nullptr : std::make_unique<RankedRules>(recording);
}

}  // namespace lamp::experiments
