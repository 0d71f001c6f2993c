// The operations of GPT-2 as textbooks write them, and their adjoints: f'(x)^T d. Rows are token
// positions; Eigen's order of summation. The constants of GELU are the real numbers, in the
// scalar's precision.
#pragma once

#include <Eigen/Core>
#include <type_traits>

#include "analysis/oracle/dual.hpp"
#include "core/base/contract.hpp"
#include "core/model/files/config.hpp"

namespace lamp::oracle {

template <class S>
using Matrix = Eigen::Matrix<S, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class S>
using Row = Eigen::Matrix<S, 1, Eigen::Dynamic>;
/// A matrix or a part of one, read only. Another storage order is copied.
template <class S>
using View = Eigen::Ref<const Matrix<S>>;
using Eigen::Index;

/// X W of a matrix of numbers W: of dual numbers, (A + B e) W = A W + B W e.
template <class S>
Matrix<S> product(const View<S>& x, const View<Number<S>>& w) {
  if constexpr (std::is_same_v<S, double>) {
    return x * w;
  } else if constexpr (std::is_same_v<S, Number<S>>) {  // Eigen's blocking gains nothing here
    Matrix<S> out = Matrix<S>::Constant(x.rows(), w.cols(), S(0));
    for (Index i = 0; i < x.rows(); ++i)
      for (Index k = 0; k < x.cols(); ++k)
        for (Index j = 0; j < w.cols(); ++j) out(i, j) += x(i, k) * w(k, j);
    return out;
  } else {
    using T = decltype(S::value);
    const Matrix<T> value = product<T>(x.unaryExpr([](const S&e) { return e.value; }), w),
                    derivative = product<T>(x.unaryExpr([](const S&e) { return e.derivative; }), w);
    return value.binaryExpr(derivative, [](const T& a, const T& b) { return S(a, b); });
  }
}

/// A NaN makes all NaN, and so does a largest component that is infinite.
template <class S>
Row<S> softmax(const Row<S>& y) {
  S most = y(0), sum(0);
  for (const S& value : y)
    if (value > most) most = value;
  Row<S> z(y.size());
  for (Index j = 0; j < y.size(); ++j) {
    using std::exp;
    z(j) = exp(y(j) - most);
    sum += z(j);
  }
  for (S& value : z) value /= sum;
  return z;
}

/// dy_j = z_j (dz_j - z . dz).
template <class S>
Row<S> softmax_adjoint(const Row<S>& z, const Row<S>& dz) {
  S mean(0);
  for (Index j = 0; j < z.size(); ++j) mean += z(j) * dz(j);
  Row<S> dy(z.size());
  for (Index j = 0; j < z.size(); ++j) dy(j) = z(j) * (dz(j) - mean);
  return dy;
}

/// A row of layer normalisation before gain and bias: u_i = (x_i - mean) r, r = 1 / sqrt(mean of
/// (x_i - mean)^2 + eps).
template <class S>
struct Normalised {
  Row<S> u;
  S r;
};

template <class S>
Normalised<S> normalise(const Row<S>& x, const Number<S>& eps) {
  const S n(static_cast<double>(x.size()));
  S mean(0), variance(0);
  for (const S& value : x) mean += value;
  mean /= n;
  Normalised<S> out{x, S(0)};
  for (S& value : out.u) {
    value -= mean;
    variance += value * value;
  }
  using std::sqrt;
  out.r = S(1) / sqrt(variance / n + S(eps));
  for (S& value : out.u) value *= out.r;
  return out;
}

/// dx_j = r (d_j - mean(d) - u_j mean(d u)), d the adjoint of u.
template <class S>
Row<S> normalise_adjoint(const Normalised<S>& normalised, const Row<S>& d) {
  const auto& [u, r] = normalised;
  const S n(static_cast<double>(d.size()));
  S mean(0), along(0);
  for (Index i = 0; i < d.size(); ++i) {
    mean += d(i);
    along += d(i) * u(i);
  }
  Row<S> dx(d.size());
  for (Index j = 0; j < d.size(); ++j) dx(j) = r * (d(j) - mean / n - u(j) * along / n);
  return dx;
}

/// 1 / (1 + e^-t), to the scalar's relative precision for either sign of t.
template <class S>
S sigmoid(const S& t) {
  using std::exp;
  if (t > S(0)) return S(1) / (S(1) + exp(-t));
  const S e = exp(t);
  return e / (S(1) + e);
}

/// An activation is x times a distribution function, `below`; `density` is its derivative. GELU,
/// tanh form: (1 + tanh t) / 2 = sigmoid(2 t), t = sqrt(2 / pi) (x + 0.044715 x^3); erf form: the
/// normal distribution. silu: sigmoid(x). relu: a step at 0, whose derivative is taken as 0 there.
template <class S>
struct Gate {
  S below, density;
};

template <class S>
Gate<S> gate(Activation form, const S& x) {
  using std::exp;
  using std::sqrt;
  switch (form) {
    case Activation::gelu_new: {
      const S a = S(44715) / S(1000000), b = S(2) * sqrt(S(2) / Functions<S>::pi());
      const S t = b * (x + a * x * x * x);
      const S below = sigmoid(t);
      return {below, below * sigmoid(-t) * b * (S(1) + S(3) * a * x * x)};
    }
    case Activation::gelu:
      return {Functions<S>::erfc(-x / sqrt(S(2))) / S(2),
              exp(-(x * x) / S(2)) / sqrt(S(2) * Functions<S>::pi())};
    case Activation::silu: {
      const S below = sigmoid(x);
      return {below, below * sigmoid(-x)};
    }
    case Activation::relu:
      return {x > S(0) ? S(1) : S(0), S(0)};
  }
  contract_violated("gate: a known activation");
}

/// -inf gives -0; relu +0 wherever x is neither positive nor NaN.
template <class S>
S activate(Activation form, const S& x) {
  if (form == Activation::relu) return x > S(0) || !(x == x) ? x : S(0);
  const S below = gate(form, x).below;
  return below == S(0) ? S(-0.0) : x * below;
}

template <class S>
S activate_derivative(Activation form, const S& x) {
  const auto [below, density] = gate(form, x);
  return below + x * density;
}

}  // namespace lamp::oracle
