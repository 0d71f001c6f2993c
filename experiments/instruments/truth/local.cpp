// The truth of each row by itself: single scores, and the best of all its sets.
#include <cmath>
#include <utility>

#include "analysis/not_finite.hpp"
#include "analysis/truth/subsets.hpp"
#include "core/base/side_by_side.hpp"
#include "core/model/ops/read_values.hpp"
#include "experiments/instruments/truth/part.hpp"

namespace lamp::experiments {
namespace {

using truth::ErrorLists;
using truth::LocalRow;

class LocalTruth final : public TruthPart {
 public:
  using TruthPart::TruthPart;

  void add_readings(std::vector<Reading<>>& all) override {
    add(all, low_, "one_low", " of the row with this score alone low");
    add(all, high_, "one_high", " of the row with this score alone recomputed, all others low");
    const std::string sets = ", of all sets of `size` recomputed scores; NaN where not evaluated";
    all.push_back({of_rows("/truth/local/best_error_rel", "1",
                           "least largest relative error of softmax" + sets, "size", sizes()),
                   [this] { return best_rel_; }});
    all.push_back({of_rows("/truth/local/best_error_l1", "1",
                           "least 1-norm of the error of softmax" + sets, "size", sizes()),
                   [this] { return best_l1_; }});
    all.push_back({of_rows("/truth/local/min_size", "1",
                           "size of the smallest set whose relative error is within the tolerance; "
                           "NaN where not evaluated, inf where no set's is",
                           "tolerance", asked.tolerance.size()),
                   [this] { return min_size_; }});
    all.push_back({of_rows("/truth/local/min_set", "1",
                           "that set (bit j: key j), the least error first, then the smallest "
                           "mask; 0 where min_size is no number",
                           "tolerance", asked.tolerance.size()),
                   [this] { return min_set_; }});
  }

  [[nodiscard]] std::vector<record::Axis> axes() const override {
    return {{.name = "tolerance", .values = asked.tolerance, .long_name = "relative error"}};
  }

  void clear() override {
    for (std::vector<double>* values : {&low_.rel, &low_.l1, &low_.values, &high_.rel, &high_.l1,
                                        &high_.values, &best_rel_, &best_l1_, &min_size_})
      values->clear();
    min_set_.clear();
  }

  bool evaluate(TruthOfCell& cell) override {
    const std::size_t rows = heads() * length(), scores = rows * length();
    for (std::vector<double>* values :
         {&low_.rel, &low_.l1, &low_.values, &high_.rel, &high_.l1, &high_.values})
      values->assign(scores, not_a_number);
    best_rel_.assign(rows * sizes(), not_a_number), best_l1_ = best_rel_;
    min_size_.assign(rows * asked.tolerance.size(), not_a_number);
    min_set_.assign(min_size_.size(), 0);
    struct Worker {};
    std::vector<Worker> workers(std::max<std::size_t>(cell.pass.options.threads, 1));
    const std::vector<Part> parts = parts_of(cell);
    side_by_side(std::span(workers), parts.size(), [&](Worker&, std::size_t p) {
      if (truth_is_stopped()) return false;
      evaluate_head(cell, parts[p]);
      return true;
    });
    cell.low_rel = low_.rel;
    return !truth_is_stopped();
  }

 private:
  /// The rows of one head: rows[first .. first + count - 1].
  struct Part {
    std::size_t first, count;
  };

  static std::vector<Part> parts_of(const TruthOfCell& cell) {
    std::vector<Part> parts;
    for (std::size_t r = 0; r < cell.rows.size(); ++r) {
      const bool same = !parts.empty() && cell.rows[r].layer == cell.rows[r - 1].layer &&
                        cell.rows[r].head == cell.rows[r - 1].head;
      if (!same) parts.push_back({r, 0});
      ++parts.back().count;
    }
    return parts;
  }

  [[nodiscard]] std::size_t sizes() const { return asked.subset_limit + 1; }

  void evaluate_head(const TruthOfCell& cell, const Part& part) {
    const truth::Row& head = cell.rows[part.first];
    Matrix<double> high(length(), length());
    cell.exact.scores_in(cell.question.high, head.layer, head.head, high.view());
    const MatrixView<const double> v = values_of(cell, head);
    for (std::size_t r = part.first; r < part.first + part.count; ++r) {
      const truth::Row& row = cell.rows[r];
      const std::size_t n = row.query + 1;
      const LocalRow local(cell.exact.other(row), std::as_const(high).row(row.query).first(n),
                           v.rows == 0 ? v : v.row_block(0, n));
      const auto keep = [&](const ErrorLists& from, ErrorLists& to) {
        for (const auto list : {&ErrorLists::rel, &ErrorLists::l1, &ErrorLists::values})
          std::copy((from.*list).begin(), (from.*list).end(),
                    (to.*list).begin() + static_cast<std::ptrdiff_t>(place(row, length())));
      };
      keep(local.one_low(), low_), keep(local.one_high(), high_);
      if (n <= asked.subset_limit) keep_best(local, row);
    }
  }

  void keep_best(const LocalRow& local, const truth::Row& row) {
    const truth::BestSets rel = truth::best_sets(local, truth::SetError::rel),
                          l1 = truth::best_sets(local, truth::SetError::l1);
    for (std::size_t k = 0; k < rel.error.size(); ++k) {
      best_rel_[place(row, sizes()) + k] = rel.error[k];
      best_l1_[place(row, sizes()) + k] = l1.error[k];
    }
    for (std::size_t t = 0; t < asked.tolerance.size(); ++t) {
      const std::optional<std::size_t> smallest = rel.smallest(asked.tolerance[t]);
      const std::size_t at = place(row, asked.tolerance.size()) + t;
      min_size_[at] = smallest ? static_cast<double>(*smallest) : positive_infinity;
      if (smallest) min_set_[at] = rel.set[*smallest];
    }
  }

  /// The values of a head in the reference pass, (T, d_head); nothing where softmax weights none.
  [[nodiscard]] MatrixView<const double> values_of(const TruthOfCell& cell,
                                                   const truth::Row& head) const {
    const SiteRow* row = row_of_values(
        model.network->sites, row_of_f(model.network->sites, row_of(*model.network, site))->site);
    if (row == nullptr) return {};
    const Columns c = input_columns(model, *row, 1, head.head, length());
    return cell.exact.pass().at(*row->inputs[1].site, head.layer).view().columns(c.first, c.count);
  }

  void add(std::vector<Reading<>>& all, const ErrorLists& errors, const std::string& name,
           const std::string& what) const {
    const std::string path = "/truth/local/" + name;
    all.push_back({of_scores(path + "_rel", "1", "largest relative error of softmax" + what),
                   [&errors] { return errors.rel; }});
    all.push_back({of_scores(path + "_l1", "1", "1-norm of the error of softmax" + what),
                   [&errors] { return errors.l1; }});
    all.push_back({of_scores(path + "_values", "1",
                             "relative 2-norm of the error of softmax times values" + what),
                   [&errors] { return errors.values; }});
  }

  ErrorLists low_, high_;  // (layer, head, query, key)
  std::vector<double> best_rel_, best_l1_, min_size_;
  std::vector<std::uint32_t> min_set_;
};

}  // namespace

std::unique_ptr<TruthPart> local_truth(const Recording& recording) {
  return recording.config.truth->local ? std::make_unique<LocalTruth>(recording) : nullptr;
}

}  // namespace lamp::experiments
