// Which arithmetic in a revealed tree has a command's bits: specifications are tried on random dot products.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "core/arith/reveal.hpp"
#include "core/arith/spec.hpp"

namespace lamp::experiments {

/// Dot products of n terms with operands of `format`: ordinary numbers, few bits (ties), cancelling, signed zeros; always the same ones.
std::vector<DotProduct> random_products(std::size_t n, const FloatFormat& format, std::size_t count);

/// Arithmetics to try for a tree, or for a sum that has none, the likeliest first. `format`: of the operands, and of the accumulator if it
/// is not wider.
std::vector<Arithmetic> candidates(const AdditionTree* tree, std::size_t n, const FloatFormat& format);

struct Agreement {
  Arithmetic arithmetic;
  std::size_t products = 0;  // whose bits agree; every NaN is the same
};

/// The first candidate of those that agree in the most products. Pre: there is a candidate.
Agreement best_candidate(const std::vector<Arithmetic>& candidates, const std::vector<DotProduct>& products,
                         const std::vector<double>& answers);

/// The keys of an arithmetic that are not the default, in the order of `lamp config`: ("format", "binary32").
std::vector<std::pair<std::string, std::string>> keys_of(const Arithmetic& arithmetic);

}  // namespace lamp::experiments
