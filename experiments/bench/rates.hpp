// How fast this machine's vector ports are: loops of independent operations.
#pragma once

#include <cstddef>
#include <string_view>

namespace lamp::experiments::bench {

/// Each loop runs `n` times over independent registers; the answer depends on all of them, so that
/// nothing is left out.
struct RateLoops {
  double vector_bits;
  double per_any, per_multiplication, per_division;  // vector operations of one turn
  float (*any)(std::size_t n);                       // multiply-adds, additions and exclusive ors
  float (*multiplications)(std::size_t n);
  float (*divisions_32)(std::size_t n);
  float (*divisions_64)(std::size_t n);
};

/// Of "avx512", "avx2" or "scalar" (the compiler's own target). Pre: this machine has it.
RateLoops rate_loops(std::string_view target);

}  // namespace lamp::experiments::bench
