// A multiply-accumulate as arithmetic on vectors of binary64 evaluates it: the numbers that its
// roundings need, and for which specifications that has the bits of GeneralArithmetic.
#pragma once

#include <optional>

#include "core/arith/spec.hpp"
#include "core/fp/vector_rounding.hpp"

namespace lamp {

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

}  // namespace lamp
