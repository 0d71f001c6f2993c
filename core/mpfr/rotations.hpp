// Rotary positions on MPFR: cosine and sine of position f_j, correctly rounded to a format.
#pragma once

#include <cstddef>
#include <utility>

#include "core/fp/format.hpp"
#include "core/model/files/config.hpp"
#include "core/mpfr/number.hpp"

namespace lamp::mpfr {

/// The frequencies of a network of d components a head.
class Rotations {
 public:
  Rotations(const Rope& rope, std::size_t d) : rope_(rope), d_(d) {}

  /// (cos, sin) of position f_j, RNE: in a format of binary64 numbers, or in p bits. Pre: j < d/2;
  /// the exponent range of the thread is widest_of_all.
  template <class Value>
  [[nodiscard]] std::pair<Value, Value> at(std::size_t position, std::size_t j,
                                           const FloatFormat& format) const;

 private:
  Rope rope_;
  std::size_t d_;
};

}  // namespace lamp::mpfr
