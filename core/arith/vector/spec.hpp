// A multiply-accumulate as arithmetic on vectors of binary64 evaluates it: the numbers that its
// roundings need, and for which specifications that has the bits of GeneralArithmetic.
#pragma once

#include <cstdint>
#include <optional>

#include "core/arith/spec.hpp"

namespace lamp {

/// One rounding of binary64 numbers to a format. `none`: every number is one of the format.
/// `converted`: RNE to binary32, by the processor's conversion. `nearest`: RNE. `any`: every mode,
/// from round-to-nearest and what it left.
struct VectorRounding {
  enum class Kind : std::uint8_t { none, converted, nearest, any } kind = Kind::none;
  Rounding mode = Rounding::rne;
  double smallest_normal = 0;    // 2^emin
  double scale = 0;              // 1.5 2^(53-p)
  double spacing = 0;            // 2^(1-p): of the numbers in [1, 2)
  double largest = 0;            // xmax
  double beyond = 0;             // 2^(emax+1)
  double overflow = 0;           // what `nearest` makes of a larger one: infinity, NaN or xmax
  double overflow_positive = 0;  // the same of `any`, by sign
  double overflow_negative = 0;
  double draws = 0;  // 2^r, r the random bits of SR and SRE
};

/// A specification for vectors.
struct VectorSpec {
  std::optional<VectorRounding> operands, product;
  VectorRounding first;  // of a sum: to via, or else to the format
  VectorRounding last;   // then to the format
};

/// Nothing where vectors have not the bits: formats without subnormals or signed zeros, unsigned,
/// of 1 bit, or too near to binary64's own range and precision for a rounding to odd before theirs
/// (a proof is at the definition); operands of systems that round rows.
std::optional<VectorSpec> vector_spec(const MacSpec& mac);

/// One rounding, of numbers that are exact or rounded to odd.
std::optional<VectorRounding> vector_rounding(const FloatFormat& format, Rounding mode,
                                              int random_bits = 32);

}  // namespace lamp
