// What lamp reveal asks a command besides the probes that find its tree: random dot products, and
// how wide its type and its sums are.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/arith/reveal/reveal.hpp"

namespace lamp::experiments {

/// Dot products of n terms with operands of `format`: ordinary numbers, few bits (ties),
/// cancelling, signed zeros; always the same ones.
std::vector<DotProduct> random_products(std::size_t n, const FloatFormat& format,
                                        std::size_t count);

/// One term 1 + 2^-q for q = 1, .., p - 1, then one term 2^emax: a command whose type is `format`
/// gives each back. Nothing for formats without these numbers.
std::vector<DotProduct> type_products(std::size_t n, const FloatFormat& format);

struct NarrowerType {
  std::string what;          // a number that does not come back, and what to do
  bool probes_hold = false;  // it has +M and counts of n units
};
/// What the answers to type_products say of a command whose type is narrower than `format`, or
/// whose sums are. Nothing where all numbers come back, or where no type gives these answers.
std::optional<NarrowerType> narrower_type(std::size_t n, const FloatFormat& format,
                                          std::span<const double> answers);

/// +M, a small term and -M at random places, M over the small term from 2 to 2^64: a sum keeps the
/// term as its bits allow, so binary32, binary64 and exact sums answer differently where random
/// data would be rounded alike by a narrow format at the end. n < 3: nothing.
std::vector<DotProduct> ladder_products(std::size_t n, const FloatFormat& format);

}  // namespace lamp::experiments
