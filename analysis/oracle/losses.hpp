// What a pass is judged by (method.md section 8), its gradients with respect to the logits, and the
// second-order prediction of KL. Logits are (T, vocab_size), a row a position.
#pragma once

#include <span>
#include <vector>

#include "analysis/oracle/operations.hpp"

namespace lamp::oracle {

/// NaN where a logit of the row is NaN or the largest is infinite.
template <class S>
Matrix<S> log_softmax(const Matrix<S>& logits) {
  Matrix<S> out = logits;
  for (Index t = 0; t < out.rows(); ++t) {
    S most = logits(t, 0), sum(0);
    for (Index v = 0; v < out.cols(); ++v)
      if (logits(t, v) > most) most = logits(t, v);
    for (Index v = 0; v < out.cols(); ++v) {
      using std::exp;
      sum += exp(logits(t, v) - most);
    }
    using std::log;
    const S log_sum = log(sum);
    for (Index v = 0; v < out.cols(); ++v) out(t, v) = logits(t, v) - most - log_sum;
  }
  return out;
}

template <class S>
Matrix<S> exponentials(Matrix<S> x) {
  for (Index t = 0; t < x.rows(); ++t)
    for (Index v = 0; v < x.cols(); ++v) {
      using std::exp;
      x(t, v) = exp(x(t, v));
    }
  return x;
}

/// expm1(d) - d, |d| <= 1/2, by its series: to the scalar's relative precision.
template <class S>
S expm1_minus(const S& d) {
  S term = d * d / S(2), sum = term;
  for (int k = 3; !(sum + term == sum) || k == 3; ++k) {
    term *= d / S(k);
    sum += term;
  }
  return sum;
}

/// KL(ref || run) of each position: sum of p (expm1(d) - d), d = log q - log p; p = 0 contributes
/// q. Where |d| > 1/2 a term is q - p - p d, which neither cancels nor overflows there.
template <class S>
std::vector<S> kl(const Matrix<S>& reference_logits, const Matrix<S>& run_logits) {
  const Matrix<S> log_p = log_softmax(reference_logits), log_q = log_softmax(run_logits);
  const Matrix<S> p = exponentials(log_p), q = exponentials(log_q);
  std::vector<S> out;
  for (Index t = 0; t < p.rows(); ++t) {
    S sum(0);
    for (Index v = 0; v < p.cols(); ++v) {
      const S d = log_q(t, v) - log_p(t, v);
      if (p(t, v) == S(0))
        sum += q(t, v);
      else if (d < S(0.5) && d > S(-0.5))
        sum += p(t, v) * expm1_minus(d);
      else
        sum += q(t, v) - p(t, v) - p(t, v) * d;
    }
    out.push_back(sum);
  }
  return out;
}

template <class S>
S sum_of(const std::vector<S>& x) {
  S sum(0);
  for (const S& value : x) sum += value;
  return sum;
}

/// The mean over positions.
template <class S>
S mean_kl(const Matrix<S>& reference_logits, const Matrix<S>& run_logits) {
  return sum_of(kl(reference_logits, run_logits)) / S(static_cast<double>(reference_logits.rows()));
}

/// Of the sum of kl over positions with respect to the run's logits: q - p.
template <class S>
Matrix<S> kl_gradient(const Matrix<S>& reference_logits, const Matrix<S>& run_logits) {
  return exponentials(log_softmax(run_logits)) - exponentials(log_softmax(reference_logits));
}

/// sum over t < T - 1 of log q_t(token t + 1).
template <class S>
S log_likelihood(const Matrix<S>& logits, std::span<const TokenId> tokens) {
  const Matrix<S> log_q = log_softmax(logits);
  S sum(0);
  for (std::size_t t = 0; t + 1 < tokens.size(); ++t)
    sum += log_q(static_cast<Index>(t), static_cast<Index>(tokens[t + 1]));
  return sum;
}

template <class S>
Matrix<S> log_likelihood_gradient(const Matrix<S>& logits, std::span<const TokenId> tokens) {
  Matrix<S> d = -exponentials(log_softmax(logits));
  for (std::size_t t = 0; t + 1 < tokens.size(); ++t)
    d(static_cast<Index>(t), static_cast<Index>(tokens[t + 1])) += S(1);
  d.row(d.rows() - 1).setConstant(S(0));
  return d;
}

/// Half the variance of a change of the logits under the reference distribution, summed over
/// positions: the second-order term of the sum of kl, whose first-order term is 0.
template <class S>
S half_variance(const Matrix<S>& reference_logits, const Matrix<S>& change) {
  const Matrix<S> p = exponentials(log_softmax(reference_logits));
  S total(0);
  for (Index t = 0; t < p.rows(); ++t) {
    S mean(0), variance(0);
    for (Index v = 0; v < p.cols(); ++v) mean += p(t, v) * change(t, v);
    for (Index v = 0; v < p.cols(); ++v) {
      const S c = change(t, v) - mean;
      variance += p(t, v) * c * c;
    }
    total += variance / S(2);
  }
  return total;
}

}  // namespace lamp::oracle
