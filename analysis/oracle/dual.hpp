// Dual numbers a + b e, e^2 = 0: a value and its derivative along one direction (forward mode).
#pragma once

#include <Eigen/Core>
#include <type_traits>
#include <utility>

#include "analysis/oracle/scalar.hpp"

namespace lamp::oracle {

/// Constants have derivative 0. Comparisons are of values.
template <class T>
struct Dual {
  T value{0};
  T derivative{0};

  Dual() = default;
  Dual(T x, T dx = T(0)) : value(std::move(x)), derivative(std::move(dx)) {}
  template <class N>
  requires(std::is_arithmetic_v<N> && !std::is_same_v<N, T>) Dual(N x) : value(static_cast<T>(x)) {}

  friend Dual operator+(const Dual& x, const Dual& y) {
    return {x.value + y.value, x.derivative + y.derivative};
  }
  friend Dual operator-(const Dual& x, const Dual& y) {
    return {x.value - y.value, x.derivative - y.derivative};
  }
  friend Dual operator*(const Dual& x, const Dual& y) {
    return {x.value * y.value, x.derivative * y.value + x.value * y.derivative};
  }
  friend Dual operator/(const Dual& x, const Dual& y) {
    const T quotient = x.value / y.value;
    return {quotient, (x.derivative - quotient * y.derivative) / y.value};
  }
  friend Dual operator-(const Dual& x) { return {-x.value, -x.derivative}; }
  Dual& operator+=(const Dual& y) { return *this = *this + y; }
  Dual& operator-=(const Dual& y) { return *this = *this - y; }
  Dual& operator*=(const Dual& y) { return *this = *this * y; }
  Dual& operator/=(const Dual& y) { return *this = *this / y; }

  friend bool operator==(const Dual& x, const Dual& y) { return x.value == y.value; }
  friend bool operator<(const Dual& x, const Dual& y) { return x.value < y.value; }
  friend bool operator>(const Dual& x, const Dual& y) { return x.value > y.value; }

  friend Dual exp(const Dual& x) {
    using std::exp;
    const T y = exp(x.value);
    return {y, y * x.derivative};
  }
  friend Dual log(const Dual& x) {
    using std::log;
    return {log(x.value), x.derivative / x.value};
  }
  friend Dual sqrt(const Dual& x) {
    using std::sqrt;
    const T y = sqrt(x.value);
    return {y, x.derivative / (2 * y)};
  }
};

template <class T>
struct Functions<Dual<T>> {
  using Number = typename Functions<T>::Number;
  static Dual<T> pi() { return Functions<T>::pi(); }
  static Dual<T> erfc(const Dual<T>& x) {
    using std::exp;
    using std::sqrt;
    const T slope = -2 / sqrt(Functions<T>::pi()) * exp(-(x.value * x.value));
    return {Functions<T>::erfc(x.value), slope * x.derivative};
  }
};

}  // namespace lamp::oracle

template <class T>
struct Eigen::NumTraits<lamp::oracle::Dual<T>> : Eigen::NumTraits<T> {
  using Real = lamp::oracle::Dual<T>;
  using NonInteger = lamp::oracle::Dual<T>;
  using Nested = lamp::oracle::Dual<T>;
  enum { RequireInitialization = 1 };
};
