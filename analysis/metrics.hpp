// How far a run's next-token distributions are from the reference's, one number per token position
// (method.md section 8). Binary64 throughout, sums in index order, elementary functions of
// core/fp/binary64.hpp: the same bits everywhere.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/base/index.hpp"
#include "core/base/matrix.hpp"
#include "core/base/team.hpp"

namespace lamp {

/// Reusable memory of the functions below; one per thread.
struct MetricsScratch {
  static constexpr std::size_t
      chunk = 512,
      rows = 4;  // the rows of a group are summed side by side, each in index order
  std::array<std::array<double, chunk>, rows> first;
  std::array<double, chunk> second;
};

/// The reference of one sequence: log p, the log-softmax of its logits, and the tokens.
class ReferenceDistribution {
 public:
  /// logits: (T, V), T >= 1, V >= 1; they become the log-probabilities in place. tokens: T ids < V.
  /// A team shares the positions; no bit depends on it.
  ReferenceDistribution(Matrix<double> logits, std::span<const TokenId> tokens,
                        Team* team = nullptr);

  [[nodiscard]] std::size_t positions() const { return log_p_.rows(); }
  [[nodiscard]] std::size_t vocab_size() const { return log_p_.cols(); }
  [[nodiscard]] std::span<const double> log_probabilities(std::size_t t) const {
    return log_p_.row(t);
  }
  /// exp of the log-probabilities; empty where a second array of their size would be too large.
  [[nodiscard]] std::span<const double> probabilities(std::size_t t) const {
    return p_.rows() == 0 ? std::span<const double>{} : p_.row(t);
  }
  /// The next token at t < T - 1.
  [[nodiscard]] TokenId next_token(std::size_t t) const { return tokens_[t + 1]; }
  /// Lowest index of the largest logit; nothing for a row with a NaN.
  [[nodiscard]] std::size_t argmax(std::size_t t) const { return argmax_[t]; }
  /// -log p of token t + 1, T - 1 values.
  [[nodiscard]] std::span<const double> cross_entropy() const { return cross_entropy_; }
  /// Whether some p of the row is 0, or so small that q/p may overflow.
  [[nodiscard]] bool has_vanishing(std::size_t t) const { return vanishing_[t] != 0; }

  static constexpr std::size_t no_argmax = ~std::size_t{0};
  static constexpr std::size_t stored_probabilities =
      std::size_t{1} << 23;  // T V up to which p is kept too: 64 MiB

 private:
  /// Fills positions first .. first + count - 1, of which there are a group's at most.
  void fill(std::size_t first, std::size_t count, MetricsScratch& scratch);

  Matrix<double> log_p_, p_;
  std::vector<TokenId> tokens_;
  std::vector<std::size_t> argmax_;
  std::vector<double> cross_entropy_;
  std::vector<std::uint8_t> vanishing_;
};

/// The metrics of one pass, a value for each token position. In a row with a NaN logit, KL and
/// cross-entropy are NaN and the row counts as a flip. They are NaN too where the largest logit is
/// infinite (inf - inf), but there the argmax decides whether the row is a flip. A logit of -inf is
/// a probability of 0: KL is infinite where the reference's probability is not 0, cross-entropy
/// where the next token has that probability.
struct PositionMetrics {
  std::vector<double> kl;          // KL(ref || run), natural logarithm, T values, >= 0
  std::vector<std::uint8_t> flip;  // 1 where the argmax differs (lowest index wins ties), T values
  std::vector<double> cross_entropy;  // -log q of token t + 1, T - 1 values

  /// Room for T positions; the values are filled by the calls of compare().
  void resize(std::size_t positions);
};

/// Metrics of the positions first_row .. first_row + logits.rows - 1 of a run. logits: (rows, V),
/// rows contiguous. KL = sum over v of p_v (expm1(d_v) - d_v), d_v = log q_v - log p_v, which keeps
/// its digits when q is near p and is never negative (the textbook's sum of p_v d_v loses them all
/// below 1e-15); p_v = 0 contributes q_v. Exactly 0 for equal logits. Pre: first_row + rows <=
/// reference.positions(), logits.cols = reference.vocab_size(), metrics resized.
void compare(const ReferenceDistribution& reference, std::size_t first_row,
             MatrixView<const double> logits, PositionMetrics& metrics, MetricsScratch& scratch);

/// Means over positions, each a plain sum in index order divided by the number of terms; NaN for no
/// terms.
struct MeanMetrics {
  double kl = 0.0, flip_rate = 0.0, cross_entropy = 0.0;
};
MeanMetrics means(const PositionMetrics& metrics);
/// The mean of any cross-entropies, as MeanMetrics::cross_entropy (the reference's, for example).
double mean(std::span<const double> values);

/// The first position at which two continuations of `count` tokens differ, or one has no token;
/// `count` where there is no such position.
std::size_t divergence_position(std::span<const TokenId> one, std::span<const TokenId> other,
                                std::size_t count);

}  // namespace lamp
