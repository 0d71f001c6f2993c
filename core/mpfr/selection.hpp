// LAMP's sets a second time, by brute force from the definition (method.md section 6): for calc's
// backend `mpfr` and tests. No line in common with core/selection, of which it reads the data.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/selection/selection.hpp"

namespace lamp::mpfr {

struct Selected {
  std::vector<std::uint8_t> marks;
  double cost = 0.0;  // of the set; infinite where the row is refused
};

/// What LAMP takes of a row for the f of this name (a Target's): keys in binary64 by MPFR, sums in
/// integers, every prefix or threshold tried. O(n^2), with the norm `componentwise` O(n^3). Pre:
/// what core/selection's check(spec, target) lets pass; spec.rule is not looked at.
Selected select(std::string_view function, const SelectionSpec& spec, const SelectionRow& row);

/// cost(S) of a set, of the same row.
double cost_of_set(std::string_view function, const SelectionSpec& spec, const SelectionRow& row,
                   const std::vector<std::uint8_t>& marks);

}  // namespace lamp::mpfr
