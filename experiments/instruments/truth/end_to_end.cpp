// Every score alone low and alone recomputed, end to end.
#include <utility>

#include "analysis/not_finite.hpp"
#include "experiments/instruments/truth/part.hpp"

namespace lamp::experiments {
namespace {

using truth::Background;
using truth::Effect;

class EndToEnd final : public TruthPart {
 public:
  using TruthPart::TruthPart;

  void add_readings(std::vector<Reading<>>& all) override {
    all.push_back({quantity("/truth/all_low_kl", "nat", "KL(reference || run) with all scores low"),
                   [this] { return all_low_kl_; }});
    all.push_back(
        {quantity("/truth/all_low_logit_max", "1", "largest abs(logit error) with all scores low"),
         [this] { return all_low_logit_max_; }});
    all.push_back(
        {of_scores("/truth/score", "1", "score of the reference pass"), [this] { return score_; }});
    all.push_back({of_scores("/truth/score_error", "1",
                             "low less recomputed score, of the reference's queries and keys"),
                   [this] { return score_error_; }});
    for (const OneChange change : asked.end_to_end) {
      const bool low = change == OneChange::low;
      const std::string path = low ? "/truth/one_low_" : "/truth/one_high_",
                        what = low ? " with this score alone low"
                                   : " with this score alone recomputed, all others low";
      const Effects& effects = low ? low_ : high_;
      all.push_back({of_scores(path + "kl", "nat", "KL(reference || run)" + what),
                     [&effects] { return effects.kl; }});
      all.push_back({of_scores(path + "logit_max", "1", "largest abs(logit error)" + what),
                     [&effects] { return effects.logit_max; }});
      if (low)
        all.push_back({quantity("/truth/half_variance_of_sum", "nat",
                                "half the variance, under the reference, of the sum of the logit "
                                "changes of all one-low runs; mean over positions"),
                       [this] { return half_variance_; }});
    }
  }

  void clear() override {
    for (std::vector<double>* values :
         {&all_low_kl_, &all_low_logit_max_, &half_variance_, &score_, &score_error_, &low_.kl,
          &low_.logit_max, &high_.kl, &high_.logit_max})
      values->clear();
  }

  bool evaluate(TruthOfCell& cell) override {
    const Effect all_low = cell.all_low.effect();
    all_low_kl_ = {all_low.kl}, all_low_logit_max_ = {all_low.logit_max};
    keep_scores(cell);
    truth::LogitSum sum;
    for (const OneChange change : asked.end_to_end) {
      const bool low = change == OneChange::low;
      if (!evaluate(cell, low ? cell.exact : cell.all_low, low ? &sum : nullptr,
                    low ? low_ : high_))
        return false;
      (low ? cell.low_kl : cell.high_kl) = (low ? low_ : high_).kl;
      if (low) half_variance_ = {sum.half_variance(cell.exact.target())};
    }
    return true;
  }

 private:
  struct Effects {
    std::vector<double> kl, logit_max;
  };

  void keep_scores(const TruthOfCell& cell) {
    score_.assign(heads() * length() * length(), not_a_number);
    score_error_ = score_;
    Matrix<double> recomputed(length(), length());
    for (std::size_t l = 0; l < model.n_layer; ++l)
      for (std::size_t h = 0; h < model.n_head; ++h) {
        cell.exact.scores_in(cell.question.high, Layer{l}, Head{h}, recomputed.view());
        for (std::size_t i = 0; i < length(); ++i) {
          const truth::Row row{Layer{l}, Head{h}, i};
          const std::span<const double> own = cell.exact.own(row), low = cell.exact.other(row);
          for (std::size_t j = 0; j <= i; ++j) {
            score_[place(row, length()) + j] = own[j];
            score_error_[place(row, length()) + j] = low[j] - recomputed(i, j);
          }
        }
      }
  }

  /// Each score of the rows by itself.
  bool evaluate(const TruthOfCell& cell, const Background& background, truth::LogitSum* sum,
                Effects& out) const {
    const std::vector<Effect> effects =
        background.effects_of_scores(cell.rows, cell.pass.options.threads, truth_is_stopped, sum);
    if (effects.empty() && !cell.rows.empty()) return false;
    out.kl.assign(heads() * length() * length(), not_a_number);
    out.logit_max = out.kl;
    std::size_t at = 0;
    for (const truth::Row& row : cell.rows)
      for (std::size_t j = 0; j <= row.query; ++j, ++at) {
        out.kl[place(row, length()) + j] = effects[at].kl;
        out.logit_max[place(row, length()) + j] = effects[at].logit_max;
      }
    return true;
  }

  std::vector<double> all_low_kl_, all_low_logit_max_, half_variance_;
  std::vector<double> score_, score_error_;
  Effects low_, high_;
};

}  // namespace

std::unique_ptr<TruthPart> end_to_end_truth(const Recording& recording) {
  return std::make_unique<EndToEnd>(recording);
}

}  // namespace lamp::experiments
