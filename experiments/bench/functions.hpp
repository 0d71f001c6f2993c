// How many vector operations an elementary function takes.
#pragma once

#include "core/fp/elementary.hpp"
#include "experiments/bench/row.hpp"

namespace lamp::experiments::bench {

/// Of the binary64 first step of f in one vector, counted by evaluating its template
/// (core/fp/binary64-inl.hpp) with a number that counts.
Operations function_operations(Function f);

}  // namespace lamp::experiments::bench
