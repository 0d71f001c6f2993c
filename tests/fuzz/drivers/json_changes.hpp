// Other JSON: a value in the place of another, a member or element less or more, a number beside
// the one that was there.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tests/fuzz/harness.hpp"

namespace lamp::fuzz {

/// Bytes that are no JSON come back as they are.
std::string mutated_json(std::string_view text, Random& random);

/// Of all numbers of a document that are below `end`; 0 where there is none.
std::uint64_t largest_below(std::string_view text, std::uint64_t end);

}  // namespace lamp::fuzz
