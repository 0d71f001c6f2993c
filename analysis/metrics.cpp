#include "analysis/metrics.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "analysis/not_finite.hpp"
#include "core/base/contract.hpp"
#include "core/fp/binary64.hpp"

namespace lamp {
namespace {

constexpr std::size_t chunk = MetricsScratch::chunk, group = MetricsScratch::rows;

/// For log p below this, p = exp(log p) may be 0, or q/p overflow.
constexpr double vanishing_log = -700.0;

/// The largest number of x, without the NaN; -inf where x has no number. Eight running maxima,
/// which compilers make vectors of: the maximum does not depend on the order.
double largest(std::span<const double> x) {
  constexpr std::size_t lanes = 8;
  std::array<double, lanes> most;
  most.fill(-positive_infinity);
  std::size_t i = 0;
  for (; i + lanes <= x.size(); i += lanes)
    for (std::size_t l = 0; l < lanes; ++l) most[l] = x[i + l] > most[l] ? x[i + l] : most[l];
  for (; i < x.size(); ++i) most[0] = x[i] > most[0] ? x[i] : most[0];
  return *std::max_element(most.begin(), most.end());
}

bool is_nan(double x) { return std::isnan(x); }

/// sums[r] += terms[r][0] + terms[r][1] + .., one after the other; the rows side by side hide the
/// latency of the additions.
void add_terms(const std::array<std::array<double, chunk>, group>& terms, std::size_t length,
               std::array<double, group>& sums) {
  static_assert(group == 4);
  double s0 = sums[0], s1 = sums[1], s2 = sums[2], s3 = sums[3];
  for (std::size_t v = 0; v < length; ++v)
    s0 += terms[0][v], s1 += terms[1][v], s2 += terms[2][v], s3 += terms[3][v];
  sums = {s0, s1, s2, s3};
}

/// Up to four rows of logits: the maximum of each, its place, and log of the sum of exp(x -
/// maximum). The place is no_argmax and the logarithm NaN where a logit is NaN; the logarithm is
/// NaN where the maximum is infinite.
struct Normalisers {
  std::array<double, group> most{}, log_sum{};
  std::array<std::size_t, group> argmax{};
};

Normalisers normalise(MatrixView<const double> x, std::size_t first, std::size_t rows,
                      MetricsScratch& scratch) {
  Normalisers out;
  for (std::size_t r = 0; r < rows; ++r) out.most[r] = largest(x.row(first + r));
  for (std::size_t r = rows; r < group; ++r) scratch.first[r].fill(0.0);
  std::array<double, group> sums{};
  for (std::size_t begin = 0; begin < x.cols; begin += chunk) {
    const std::size_t length = std::min(chunk, x.cols - begin);
    for (std::size_t r = 0; r < rows; ++r) {
      const std::span<const double> row = x.row(first + r).subspan(begin, length);
      const std::span<double> shifted(scratch.first[r].data(), length);
      for (std::size_t v = 0; v < length; ++v) shifted[v] = row[v] - out.most[r];
      binary64_functions::exp(shifted, shifted);
    }
    add_terms(scratch.first, length, sums);
  }
  for (std::size_t r = 0; r < rows; ++r) {
    const std::span<const double> row = x.row(first + r);
    const bool finite =
        std::isfinite(out.most[r]);  // then the sum is NaN if and only if a logit is
    const bool nan = finite ? std::isnan(sums[r]) : std::any_of(row.begin(), row.end(), is_nan);
    out.log_sum[r] = finite ? binary64_functions::log(sums[r]) : not_a_number;
    out.argmax[r] = nan ? ReferenceDistribution::no_argmax
                        : static_cast<std::size_t>(std::find(row.begin(), row.end(), out.most[r]) -
                                                   row.begin());
  }
  return out;
}

/// NaN where log_sum is.
double log_softmax(double x, double largest_x, double log_sum) { return (x - largest_x) - log_sum; }

/// Entries of a row whose p may vanish: where p is 0, or q/p above e^700, the term p (expm1(d) - d)
/// = q - p (1 + d) is q to the last bit.
void replace_vanishing(std::span<const double> log_p, std::span<const double> x, double largest_x,
                       double log_sum, std::span<double> terms) {
  for (std::size_t v = 0; v < terms.size(); ++v) {
    if (!(log_p[v] < vanishing_log)) continue;
    const double log_q = log_softmax(x[v], largest_x, log_sum);
    if (binary64_functions::exp(log_p[v]) == 0.0 || log_q - log_p[v] > -vanishing_log)
      terms[v] = binary64_functions::exp(log_q);
  }
}

}  // namespace

ReferenceDistribution::ReferenceDistribution(Matrix<double> logits, std::span<const TokenId> tokens,
                                             Team* team)
    : log_p_(std::move(logits)), tokens_(tokens.begin(), tokens.end()) {
  expects(log_p_.rows() == tokens.size() && log_p_.rows() > 0 && log_p_.cols() > 0,
          "ReferenceDistribution: one row of logits a token");
  for (const TokenId token : tokens_)
    expects(token < vocab_size(), "ReferenceDistribution: token < vocab_size");
  argmax_.resize(positions());
  vanishing_.resize(positions());
  cross_entropy_.resize(positions() - 1);
  if (log_p_.flat().size() <= stored_probabilities) p_.reshape(positions(), vocab_size());
  constexpr double work_of_logit = 256.0;  // two elementary functions, in multiply-accumulates
  Team alone;
  Team& members = team != nullptr ? *team : alone;
  const RowBlocks groups{
      .rows = (positions() + group - 1) / group,
      .parts = members.members_for(work_of_logit * static_cast<double>(log_p_.flat().size()))};
  members.each(groups.parts, [&](std::size_t part) {
    MetricsScratch scratch;
    for (std::size_t g = groups.begin(part); g < groups.begin(part + 1); ++g)
      fill(g * group, std::min(group, positions() - g * group), scratch);
  });
}

void ReferenceDistribution::fill(std::size_t first, std::size_t count, MetricsScratch& scratch) {
  const Normalisers n = normalise(log_p_.view(), first, count, scratch);
  for (std::size_t r = 0; r < count; ++r) {
    const std::size_t t = first + r;
    const std::span<double> row = log_p_.row(t);
    argmax_[t] = n.argmax[r];
    double smallest = 0.0;
    for (double& value : row) {
      value = log_softmax(value, n.most[r], n.log_sum[r]);
      smallest = std::min(smallest, value);
    }
    vanishing_[t] = smallest < vanishing_log ? 1 : 0;
    if (p_.rows() != 0) binary64_functions::exp(row, p_.row(t));
    if (t + 1 < positions()) cross_entropy_[t] = 0.0 - row[next_token(t)];
  }
}

void PositionMetrics::resize(std::size_t positions) {
  kl.resize(positions), flip.resize(positions),
      cross_entropy.resize(positions == 0 ? 0 : positions - 1);
}

void compare(const ReferenceDistribution& reference, std::size_t first_row,
             MatrixView<const double> logits, PositionMetrics& metrics, MetricsScratch& scratch) {
  expects(first_row + logits.rows <= reference.positions() && logits.cols == reference.vocab_size(),
          "compare: rows of the reference");
  expects(metrics.kl.size() == reference.positions(),
          "compare: metrics.resize(reference.positions())");
  for (std::size_t first = 0; first < logits.rows; first += group) {
    const std::size_t rows = std::min(group, logits.rows - first);
    const Normalisers n = normalise(logits, first, rows, scratch);
    for (std::size_t r = rows; r < group; ++r) scratch.first[r].fill(0.0);
    std::array<double, group> kl{};
    for (std::size_t begin = 0; begin < logits.cols; begin += chunk) {
      const std::size_t length = std::min(chunk, logits.cols - begin);
      for (std::size_t r = 0; r < rows; ++r) {
        const std::size_t t = first_row + first + r;
        const std::span<const double> x = logits.row(first + r).subspan(begin, length);
        const std::span<const double> log_p = reference.log_probabilities(t).subspan(begin, length);
        const std::span<const double> stored = reference.probabilities(t);
        const std::span<double> terms(scratch.first[r].data(), length),
            buffer(scratch.second.data(), length);
        for (std::size_t v = 0; v < length; ++v)
          terms[v] = log_softmax(x[v], n.most[r], n.log_sum[r]) - log_p[v];
        binary64_functions::expm1_minus_x(terms, terms);
        if (stored.empty()) binary64_functions::exp(log_p, buffer);
        const std::span<const double> p = stored.empty() ? buffer : stored.subspan(begin, length);
        for (std::size_t v = 0; v < length; ++v) terms[v] *= p[v];
        if (reference.has_vanishing(t)) replace_vanishing(log_p, x, n.most[r], n.log_sum[r], terms);
      }
      add_terms(scratch.first, length, kl);
    }
    for (std::size_t r = 0; r < rows; ++r) {
      const std::size_t t = first_row + first + r;
      const std::span<const double> x = logits.row(first + r);
      metrics.kl[t] = kl[r];
      metrics.flip[t] =
          n.argmax[r] == ReferenceDistribution::no_argmax || n.argmax[r] != reference.argmax(t) ? 1
                                                                                                : 0;
      if (t + 1 < reference.positions())
        metrics.cross_entropy[t] =
            0.0 - log_softmax(x[reference.next_token(t)], n.most[r], n.log_sum[r]);
    }
  }
}

double mean(std::span<const double> values) {
  double sum = 0.0;
  for (const double value : values) sum += value;
  return values.empty() ? not_a_number : sum / static_cast<double>(values.size());
}

MeanMetrics means(const PositionMetrics& metrics) {
  std::size_t flips = 0;
  for (const std::uint8_t flip : metrics.flip) flips += flip;
  const double positions = static_cast<double>(metrics.flip.size());
  return {.kl = mean(metrics.kl),
          .flip_rate = metrics.flip.empty() ? not_a_number : static_cast<double>(flips) / positions,
          .cross_entropy = mean(metrics.cross_entropy)};
}

std::size_t divergence_position(std::span<const TokenId> one, std::span<const TokenId> other,
                                std::size_t count) {
  expects(one.size() <= count && other.size() <= count,
          "divergence_position: at most `count` tokens");
  const std::size_t common = std::min(one.size(), other.size());
  const auto [at, unused] =
      std::mismatch(one.begin(), one.begin() + static_cast<std::ptrdiff_t>(common), other.begin());
  return static_cast<std::size_t>(at - one.begin());
}

}  // namespace lamp
