// Instruction sets: which one vector code runs in. For tests and measurements; the bits are the
// same in each.
#pragma once

#include <string_view>

#include "core/base/result.hpp"

namespace lamp {

/// Restricts all vector code of this process to "scalar", "avx2" or "avx512". Call it before any
/// arithmetic; an instruction set that this machine lacks is a usage error.
Result<void> force_target(std::string_view name);

}  // namespace lamp
