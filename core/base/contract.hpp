// A programmer's error stops the program, with the sentence that was violated.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace lamp {

[[noreturn]] inline void contract_violated(const char* what) {
  std::fprintf(stderr, "lamp: internal error, please report: contract violated: %s\n", what);
  std::abort();
}

/// Pre- and postconditions, checked in every build. `what` states the condition that should hold.
constexpr void expects(bool holds, const char* what) {
  if (!holds) [[unlikely]]
    contract_violated(what);
}

}  // namespace lamp
