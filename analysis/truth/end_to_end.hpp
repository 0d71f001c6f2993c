// Ground truth, end to end (method.md section 7): what becomes of a run's next-token distributions
// when single scores are low or recomputed. Every number is an evaluation of the rest of the
// network (core/model/suffix.hpp); there is no first-order theory in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "analysis/metrics.hpp"
#include "core/model/suffix.hpp"
#include "core/selection/rules/given.hpp"

namespace lamp::truth {

/// One row of scores: layer, head and query.
struct Row {
  Layer layer{};
  Head head{};
  std::size_t query = 0;
  friend bool operator==(const Row&, const Row&) = default;
};

/// A row, and the keys whose scores take their other values there.
struct Change {
  Row row;
  std::span<const std::uint32_t> keys;  // ascending, each <= row.query
};

/// How far a pass is from the reference: KL(reference || pass), the mean over all positions, and
/// the largest abs(logit - reference logit); NaN where a logit is.
struct Effect {
  double kl = 0.0, logit_max = 0.0;
};

/// First derivatives with respect to one score, by central differences of h = 2^-12: of the order
/// of 1e-7 relative are wrong.
/// A low score above moves with its query and key and keeps its error: rounding itself is a step
/// function, whose difference quotient says nothing.
struct Derivative {
  /// Half the variance of J e_s under the target's distribution, the mean over positions: KL(target
  /// || pass) is this times the square of a small change, at the target itself.
  double half_variance = 0.0;
  double kl = 0.0;              // of KL(target || pass), the mean over positions
  double log_likelihood = 0.0;  // of the sum over t of log q_t(token t + 1), q the pass's
};

/// The sum over changes of what each does to the logits: integers of 2^-44, so that the sum does
/// not depend on the order.
class LogitSum {
 public:
  static constexpr double unit = 0x1p-44;
  LogitSum() = default;
  LogitSum(std::size_t positions, std::size_t vocabulary);
  /// Adds x - from to row t. A difference that is not finite, or 2^10 and more, spoils the sum, and
  /// so do many that are large: the largest times their number must be below 2^19.
  void add(std::size_t t, std::span<const double> x, std::span<const double> from);
  void add(const LogitSum& other);
  /// Half the variance of the sum under p, the mean over positions; NaN where it is spoilt.
  [[nodiscard]] double half_variance(const ReferenceDistribution& p) const;

 private:
  Matrix<std::int64_t> sum_;
  std::vector<std::size_t> changes_;  // added to each row
  double largest_ = 0.0;              // abs(x - from) of them all
  bool spoilt_ = false;
};

/// What is asked: a model, a sequence, the arithmetic of everything, and the two of the scores.
struct Question {
  const Model& model;
  std::span<const TokenId> tokens;
  const PassOptions& options;
  const PrecisionPlan& reference;  // of everything but the scores; not unlimited(p), not stochastic
  const PrecisionPlan& low;        // its arithmetic of the scores alone is looked at
  const Arithmetic& high;          // recomputes scores
  Site site = Site::scores;
};

/// A pass, and for each score the value that may take its place.
class Background {
 public:
  /// Everything in the reference arithmetic; other scores: low, from this pass's queries and keys.
  static Background reference(const Question& question);
  /// Every score low, the rest in the reference arithmetic; other scores: recomputed, from this
  /// pass's queries and keys. `target`: what effects are measured against.
  static Background all_low(const Question& question, const Background& target);
  /// The same with some scores recomputed already; a change of one of these changes nothing.
  static Background with_recomputed(const Question& question, const Background& target,
                                    GivenSets recomputed);

  /// The effect of this pass without any change: 0 for the reference, unless its logits are not
  /// finite.
  [[nodiscard]] Effect effect() const;
  /// Of each change by itself. The same bits for any number of threads and any division of the list
  /// into calls. Changes of a layer are evaluated together where they follow each other. Returns
  /// nothing where `stop` said so, which is asked now and then. `sum`, where there is one, gets
  /// what all of them do to this pass's logits.
  [[nodiscard]] std::vector<Effect> effects(std::span<const Change> changes, std::size_t threads,
                                            const std::function<bool()>& stop,
                                            LogitSum* sum = nullptr) const;
  /// Of every score of the rows by itself, row.query + 1 each. Likewise.
  [[nodiscard]] std::vector<Effect> effects_of_scores(std::span<const Row> rows,
                                                      std::size_t threads,
                                                      const std::function<bool()>& stop,
                                                      LogitSum* sum = nullptr) const;
  /// With respect to every score of the rows, row.query + 1 each. Likewise.
  [[nodiscard]] std::vector<Derivative> derivatives(std::span<const Row> rows, std::size_t threads,
                                                    const std::function<bool()>& stop) const;

  /// The row's own scores and the other ones, row.query + 1 each.
  [[nodiscard]] std::span<const double> own(const Row& row) const;
  [[nodiscard]] std::span<const double> other(const Row& row) const;
  /// Input k of the scores in this pass: 0 the queries, 1 the keys. (T, d_head).
  [[nodiscard]] MatrixView<const double> input_of_scores(std::size_t k, Layer layer,
                                                         Head head) const;
  /// The scores in any arithmetic, of this pass's queries and keys: (T, T), causal entries.
  void scores_in(const Arithmetic& arithmetic, Layer layer, Head head,
                 MatrixView<double> out) const;
  [[nodiscard]] const KeptPass& pass() const { return pass_; }
  [[nodiscard]] const ReferenceDistribution& target() const { return *target_; }
  /// (T, V), the logits that effects are measured against.
  [[nodiscard]] const Matrix<double>& target_logits() const { return *target_logits_; }

  /// Bytes of one background and of what a thread adds.
  static std::size_t bytes(const ModelConfig& model, std::size_t length);
  static std::size_t bytes_of_thread(const ModelConfig& model, std::size_t length);

 private:
  Background(const Question& question, const PrecisionPlan& plan,
             std::shared_ptr<const GivenSets> recomputed = nullptr);
  void compare_with(const Background& target);
  template <class ArithmeticOf>
  void evaluate_others(ArithmeticOf&& arithmetic_of);
  void measure();  // against the target, and its own distribution
  struct Worker;
  template <class Evaluate>
  bool in_batches(std::span<const Row> rows, std::size_t each, std::span<Worker> workers,
                  const std::function<bool()>& stop, Evaluate&& evaluate) const;
  [[nodiscard]] std::vector<Worker> workers(std::size_t threads, const PrecisionPlan& plan,
                                            std::span<const Matrix<double>> added = {}) const;
  void evaluate(std::span<const Change> changes, Worker& worker, std::span<Effect> effects) const;
  void differentiate(std::span<const Row> rows, std::span<const std::size_t> keys, Worker& worker,
                     std::span<Derivative> derivatives) const;

  Question question_;
  std::shared_ptr<const GivenSets> recomputed_;  // what plan_ selects, if anything
  PrecisionPlan plan_;                           // of the pass
  KeptPass pass_;
  std::vector<Matrix<double>> others_;  // (layer, head): (T, T)
  std::vector<Matrix<double>> errors_;  // likewise: own less reference scores; none where all are 0
  std::shared_ptr<const ReferenceDistribution> target_;
  std::shared_ptr<const Matrix<double>> target_logits_;
  PositionMetrics positions_;          // of the pass itself
  std::vector<double> largest_error_;  // by position
  Matrix<double> q_;                   // (T, V): the pass's own distribution
};

/// Every row of the model's scores over T tokens: layers, then heads, then queries.
std::vector<Row> all_rows(const ModelConfig& model, Site site, std::size_t length);

}  // namespace lamp::truth
