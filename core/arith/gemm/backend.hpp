// Instruction sets that a caller may force.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "core/base/names.hpp"

namespace lamp {

/// `scalar` is the naive triple loop over scalar operations; the others force one instruction set
/// (an error in `calc` on a machine without it). `automatic` picks the fastest that is proven to
/// give the same bits for the operands at hand.
enum class Backend : std::uint8_t { automatic, scalar, avx2, avx512 };

inline constexpr std::array<NamedValue<Backend>, 4> backend_names{{{"auto", Backend::automatic},
                                                                   {"scalar", Backend::scalar},
                                                                   {"avx2", Backend::avx2},
                                                                   {"avx512", Backend::avx512}}};
static_assert(names_all(backend_names));

/// Whether this machine has the instruction set (`automatic` and `scalar` it always has).
bool available(Backend backend);
/// The backend itself, or the fastest one of this machine for `automatic`.
Backend resolved(Backend backend);
/// Instruction set that `automatic` uses on this machine: "avx512", "avx2" or "scalar".
std::string_view best_target();

}  // namespace lamp
