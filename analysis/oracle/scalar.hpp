// The numbers of the oracle: binary64, MPFR floats of a fixed number of bits, and (dual.hpp) dual
// numbers over either. What they share beyond + - * / < == is exp, log and sqrt, found by their
// argument, and Functions.
#pragma once

#include <boost/multiprecision/eigen.hpp>
#include <boost/multiprecision/mpfr.hpp>
#include <cmath>
#include <limits>
#include <numbers>

namespace lamp::oracle {

/// Boost counts decimal digits: from a wish for d of them, 1.74 makes floor(1000 d / 301) + 1 bits
/// or one more.
constexpr unsigned decimal_digits(unsigned bits) { return (301 * bits + 999) / 1000; }

/// At least `bits` bits, RNE, MPFR's own exponent range, functions correctly rounded. The bits are
/// a property of the type and lie in the object: no default precision of the process, no heap.
template <unsigned bits>
using Float =
    boost::multiprecision::number<boost::multiprecision::mpfr_float_backend<
                                      decimal_digits(bits), boost::multiprecision::allocate_stack>,
                                  boost::multiprecision::et_off>;
using Real = Float<200>;
static_assert(std::numeric_limits<Real>::digits == 204);

/// Number is the scalar without derivatives that S is made of: the scalar of weights.
template <class S>
struct Functions {  // of MPFR floats
  using Number = S;
  static S pi() {
    S x;
    mpfr_const_pi(x.backend().data(), MPFR_RNDN);
    return x;
  }
  static S erfc(const S& x) {
    S y;
    mpfr_erfc(y.backend().data(), x.backend().data(), MPFR_RNDN);
    return y;
  }
};

template <>
struct Functions<double> {
  using Number = double;
  static double pi() { return std::numbers::pi; }
  static double erfc(double x) { return std::erfc(x); }
};

template <class S>
using Number = typename Functions<S>::Number;

}  // namespace lamp::oracle
